import type { Pod } from '../kubernetes/object.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import { type ClaimedPod, podOutcomes } from './pod-outcomes.ts'

/**
 * Whether who asks as a driver is one: its token is bound to a pod that is there, as that service account, on that node, and a DaemonSet
 * runs the pod. Anything else under the driver's account, such as a pod that somebody made by hand, speaks for nobody but itself.
 */
export function driverOutcomes(pod: Pod | undefined, claimed: ClaimedPod): RuleOutcome[] {
  const outcomes = podOutcomes(pod, claimed, 'driver')
  if (pod === undefined || outcomes.some(({ result }) => result === 'failed')) return outcomes
  const value = `${claimed.namespace}/${claimed.name}`
  // The one owner that makes and removes it (metav1.GetControllerOf).
  const controller = pod.metadata.ownerReferences?.find((owner) => owner.controller === true)
  const isOfDaemonSet = controller?.kind === 'DaemonSet' && controller.apiVersion.startsWith('apps/')
  return [
    ...outcomes,
    isOfDaemonSet
      ? passed('driver.daemonSet', value, `it is a pod of DaemonSet ${controller.name}`, { nature: 'extrinsic' })
      : failed('driver.daemonSet', 'extrinsic', value, 'it is no pod of a DaemonSet, as a driver on each node is'),
  ]
}
