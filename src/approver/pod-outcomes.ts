import type { Pod } from '../kubernetes/object.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'

/** A pod as somebody says it is. */
export interface ClaimedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly serviceAccount: string
  /** Undefined where nobody says so: tokens from before Kubernetes 1.30 do not. */
  readonly node: string | undefined
}

/** Marks pods that the kubelet reads from files, which anybody with the node's disk can write. */
const mirrorAnnotation = 'kubernetes.io/config.mirror'

/**
 * Whether the pod is there, is the one that is meant, and may still be given an identity. All of it may change: nothing here denies.
 *
 * @param what - whose pod it is, for the names of the rules
 */
export function podOutcomes(pod: Pod | undefined, claimed: ClaimedPod, what: 'pod' | 'driver' = 'pod'): RuleOutcome[] {
  const value = `${claimed.namespace}/${claimed.name}`
  const no = (rule: string, shown: string, why: string): RuleOutcome[] => [
    failed(`${what}.${rule}`, 'extrinsic', shown, why),
  ]
  if (pod === undefined) return no('exists', value, 'there is no such pod, or none was seen yet')
  const { uid, deletionTimestamp, annotations = {} } = pod.metadata
  if (uid !== claimed.uid) return no('uid', claimed.uid, `the pod of this name has another UID, ${uid ?? 'none'}`)
  const account = pod.spec?.serviceAccountName ?? 'default'
  if (account !== claimed.serviceAccount)
    return no('serviceAccount', claimed.serviceAccount, `the pod runs as ${account}`)
  const node = pod.spec?.nodeName
  if (claimed.node !== undefined && node !== claimed.node) {
    return no('node', claimed.node, `the pod is ${node === undefined ? 'on no node yet' : `on node ${node}`}`)
  }
  if (mirrorAnnotation in annotations) return no('mirror', value, "it is a static pod, whose identity is its node's")
  if (deletionTimestamp !== undefined) return no('terminating', value, 'the pod is being deleted')
  const phase = pod.status?.phase ?? 'Pending'
  if (phase === 'Succeeded' || phase === 'Failed') return no('finished', value, `the pod has ended: ${phase}`)
  return [passed(`${what}.exists`, value, `the pod is there with this UID, as ${account}`, { nature: 'extrinsic' })]
}
