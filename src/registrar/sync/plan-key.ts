import type { Entry, EntryField, EntrySpec } from '../../spire/entry.ts'
import { differingFields } from '../desired/compare.ts'
import type { Rendering } from '../rendering.ts'
import type { OwnedEntry } from './owned-entries.ts'

/** What is to be done so that an object has the entry that it should have. */
export type KeyPlan =
  /** Its rendering has a problem: what there is stays as it is. */
  | { readonly is: 'keep'; readonly entry: Entry | undefined; readonly problem: string }
  /** @param id - that of a create to which no answer came: it is sent again; without one, a new one is to be made */
  | {
      readonly is: 'create'
      readonly spec: EntrySpec
      readonly notices: readonly string[]
      readonly id: string | undefined
    }
  | {
      readonly is: 'update'
      readonly spec: EntrySpec
      readonly notices: readonly string[]
      readonly entry: Entry
      readonly fields: readonly EntryField[]
    }
  /** It has what it should have; `surplus` are ids of others that say the same or less. */
  | {
      readonly is: 'settled'
      readonly entry: Entry
      readonly surplus: readonly string[]
      readonly notices: readonly string[]
    }
  | { readonly is: 'delete'; readonly ids: readonly string[]; readonly reason: string }
  | { readonly is: 'nothing'; readonly reason: string }

const everyField: readonly EntryField[] = [
  'spiffeId',
  'parentId',
  'selectors',
  'dnsNames',
  'federatesWith',
  'downstream',
]

/**
 * Compares what an object should have with what it has. An entry is changed in place, whatever differs, and never replaced: between a
 * delete and a create its workload would have no identity.
 *
 * @param owned - every entry that belongs to the object, as far as it is known
 */
export function planKey(rendering: Rendering, owned: readonly OwnedEntry[]): KeyPlan {
  const [first] = owned
  if (rendering.is === 'problem') return { is: 'keep', entry: first?.entry, problem: rendering.problem }
  if (rendering.is === 'none') {
    const { reason } = rendering
    return first === undefined
      ? { is: 'nothing', reason }
      : { is: 'delete', ids: owned.map(({ entry }) => entry.id), reason }
  }
  const { spec, notices } = rendering
  const kept = bestFit(spec, owned)
  if (kept === undefined) return { is: 'create', spec, notices, id: undefined }
  const { entry, certainty } = kept
  if (certainty === 'perhaps-created') return { is: 'create', spec, notices, id: entry.id }
  const fields = certainty === 'sure' ? differingFields(entry, spec) : everyField
  if (fields.length > 0) return { is: 'update', spec, notices, entry, fields }
  const surplus = owned.flatMap((other) => (other === kept ? [] : [other.entry.id]))
  return { is: 'settled', entry, surplus, notices }
}

/** The entry that stays where an object has several: a sure one first, then the one with the least to change, then the lowest id. */
function bestFit(spec: EntrySpec, owned: readonly OwnedEntry[]): OwnedEntry | undefined {
  if (owned.length < 2) return owned[0]
  const rated = owned.map((candidate) => ({
    candidate,
    rank: candidate.certainty === 'sure' ? differingFields(candidate.entry, spec).length : everyField.length + 1,
  }))
  rated.sort((one, other) => one.rank - other.rank || (one.candidate.entry.id < other.candidate.entry.id ? -1 : 1))
  return rated[0]?.candidate
}
