import type { Condition, KubernetesObject, ObjectMeta } from '../../kubernetes/object.ts'
import type { Resource } from '../../kubernetes/resource.ts'

/** Keeps a SpiffeID until its entry is deleted. The name is the one that SPIRE's k8s-workload-registrar uses. */
export const spiffeIdFinalizer = 'finalizers.spiffeid.spiffe.io'

/** The label of a SpiffeID that was made for a pod: the pod's UID. */
export const podUidLabel = 'podUid'

/** The label of a SpiffeID that was made for a node: the node's UID. */
export const nodeUidLabel = 'nodeUid'

/** `spec.selector`: what a workload, or a node's agent, has to show. */
export interface SpiffeIdSelector {
  readonly cluster?: string
  readonly agent_node_uid?: string
  readonly podLabel?: Readonly<Record<string, string>>
  readonly podName?: string
  readonly podUid?: string
  readonly namespace?: string
  readonly serviceAccount?: string
  readonly containerName?: string
  readonly containerImage?: string
  readonly nodeName?: string
  /** Values of further selectors of the type `k8s`. */
  readonly arbitrary?: readonly string[]
}

/** `spec` of a SpiffeID. */
export interface SpiffeIdSpec {
  readonly spiffeId: string
  readonly parentId: string
  readonly selector: SpiffeIdSelector
  readonly dnsNames?: readonly string[]
  readonly federatesWith?: readonly string[]
  readonly downstream?: boolean
}

/** A condition as it stands in a SpiffeID's status. */
export interface SpiffeIdCondition extends Condition {
  readonly observedGeneration?: number
}

export interface SpiffeIdStatus {
  /** The entry on the SPIRE server; absent while there is none. */
  readonly entryId?: string | null
  readonly observedGeneration?: number
  readonly conditions?: readonly SpiffeIdCondition[]
}

/** spiffeid.spiffe.io/v1beta1 SpiffeID as the API server holds it; its spec is read by {@link import('./read-spiffe-id.ts').readSpiffeId} alone. */
export interface SpiffeIdObject extends KubernetesObject {
  readonly spec?: unknown
  readonly status?: SpiffeIdStatus
}

export const spiffeIds: Resource<SpiffeIdObject> = {
  group: 'spiffeid.spiffe.io',
  version: 'v1beta1',
  plural: 'spiffeids',
  kind: 'SpiffeID',
  namespaced: true,
}

/** Whose entry it is, for the synchronisation. Names and namespaces hold no slash. */
export function spiffeIdKey({ namespace = '', name = '' }: Pick<ObjectMeta, 'namespace' | 'name'>): string {
  return `spiffeid/${namespace}/${name}`
}
