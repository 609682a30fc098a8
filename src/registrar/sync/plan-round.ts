import type { Entry, EntryUpdate, NewEntry } from '../../spire/entry.ts'
import type { DeleteGate } from './delete-gate.ts'
import type { DirtyKey, DirtyKeys } from './dirty-keys.ts'
import type { EntryIds } from './entry-ids.ts'
import type { KeyOutcome } from './key-outcome.ts'
import type { OwnedEntries } from './owned-entries.ts'
import { planKey } from './plan-key.ts'
import type { SyncSource } from './sync-options.ts'

export interface CreateItem {
  readonly dirty: DirtyKey
  readonly entry: NewEntry
  readonly notices: readonly string[]
}

export interface UpdateItem {
  readonly dirty: DirtyKey
  readonly before: Entry
  readonly update: EntryUpdate
  readonly notices: readonly string[]
}

export interface DeleteItem {
  readonly dirty: DirtyKey
  readonly entry: Entry
}

/** What one round writes. */
export interface Round {
  readonly creates: CreateItem[]
  readonly updates: UpdateItem[]
  readonly deletes: DeleteItem[]
}

export interface PlanRoundOptions {
  readonly source: Pick<SyncSource, 'render'>
  readonly owned: OwnedEntries
  readonly dirty: DirtyKeys
  readonly gate: DeleteGate
  readonly ids: EntryIds
  readonly onOutcome: (key: string, outcome: KeyOutcome) => void
}

/**
 * Looks at what keys need. Those that need nothing are told and done with; those whose entry is to be deleted, and which nobody has
 * confirmed yet, go to the gate and come back from there.
 */
export function planRound(keys: readonly DirtyKey[], options: PlanRoundOptions): Round {
  const round: Round = { creates: [], updates: [], deletes: [] }
  for (const dirty of keys) addToRound(round, dirty, options)
  return round
}

function addToRound(round: Round, dirty: DirtyKey, options: PlanRoundOptions): void {
  const { source, owned, gate, ids, onOutcome } = options
  const { key, isConfirmed } = dirty
  const plan = planKey(source.render(key), owned.of(key))
  const isDeleting = plan.is === 'delete' || (plan.is === 'settled' && plan.surplus.length > 0)
  if (isDeleting && !isConfirmed) gate.add(key)
  else gate.remove(key)
  switch (plan.is) {
    case 'keep':
      onOutcome(key, { is: 'problem', problem: plan.problem, entry: plan.entry })
      return
    case 'nothing':
      options.dirty.succeed(key)
      onOutcome(key, { is: 'unregistered', reason: plan.reason })
      return
    case 'create': {
      const { spec, notices, id = ids.next(key) } = plan
      round.creates.push({ dirty, entry: { ...spec, id }, notices })
      return
    }
    case 'update': {
      const { spec, notices, entry, fields } = plan
      round.updates.push({ dirty, before: entry, update: { ...spec, id: entry.id, fields }, notices })
      return
    }
    case 'settled':
      if (isConfirmed) addDeletes(round, dirty, plan.surplus, owned)
      options.dirty.succeed(key)
      onOutcome(key, { is: 'registered', entry: plan.entry, change: 'none', notices: plan.notices })
      return
    case 'delete':
      if (isConfirmed) addDeletes(round, dirty, plan.ids, owned)
      else onOutcome(key, { is: 'ending', reason: plan.reason, entry: owned.of(key)[0]?.entry })
  }
}

function addDeletes(round: Round, dirty: DirtyKey, ids: readonly string[], owned: OwnedEntries): void {
  for (const id of ids) {
    const entry = owned.get(id)?.entry
    if (entry !== undefined) round.deletes.push({ dirty, entry })
  }
}
