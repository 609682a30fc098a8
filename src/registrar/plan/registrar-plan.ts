import type { Entry, EntryField, EntrySpec } from '../../spire/entry.ts'

/** What a registrar would write, were it to lead now, and what it would say. Objects are named by the keys of its synchronisation. */
export interface RegistrarPlan {
  readonly creates: readonly PlannedCreate[]
  readonly updates: readonly PlannedUpdate[]
  readonly deletes: readonly PlannedDelete[]
  /** Objects that have what they should have. */
  readonly unchanged: number
  /** Objects whose rendering has a problem: what they have stays as it is. */
  readonly problems: readonly PlannedProblem[]
  /** Objects whose entry the server would not take, since it holds another of the kind. */
  readonly conflicts: readonly PlannedConflict[]
  /** What is left out of entries. */
  readonly notices: readonly { readonly key: string; readonly notice: string }[]
  /** Objects that get no entry, and have none. */
  readonly without: readonly { readonly key: string; readonly reason: string }[]
  /** Entries that are the registrar's as of now. */
  readonly owned: readonly Entry[]
  /** Entries of others: never touched. */
  readonly foreign: readonly Entry[]
  readonly fuse: FuseVerdict
}

export interface PlannedCreate {
  readonly key: string
  /** Of the new entry. */
  readonly id: string
  readonly spec: EntrySpec
}

export interface PlannedUpdate {
  readonly key: string
  /** As it is. */
  readonly entry: Entry
  /** As it is to be. */
  readonly spec: EntrySpec
  readonly fields: readonly EntryField[]
}

export interface PlannedDelete {
  readonly key: string
  readonly entry: Entry
  readonly reason: string
}

export interface PlannedProblem {
  readonly key: string
  readonly problem: string
  /** The last good one, which stays. */
  readonly entry: Entry | undefined
}

export interface PlannedConflict {
  readonly key: string
  readonly spec: EntrySpec
  /** The one that the server holds, with the same SPIFFE ID, parent and selectors. */
  readonly by: Entry
}

/** Whether the deletes would be held back. */
export interface FuseVerdict {
  /** Objects whose entries are to be deleted; they count, as in the registrar. */
  readonly deletes: number
  /** Entries of the registrar's, new ones among them. */
  readonly entries: number
  readonly isHeld: boolean
}

/** Whether the registrar would write anything to the SPIRE server. */
export function hasChanges({ creates, updates, deletes }: RegistrarPlan): boolean {
  return creates.length + updates.length + deletes.length > 0
}
