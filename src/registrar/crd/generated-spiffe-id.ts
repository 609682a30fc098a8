import { isDeepStrictEqual } from 'node:util'
import type { OwnerReference } from '../../kubernetes/object.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import { isReadable, type SpiffeIdResource } from './read-spiffe-id.ts'
import {
  nodeUidLabel,
  podUidLabel,
  spiffeIdFinalizer,
  type SpiffeIdObject,
  type SpiffeIdSpec,
} from './spiffe-id-resource.ts'

/** A SpiffeID that is made for a pod or a node. */
export interface GeneratedSpiffeId {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly owner: OwnerReference
  readonly spec: SpiffeIdSpec
}

/** What is decided of a pod's SpiffeID; its selectors follow from the pod. */
export type PodIdentity = Pick<SpiffeIdSpec, 'spiffeId' | 'parentId' | 'dnsNames' | 'federatesWith'>

/** The SpiffeID of a pod, as SPIRE's registrar makes it: of the pod's name, in its namespace, and gone with it. */
export function podSpiffeId(pod: ObservedPod, identity: PodIdentity): GeneratedSpiffeId {
  const { namespace, name, uid, nodeName } = pod
  const { spiffeId, parentId, dnsNames = [], federatesWith = [] } = identity
  return {
    namespace,
    name,
    labels: { [podUidLabel]: uid },
    owner: ownerReference('Pod', name, uid),
    spec: {
      spiffeId,
      parentId,
      selector: { podUid: uid, namespace, nodeName },
      ...(dnsNames.length > 0 && { dnsNames }),
      ...(federatesWith.length > 0 && { federatesWith }),
    },
  }
}

/**
 * The SpiffeID of a node's alias: of the node's name, in the registrar's namespace.
 *
 * @param cluster - as SPIRE's k8s_psat node attestor knows it
 */
export function nodeSpiffeId(
  { name, uid }: ObservedNode,
  namespace: string,
  cluster: string,
  alias: Pick<SpiffeIdSpec, 'spiffeId' | 'parentId'>,
): GeneratedSpiffeId {
  return {
    namespace,
    name,
    labels: { [nodeUidLabel]: uid },
    owner: ownerReference('Node', name, uid),
    spec: { spiffeId: alias.spiffeId, parentId: alias.parentId, selector: { cluster, agent_node_uid: uid } },
  }
}

/** The object to create: with its finalizer, so that one write does. */
export function generatedObject({ namespace, name, labels, owner, spec }: GeneratedSpiffeId): SpiffeIdObject {
  return {
    metadata: { namespace, name, labels, ownerReferences: [owner], finalizers: [spiffeIdFinalizer] },
    spec,
  }
}

/** What brings the SpiffeID of a pod or node to where it should be. */
export type GeneratedStep =
  | { readonly is: 'create'; readonly object: SpiffeIdObject }
  /** @param patch - a merge patch of the one with this UID */
  | { readonly is: 'change'; readonly patch: object }
  /** The one there is has to go: it is of a former pod of this name, or not wanted any more. */
  | { readonly is: 'delete'; readonly uid: string }
  /** The name is taken by a SpiffeID that a person made, or one of another object. */
  | { readonly is: 'conflict'; readonly message: string }
  | { readonly is: 'nothing' }

/**
 * Compares the SpiffeID that an object should have with the one of its name.
 *
 * @param kind - of the object
 * @param uid - of the object
 * @param wanted - undefined where it should have none
 * @param existing - whatever has its name
 */
export function generatedStep(
  kind: 'Pod' | 'Node',
  uid: string,
  wanted: GeneratedSpiffeId | undefined,
  existing: SpiffeIdResource | undefined,
): GeneratedStep {
  if (existing === undefined) {
    return wanted === undefined ? { is: 'nothing' } : { is: 'create', object: generatedObject(wanted) }
  }
  // Its end tells, and then the object is looked at again.
  if (existing.terminating) return { is: 'nothing' }
  const { controller, namespace, name } = existing
  if (controller?.kind !== kind) {
    if (wanted === undefined) return { is: 'nothing' }
    const whose =
      controller === undefined
        ? 'which was not made for it'
        : `which belongs to the ${controller.kind} ${controller.name}`
    const message = `there is a SpiffeID ${namespace}/${name} ${whose}; it stays as it is`
    return { is: 'conflict', message }
  }
  if (wanted === undefined || controller.uid !== uid) return { is: 'delete', uid: existing.uid }
  if (isReadable(existing.spec) && isSameSpec(existing.spec, wanted.spec) && hasLabels(existing, wanted)) {
    return { is: 'nothing' }
  }
  return { is: 'change', patch: changePatch(existing, wanted) }
}

function ownerReference(kind: 'Pod' | 'Node', name: string, uid: string): OwnerReference {
  return { apiVersion: 'v1', kind, name, uid, controller: true, blockOwnerDeletion: false }
}

function isSameSpec(one: SpiffeIdSpec, other: SpiffeIdSpec): boolean {
  return isDeepStrictEqual(normalized(one), normalized(other))
}

/** Lists that are empty are as good as absent. */
function normalized({ dnsNames = [], federatesWith = [], downstream = false, ...rest }: SpiffeIdSpec): SpiffeIdSpec {
  return { ...rest, dnsNames, federatesWith, downstream }
}

function hasLabels({ podUid }: SpiffeIdResource, { labels }: GeneratedSpiffeId): boolean {
  return labels[podUidLabel] === undefined || labels[podUidLabel] === podUid
}

/** Fields of `spec` that are not wanted are taken away. A merge patch leaves what it does not name. */
function changePatch({ uid, spec }: SpiffeIdResource, { labels, spec: wanted }: GeneratedSpiffeId): object {
  const { selector, dnsNames = null, federatesWith = null, ...ids } = wanted
  const before = isReadable(spec) ? Object.keys(spec.selector) : []
  const dropped = Object.fromEntries(before.map((name) => [name, null]))
  return {
    metadata: { uid, labels },
    spec: { ...ids, selector: { ...dropped, ...selector }, dnsNames, federatesWith, downstream: null },
  }
}
