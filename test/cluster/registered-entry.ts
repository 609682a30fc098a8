import type { SpireServer } from './spire.ts'

/**
 * An entry as the server's command line shows it, by the names of SPIRE's API; 64-bit integers are texts. Fields that are not named here
 * are there, too: lifetimes, hint and whatever else the server has.
 */
export interface RegisteredEntry {
  readonly id: string
  readonly spiffe_id: RegisteredId
  readonly parent_id: RegisteredId
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
  readonly dns_names: readonly string[]
  readonly federates_with: readonly string[]
  readonly downstream: boolean
  readonly admin: boolean
  /** Seconds since the epoch. */
  readonly created_at: string
  readonly revision_number: string
}

/** A SPIFFE ID in its parts. */
export interface RegisteredId {
  readonly trust_domain: string
  readonly path: string
}

/** All entries of a server with all their fields, in no order. */
export async function registeredEntries(server: SpireServer): Promise<readonly RegisteredEntry[]> {
  const answer = await server.command('entry show', ['-output', 'json'])
  return (JSON.parse(answer) as { readonly entries: readonly RegisteredEntry[] }).entries
}
