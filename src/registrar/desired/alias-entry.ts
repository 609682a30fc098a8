import type { EntrySpec, Selector } from '../../spire/entry.ts'
import { formatSpiffeId } from '../../spire/spiffe-id.ts'
import type { ObservedNode } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import { federationOf } from './federation.ts'
import type { IdentityRules } from './identity-rules.ts'

/**
 * The alias that stands for a node's agent, whatever ID its attestation gave it: the parent of the node's pods.
 *
 * A node whose deletion has begun may run pods until it is drained, so it keeps its alias until it is gone, except where identities end
 * at deletion.
 *
 * @param bundles - the trust domains that the server has bundles of; undefined where all are taken
 */
export function nodeEntry(
  rules: IdentityRules,
  node: ObservedNode,
  bundles: ReadonlySet<string> | undefined,
): Rendering {
  const { trustDomain, cluster, aliasRoot, nodesBy, nodesFederate, parents, termination } = rules
  if (parents === 'cluster') return { is: 'none', reason: 'one alias stands for all nodes' }
  if (termination === 'at_deletion' && node.terminating) return { is: 'none', reason: 'it is being deleted' }
  const { federatesWith, notices } = federationOf(nodesFederate ? node.annotations : {}, trustDomain, bundles)
  const agent = nodesBy === 'name' ? `agent_node_name:${node.name}` : `agent_node_uid:${node.uid}`
  const spec = aliasSpec(trustDomain, `${aliasRoot}/${node.name}`, [agent, `cluster:${cluster}`])
  return { is: 'entry', spec: { ...spec, federatesWith }, notices }
}

/** The alias that stands for every agent of the cluster, in webhook mode without node parents. */
export function clusterEntry({ trustDomain, cluster, aliasRoot }: IdentityRules): EntrySpec {
  return aliasSpec(trustDomain, aliasRoot, [`cluster:${cluster}`])
}

function aliasSpec(trustDomain: string, path: string, values: readonly string[]): EntrySpec {
  const selectors: readonly Selector[] = values.map((value) => ({ type: 'k8s_psat', value }))
  return {
    spiffeId: formatSpiffeId({ trustDomain, path }),
    parentId: formatSpiffeId({ trustDomain, path: '/spire/server' }),
    selectors,
    dnsNames: [],
    federatesWith: [],
    downstream: false,
  }
}
