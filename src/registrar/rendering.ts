import type { EntrySpec } from '../spire/entry.ts'

/**
 * What the configuration makes of one object: the entry that it should have, none, or a problem.
 *
 * A problem is never a reason to take an entry away that the object has: the last good one stays.
 */
export type Rendering =
  | {
      readonly is: 'entry'
      readonly spec: EntrySpec
      /** What was left out, for the pod's author: a federated bundle that the server lacks, a name that no certificate can hold. */
      readonly notices: readonly string[]
    }
  /** @param reason - why the object gets no entry, as a clause: `its namespace is disabled` */
  | { readonly is: 'none'; readonly reason: string }
  /** @param problem - a sentence that names the field and its value */
  | { readonly is: 'problem'; readonly problem: string }
