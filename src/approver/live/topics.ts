import { namespaceOfRequest, type RequestObject } from '../request/request-object.ts'
import { requesterOf } from '../requester.ts'
import type { Subject } from '../subject.ts'
import { interest } from './interests.ts'
import type { PodName } from './lookups.ts'

/**
 * What a request may wait for: the pods it is about, their namespace with its Services and service accounts, their node.
 *
 * @param subject - whom it is for, where that is known already
 */
export function topicsOf(request: RequestObject, pods: readonly PodName[], subject?: Subject): ReadonlySet<string> {
  const requester = requesterOf(request)
  const namespaces = [
    namespaceOfRequest(request),
    requester?.serviceAccount?.namespace,
    subject?.namespace,
    ...pods.map(({ namespace }) => namespace),
  ]
  const node = subject?.node ?? requester?.node
  return new Set([
    ...pods.map(({ namespace, name }) => interest.pod(namespace, name)),
    ...namespaces.flatMap((namespace) => (namespace === undefined ? [] : [interest.namespace(namespace)])),
    ...(node === undefined ? [] : [interest.node(node)]),
    // The pod that a driver asks for is known by a volume; until it is seen, it may be any on the node.
    ...(node !== undefined && subject !== undefined && subject.pod === undefined ? [interest.podsOfNode(node)] : []),
  ])
}
