import type { Entry } from '../../spire/entry.ts'

/** Where an object stands, as told to whoever shows it to people: as an event, as a status. */
export type KeyOutcome =
  /**
   * It has the entry that it should have.
   *
   * @param change - what was done for it just now
   * @param notices - what was left out of the entry
   */
  | {
      readonly is: 'registered'
      readonly entry: Entry
      readonly change: 'created' | 'updated' | 'none'
      readonly notices: readonly string[]
    }
  /** It has none and should have none. */
  | { readonly is: 'unregistered'; readonly reason: string }
  /**
   * It should have none; its entry waits to be deleted.
   *
   * @param entry - that one; the first of several
   */
  | { readonly is: 'ending'; readonly reason: string; readonly entry: Entry | undefined }
  /** @param entry - the last good one, which stays */
  | { readonly is: 'problem'; readonly problem: string; readonly entry: Entry | undefined }
  /** @param by - somebody else's entry with the same SPIFFE ID, parent and selectors: the server holds one of a kind */
  | { readonly is: 'conflict'; readonly by: Entry }
  /**
   * The server refuses it; tried again.
   *
   * @param status - a gRPC status code
   * @param entry - what it has for the time being: as it was before, where a change is refused
   */
  | {
      readonly is: 'failed'
      readonly status: number
      readonly message: string
      readonly entry: Entry | undefined
    }
