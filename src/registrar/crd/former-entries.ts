import type { Entry } from '../../spire/entry.ts'

/** How SPIRE's k8s-workload-registrar, in its mode crd, lays out what it makes. */
export interface FormerLayout {
  /** `spiffe://example.org/spire/server`: the parent of the aliases of nodes. */
  readonly serverId: string
  /** `spiffe://example.org/k8s-workload-registrar/demo/node`. */
  readonly aliasRoot: string
  /** As SPIRE's k8s_psat node attestor knows it. */
  readonly cluster: string
}

/**
 * Whose entry it is, where it looks like one that the former registrar made for a pod or a node by itself. Those that people made, by
 * hand or with a SpiffeID, do not: a parent under the root alone does not make an entry ours.
 *
 * @returns the UID of the pod or node; undefined for all others
 */
export function formerOwner(entry: Entry, { serverId, aliasRoot, cluster }: FormerLayout): string | undefined {
  const { selectors, spiffeId, parentId, downstream } = entry
  if (downstream) return undefined
  const value = (type: string, name: string): string | undefined =>
    selectors.find((one) => one.type === type && one.value.startsWith(`${name}:`))?.value.slice(name.length + 1)
  if (parentId === serverId && spiffeId.startsWith(`${aliasRoot}/`)) {
    const isNode = selectors.length === 2 && value('k8s_psat', 'cluster') === cluster
    return isNode ? value('k8s_psat', 'agent_node_uid') : undefined
  }
  const node = value('k8s', 'node-name')
  const isPod = selectors.length === 3 && value('k8s', 'ns') !== undefined && node !== undefined
  return isPod && parentId === `${aliasRoot}/${node}` ? value('k8s', 'pod-uid') : undefined
}
