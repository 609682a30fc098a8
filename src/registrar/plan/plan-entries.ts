import type { Clock } from '../../runtime/clock.ts'
import type { Entry, EntryService, EntrySpec } from '../../spire/entry.ts'
import { identityText } from '../desired/identity-text.ts'
import { DeleteFuse, type DeleteLimit } from '../sync/delete-fuse.ts'
import type { EntryIdScheme } from '../sync/entry-id.ts'
import { EntryIds } from '../sync/entry-ids.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { OwnedEntries } from '../sync/owned-entries.ts'
import { type KeyPlan, planKey } from '../sync/plan-key.ts'
import { surveyEntries } from '../sync/survey.ts'
import type { SyncSource } from '../sync/sync-options.ts'
import type {
  PlannedConflict,
  PlannedCreate,
  PlannedDelete,
  PlannedProblem,
  PlannedUpdate,
  RegistrarPlan,
} from './registrar-plan.ts'

export interface PlanOptions {
  /** What the server has. */
  readonly entries: Pick<EntryService, 'list'>
  readonly source: Omit<SyncSource, 'confirmGone'>
  readonly ids: EntryIdScheme
  readonly fuse: DeleteLimit
  /** Told of problems; true where the object then has to be looked at again. @default {never} */
  readonly settled?: (key: string, outcome: KeyOutcome) => boolean
  readonly clock: Clock
}

/**
 * Says what the synchronisation would write, by the functions that it decides with, and writes nothing.
 *
 * @throws what the listing throws
 */
export async function planEntries(options: PlanOptions, signal: AbortSignal): Promise<RegistrarPlan> {
  const planning = new Planning(options)
  await planning.read(signal)
  return planning.plan()
}

/** One comparison of everything, on a copy of what the server has: what is planned is done to the copy. */
class Planning {
  readonly #options: PlanOptions
  readonly #owned = new OwnedEntries()
  readonly #ids: EntryIds
  /** By identity; the server holds one of a kind, unless an update has made two of it. */
  readonly #similar = new Map<string, Entry[]>()
  readonly #foreign = new Map<string, Entry>()
  readonly #creates: PlannedCreate[] = []
  readonly #updates: PlannedUpdate[] = []
  readonly #deletes: PlannedDelete[] = []
  readonly #problems: PlannedProblem[] = []
  readonly #conflicts: PlannedConflict[] = []
  readonly #notices: { readonly key: string; readonly notice: string }[] = []
  readonly #without: { readonly key: string; readonly reason: string }[] = []
  #unchanged = 0

  constructor(options: PlanOptions) {
    this.#options = options
    this.#ids = new EntryIds({
      scheme: options.ids,
      incarnation: options.source.incarnation,
      isUsed: (id) => this.#owned.get(id) !== undefined,
    })
  }

  async read(signal: AbortSignal): Promise<void> {
    const { entries, source } = this.#options
    const listed = new Map<string, Entry>()
    const list: EntryService['list'] = async function* (filter, aborted) {
      for await (const page of entries.list(filter, aborted)) {
        for (const entry of page) listed.set(entry.id, entry)
        yield page
      }
    }
    const onForeign = (id: string): void => {
      this.#ids.foreign(id)
      const entry = listed.get(id)
      if (entry !== undefined) this.#foreign.set(id, entry)
    }
    await surveyEntries(
      { entries: { list }, owned: this.#owned, keyOf: source.keyOf, onForeign, onGone: () => {} },
      signal,
    )
    for (const entry of listed.values()) {
      const text = identityText(entry)
      this.#similar.set(text, [...(this.#similar.get(text) ?? []), entry])
    }
  }

  plan(): RegistrarPlan {
    const { source, fuse, clock } = this.#options
    const owned = Array.from(this.#owned.values(), ({ entry }) => entry)
    const known = new Set([...source.keys(), ...this.#owned.keys()])
    // Parents first, as they are written.
    const keys = [...known].toSorted((one, other) => source.rank(one) - source.rank(other))
    for (const key of keys) this.#planKey(key)
    const deletes = new Set(this.#deletes.map(({ key }) => key)).size
    const isHeld = !new DeleteFuse(fuse, false, clock).allows(deletes, this.#owned.size)
    return {
      creates: this.#creates,
      updates: this.#updates,
      deletes: this.#deletes,
      unchanged: this.#unchanged,
      problems: this.#problems,
      conflicts: this.#conflicts,
      notices: this.#notices,
      without: this.#without,
      owned,
      foreign: [...this.#foreign.values()],
      fuse: { deletes, entries: this.#owned.size, isHeld },
    }
  }

  #planKey(key: string): void {
    const { settled } = this.#options
    const plan = this.#look(key)
    switch (plan.is) {
      case 'keep': {
        const { problem, entry } = plan
        if (settled?.(key, { is: 'problem', problem, entry }) === true) {
          this.#planKey(key)
          return
        }
        this.#problems.push({ key, problem, entry })
        return
      }
      case 'nothing':
        this.#without.push({ key, reason: plan.reason })
        return
      case 'create':
        this.#create(key, plan)
        return
      case 'update': {
        const { entry, spec, fields } = plan
        this.#updates.push({ key, entry, spec, fields })
        this.#note(key, plan.notices)
        this.#owned.put(key, { ...entry, ...spec })
        this.#deleteSurplus(key)
        return
      }
      case 'settled':
        this.#unchanged++
        this.#note(key, plan.notices)
        this.#deleteSurplus(key)
        return
      case 'delete':
        for (const id of plan.ids) this.#delete(key, id, plan.reason)
        return
      default:
        plan satisfies never
    }
  }

  #create(key: string, plan: Extract<KeyPlan, { is: 'create' }>): void {
    const { spec, notices } = plan
    const [by] = this.#standing(plan)
    if (by !== undefined) {
      this.#conflicts.push({ key, spec, by })
      return
    }
    const id = this.#ids.next(key)
    this.#creates.push({ key, id, spec })
    this.#note(key, notices)
    this.#owned.put(key, { ...spec, id, revision: 0n, admin: false })
  }

  /** Entries for which the server refuses a create, now and after everything else is written. */
  #standing({ spec }: { readonly spec: EntrySpec }): readonly Entry[] {
    const text = identityText(spec)
    return (this.#similar.get(text) ?? []).filter(({ id }) => {
      const held = this.#owned.get(id)
      if (held === undefined) return this.#foreign.has(id)
      const plan = this.#look(held.key)
      if (plan.is === 'update') return plan.entry.id === id && identityText(plan.spec) === text
      if (plan.is === 'settled') return plan.entry.id === id && identityText(held.entry) === text
      return plan.is === 'keep'
    })
  }

  /** What there is beside the entry that an object keeps, which the synchronisation deletes once that one is right. */
  #deleteSurplus(key: string): void {
    const plan = this.#look(key)
    if (plan.is !== 'settled') return
    for (const id of plan.surplus) this.#delete(key, id, 'its object has another entry')
  }

  #delete(key: string, id: string, reason: string): void {
    const found = this.#owned.get(id)
    if (found !== undefined) this.#deletes.push({ key, entry: found.entry, reason })
  }

  #note(key: string, notices: readonly string[]): void {
    for (const notice of notices) this.#notices.push({ key, notice })
  }

  #look(key: string): KeyPlan {
    return planKey(this.#options.source.render(key), this.#owned.of(key))
  }
}
