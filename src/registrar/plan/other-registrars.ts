import type { Entry } from '../../spire/entry.ts'
import { formatSpiffeId, isWithin, parseSpiffeId } from '../../spire/spiffe-id.ts'
import { type Identity, identityText } from '../desired/identity-text.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { SeenObjects } from '../seen-objects.ts'
import { orphanKey } from '../live/object-keys.ts'

export interface OtherRegistrarsOptions {
  readonly rules: IdentityRules
  readonly ownId: string | undefined
  readonly objects: SeenObjects
  /** The keys of objects, as the synchronisation names them. */
  readonly keyOfPod: (pod: ObservedPod) => string
  readonly keyOfNode: (node: ObservedNode) => string
  /** What objects should have, by their keys. */
  readonly identities: Iterable<readonly [key: string, identity: Identity]>
}

/**
 * Whose an entry of another registrar would be, for a comparison with it. Such are entries that are the same as one that an object should
 * have but for their id; those under the aliases of SPIRE's k8s-workload-registrar in any of its modes; and those that
 * spire-controller-manager makes for pods, under the agents themselves.
 *
 * @returns undefined for all else, such as what people made by hand, and administrators
 */
export function otherRegistrars(options: OtherRegistrarsOptions): (entry: Entry) => string | undefined {
  const { rules, ownId, objects, keyOfPod, keyOfNode, identities } = options
  const wanted = new Map([...identities].map(([key, identity]) => [identityText(identity), key]))
  const podsByUid = new Map(objects.pods().map((pod) => [pod.uid, pod]))
  const nodesByUid = new Map(objects.nodes().map((node) => [node.uid, node]))
  return (entry) => {
    if (entry.admin || entry.spiffeId === ownId) return undefined
    const same = wanted.get(identityText(entry))
    if (same !== undefined) return same
    if (!isUnderAlias(entry, rules) && !isUnderAgent(entry, rules)) return undefined
    const value = (type: string, name: string): string | undefined => valueOf(entry, type, name)
    const podUid = value('k8s', 'pod-uid')
    const podName = value('k8s', 'pod-name')
    const pod =
      podUid === undefined
        ? podName !== undefined && objects.pod(value('k8s', 'ns') ?? '', podName)
        : podsByUid.get(podUid)
    if (pod) return keyOfPod(pod)
    const nodeUid = value('k8s_psat', 'agent_node_uid')
    const node =
      nodeUid === undefined ? objects.node(value('k8s_psat', 'agent_node_name') ?? '') : nodesByUid.get(nodeUid)
    return node === undefined ? orphanKey(entry.id) : keyOfNode(node)
  }
}

function isUnderAlias({ parentId, spiffeId }: Entry, { trustDomain, cluster, reserved }: IdentityRules): boolean {
  return reserved.controllerNames.some((name) => {
    const root = formatSpiffeId({ trustDomain, path: `/${name}/${cluster}/node` })
    return [parentId, spiffeId].some((id) => id === root || id.startsWith(`${root}/`))
  })
}

/** As spire-controller-manager makes them: `…/spire/agent/k8s_psat/<cluster>/<UID of the node>`, for the UID of a pod. */
function isUnderAgent(entry: Entry, { trustDomain, cluster }: IdentityRules): boolean {
  const parent = parseSpiffeId(entry.parentId)
  if (!('path' in parent) || parent.trustDomain !== trustDomain) return false
  return isWithin(parent.path, `/spire/agent/k8s_psat/${cluster}`) && valueOf(entry, 'k8s', 'pod-uid') !== undefined
}

function valueOf({ selectors }: Entry, type: string, name: string): string | undefined {
  const start = `${name}:`
  return selectors
    .find((selector) => selector.type === type && selector.value.startsWith(start))
    ?.value.slice(start.length)
}
