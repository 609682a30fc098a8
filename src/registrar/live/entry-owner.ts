import type { Entry } from '../../spire/entry.ts'
import { formatSpiffeId } from '../../spire/spiffe-id.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { isOwned, type Ownership } from '../sync/ownership.ts'
import type { EntryIdScheme } from '../sync/entry-id.ts'
import { clusterKey, nodeKey, orphanKey, podKey } from './object-keys.ts'

/**
 * Which entries are the registrar's: those with its ids, and those that it, or the one before it, has put under the root of its aliases.
 *
 * @param ownId - the registrar's own SPIFFE ID, where it has one
 */
export function ownershipOf(
  { trustDomain, aliasRoot, parents }: Pick<IdentityRules, 'trustDomain' | 'aliasRoot' | 'parents'>,
  ids: EntryIdScheme,
  ownId: string | undefined,
): Ownership {
  const root = formatSpiffeId({ trustDomain, path: aliasRoot })
  return { ids, roots: [root], exactly: parents === 'cluster' ? [root] : [], ownId }
}

/**
 * The object that an entry belongs to, by what it asks of workloads and agents. The entries of the old registrar are told so, too.
 *
 * @returns undefined for somebody else's entry
 */
export function ownerOf(entry: Entry, rules: IdentityRules, ownership: Ownership): string | undefined {
  if (!isOwned(entry, ownership)) return undefined
  return podOf(entry) ?? nodeOf(entry, rules) ?? orphanKey(entry.id)
}

function podOf({ selectors }: Entry): string | undefined {
  const namespace = valueOf(selectors, 'k8s', 'ns')
  const name = valueOf(selectors, 'k8s', 'pod-name')
  return selectors.length === 2 && namespace !== undefined && name !== undefined ? podKey(namespace, name) : undefined
}

function nodeOf(
  { selectors, spiffeId }: Entry,
  { cluster, trustDomain, aliasRoot }: IdentityRules,
): string | undefined {
  if (valueOf(selectors, 'k8s_psat', 'cluster') !== cluster) return undefined
  const root = formatSpiffeId({ trustDomain, path: aliasRoot })
  if (selectors.length === 1) return spiffeId === root ? clusterKey : undefined
  if (selectors.length !== 2) return undefined
  const name = valueOf(selectors, 'k8s_psat', 'agent_node_name')
  if (name !== undefined) return nodeKey(name)
  // By UID alone nobody knows which node it is, and its ID tells.
  const isByUid = valueOf(selectors, 'k8s_psat', 'agent_node_uid') !== undefined
  const last = spiffeId.startsWith(`${root}/`) ? spiffeId.slice(root.length + 1) : ''
  return isByUid && last !== '' && !last.includes('/') ? nodeKey(last) : undefined
}

/** What stands behind `<name>:` in the selector of a type. */
function valueOf(selectors: Entry['selectors'], type: string, name: string): string | undefined {
  const start = `${name}:`
  return selectors
    .find((selector) => selector.type === type && selector.value.startsWith(start))
    ?.value.slice(start.length)
}
