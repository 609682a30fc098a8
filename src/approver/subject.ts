import type { Pod } from '../kubernetes/object.ts'
import type { LiveObjects } from './live-objects.ts'
import { driverOutcomes } from './driver-outcomes.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import { podOutcomes } from './pod-outcomes.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'
import type { RequestObject } from './request/request-object.ts'
import { type Requester, requesterOf } from './requester.ts'
import { type Origin } from './names/fact.ts'
import { volumeOutcomes } from './volume-outcomes.ts'
import { claimedVolume } from './claimed-volume.ts'

/** Who a certificate is for, and how that is known. */
export interface Subject {
  /** Undefined for a PodCertificateRequest, which carries none. */
  readonly requester: Requester | undefined
  /** How far namespace, service account, pod and node can be trusted. */
  readonly origin: Origin
  readonly namespace: string | undefined
  readonly serviceAccount: { readonly name: string; readonly uid: string | undefined } | undefined
  readonly pod: PodIdentity | undefined
  readonly node: string | undefined
  /** The pod itself, if it could be found and is the one that is meant. */
  readonly livePod: Pod | undefined
  /** What had to hold for the pod to be the subject. */
  readonly outcomes: readonly RuleOutcome[]
}

export interface PodIdentity {
  readonly name: string
  readonly uid: string
}

/** Who may ask for others. */
export interface Drivers {
  /** Usernames of node agents, such as `system:serviceaccount:podpass:podpass-driver`, that may ask for a pod on their own node. */
  readonly identities: readonly string[]
  /** The names that our CSI driver runs under. */
  readonly driverNames: readonly string[]
}

/**
 * Finds who a request is for: the pod of a PodCertificateRequest; the pod, service account, node or user that made the request; or,
 * where a driver made it, the pod on the driver's node whose volume it names.
 */
export function subjectOf(
  request: RequestObject,
  asked: AskedCertificate | undefined,
  live: LiveObjects,
  drivers: Drivers,
): Subject {
  if (request.kind === 'PodCertificateRequest') return podRequestSubject(request, live)
  const requester = requesterOf(request)
  if (requester === undefined) throw new TypeError(`a ${request.kind} has a requester`)
  if (drivers.identities.includes(requester.username)) return driverSubject(request, requester, asked, live, drivers)
  return ownSubject(requester, live)
}

function podRequestSubject(
  { object }: Extract<RequestObject, { kind: 'PodCertificateRequest' }>,
  live: LiveObjects,
): Subject {
  const { podName, podUID, serviceAccountName, serviceAccountUID, nodeName } = object.spec
  const namespace = object.metadata.namespace ?? ''
  const pod = { name: podName, uid: podUID }
  const outcomes = podOutcomes(live.pod(namespace, podName), {
    ...pod,
    namespace,
    serviceAccount: serviceAccountName,
    node: nodeName,
  })
  return {
    requester: undefined,
    // The API server's node restriction has compared them with the pod (KEP-4317).
    origin: 'attested',
    namespace,
    serviceAccount: { name: serviceAccountName, uid: serviceAccountUID },
    pod,
    node: nodeName,
    livePod: livePodOf(live, namespace, pod),
    outcomes,
  }
}

function ownSubject(requester: Requester, live: LiveObjects): Subject {
  const { serviceAccount, pod, node, uid } = requester
  const namespace = serviceAccount?.namespace
  const outcomes =
    serviceAccount === undefined || pod === undefined
      ? []
      : podOutcomes(live.pod(serviceAccount.namespace, pod.name), {
          ...pod,
          namespace: serviceAccount.namespace,
          serviceAccount: serviceAccount.name,
          node,
        })
  return {
    requester,
    origin: 'attested',
    namespace,
    serviceAccount: serviceAccount && { name: serviceAccount.name, uid },
    pod,
    node,
    livePod: namespace === undefined || pod === undefined ? undefined : livePodOf(live, namespace, pod),
    outcomes,
  }
}

function livePodOf(live: LiveObjects, namespace: string, { name, uid }: PodIdentity): Pod | undefined {
  const pod = live.pod(namespace, name)
  return pod?.metadata.uid === uid ? pod : undefined
}

/** A node agent speaks for a pod: necessary for the pod to be the subject, and never sufficient for any name. */
function driverSubject(
  request: Exclude<RequestObject, { kind: 'PodCertificateRequest' }>,
  requester: Requester,
  asked: AskedCertificate | undefined,
  live: LiveObjects,
  { driverNames }: Drivers,
): Subject {
  const { node, serviceAccount, pod: agent } = requester
  const nobody = { namespace: undefined, serviceAccount: undefined, pod: undefined, livePod: undefined }
  const by = { requester, origin: 'live', node } as const
  const { username } = requester
  if (node === undefined || serviceAccount === undefined || agent === undefined) {
    const why = 'a driver asks with a token that is bound to its pod and node, and this one is not'
    return { ...by, ...nobody, outcomes: [failed('requester.driver', 'intrinsic', username, why)] }
  }
  const claimed = { ...agent, namespace: serviceAccount.namespace, serviceAccount: serviceAccount.name, node }
  const own = driverOutcomes(live.pod(serviceAccount.namespace, agent.name), claimed)
  const claim = claimedVolume(request.object.metadata, live.podsOnNode(node), driverNames)
  if (claim === undefined) {
    const why = `no pod on node ${node} has the volume that the request names`
    return { ...by, ...nobody, outcomes: [...own, failed('requester.driver', 'extrinsic', username, why)] }
  }
  const { pod } = claim
  const { name = '', uid = '', namespace = '' } = pod.metadata
  const account = pod.spec?.serviceAccountName ?? 'default'
  const why = `it may ask for pods on node ${node}, where ${namespace}/${name} has the volume`
  return {
    ...by,
    namespace,
    serviceAccount: { name: account, uid: live.serviceAccount(namespace, account)?.metadata.uid },
    pod: { name, uid },
    livePod: pod,
    outcomes: [
      ...own,
      passed('requester.driver', username, why, { nature: 'extrinsic' }),
      ...podOutcomes(pod, { name, uid, namespace, serviceAccount: account, node }),
      ...volumeOutcomes(claim, request, asked),
    ],
  }
}
