import type { RequestObject } from './request/request-object.ts'

/** Who made a request, as the API server attested it. */
export interface Requester {
  readonly username: string
  readonly uid: string | undefined
  readonly groups: readonly string[]
  /** Undefined for anyone but a service account. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined
  /** From a token that is bound to a pod. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined
  /** From a token that is bound to a pod or a node, and for the nodes' own accounts. */
  readonly node: string | undefined
  /** Whether the requester is the node itself, and not somebody on it. */
  readonly isNode: boolean
}

const extraPrefix = 'authentication.kubernetes.io/'
/** The username of a service account: its namespace and name. */
export const serviceAccountName = /^system:serviceaccount:([^:]+):([^:]+)$/
const nodeName = /^system:node:([^:]+)$/

/**
 * Reads what the API server stamped on a request: the user of the call that made it, and where its token was bound to a pod, the pod
 * (KEP-1205, KEP-4193). A PodCertificateRequest carries none.
 */
export function requesterOf({ kind, object }: RequestObject): Requester | undefined {
  if (kind === 'PodCertificateRequest') return undefined
  const { username = '', uid, groups = [], extra = {} } = object.spec
  const single = (key: string): string | undefined => {
    const values = extra[`${extraPrefix}${key}`] ?? []
    return values.length === 1 ? values[0] : undefined
  }
  const [, namespace, name] = serviceAccountName.exec(username) ?? []
  const [podName, podUid] = [single('pod-name'), single('pod-uid')]
  // Nodes have the group too; a user who only took the name does not.
  const ownNode = groups.includes('system:nodes') ? nodeName.exec(username)?.[1] : undefined
  return {
    username,
    uid,
    groups,
    serviceAccount: namespace === undefined || name === undefined ? undefined : { namespace, name },
    pod:
      podName === undefined || podUid === undefined || name === undefined ? undefined : { name: podName, uid: podUid },
    node: ownNode ?? single('node-name'),
    isNode: ownNode !== undefined,
  }
}
