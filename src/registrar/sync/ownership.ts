import type { Entry } from '../../spire/entry.ts'
import { type EntryIdScheme, isOwnEntryId } from './entry-id.ts'

/** Which entries of a server are a registrar's. Computed from the configuration at each start; nothing of it is stored. */
export interface Ownership {
  readonly ids: EntryIdScheme
  /**
   * SPIFFE IDs under which everything is the registrar's, as parent or as identity, whoever made it: entries of the registrar before
   * this one are adopted so. `spiffe://example.org/spire-k8s-registrar/demo/node` holds `…/node/n1`, and not `…/node-x/n1`.
   */
  readonly roots: readonly string[]
  /** SPIFFE IDs that are the registrar's themselves, as parent or as identity, such as the alias of a whole cluster. */
  readonly exactly: readonly string[]
  /** The registrar's own SPIFFE ID: the entry that lets it in. */
  readonly ownId: string | undefined
}

/** Whether an entry may be changed and deleted. Those that make an administrator never are, whatever their id says. */
export function isOwned(entry: Entry, { ids, roots, exactly, ownId }: Ownership): boolean {
  if (entry.admin || entry.spiffeId === ownId) return false
  if (isOwnEntryId(ids, entry.id)) return true
  return [entry.parentId, entry.spiffeId].some(
    (id) => exactly.includes(id) || roots.some((root) => id.startsWith(`${root}/`)),
  )
}
