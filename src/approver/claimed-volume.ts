import { createHash } from 'node:crypto'
import { identityKeys } from '../issuer/request-identity.ts'
import type { ObjectMeta, Pod, PodVolume } from '../kubernetes/object.ts'

/** The pod and volume that a driver's request names. */
export interface ClaimedVolume {
  readonly pod: Pod
  readonly volume: PodVolume
}

/** The kubelet's id of an inline volume (csi_util.go, makeVolumeHandle): it names the pod by its UID. */
export function volumeIdOf(podUid: string, volume: string): string {
  return `csi-${createHash('sha256')
    .update(podUid + volume)
    .digest('hex')}`
}

/**
 * Finds the volume that a request is for among the pods of a node.
 *
 * @param driverNames - only volumes of these CSI drivers count
 * @returns undefined where no pod has it
 */
export function claimedVolume(
  { annotations = {} }: ObjectMeta,
  pods: readonly Pod[],
  driverNames: readonly string[],
): ClaimedVolume | undefined {
  const id = annotations[identityKeys.volume]
  for (const pod of pods) {
    const volume = pod.spec?.volumes?.find(
      ({ name, csi }) =>
        csi !== undefined && driverNames.includes(csi.driver) && volumeIdOf(pod.metadata.uid ?? '', name) === id,
    )
    if (volume !== undefined) return { pod, volume }
  }
  return undefined
}
