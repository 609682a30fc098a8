import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import {
  type NodePublishVolumeRequest,
  NodePublishVolumeRequestSchema,
  VolumeCapability_AccessMode_Mode as AccessMode,
} from '../gen/csi/v1/csi_pb.ts'
import { kubeletKeys } from '../volume/attributes.ts'
import type { CsiVolume } from './csi-volume.ts'
import type { PlannedPod } from './pods.ts'

/** What a driver says it can do, as far as it changes what a kubelet sends. */
export interface NodeAbilities {
  /** VOLUME_MOUNT_GROUP: the driver applies the pod's fsGroup. */
  readonly mountGroup: boolean
  /** SINGLE_NODE_MULTI_WRITER. */
  readonly multiWriter: boolean
}

/** The handle of an inline volume (kubelet csi_plugin.go makeVolumeHandle). */
export function volumeHandle(podUid: string, volumeName: string): string {
  return `csi-${createHash('sha256')
    .update(podUid + volumeName)
    .digest('hex')}`
}

/** The folder of a volume in the kubelet's own: it holds `mount`, the target, and vol_data.json. */
export function volumeFolder(kubeletRoot: string, podUid: string, volumeName: string): string {
  return join(kubeletRoot, 'pods', podUid, 'volumes', 'kubernetes.io~csi', volumeName)
}

/** The path at which a driver shows a volume to its pod (kubelet csi_mounter.go GetPath). */
export function targetPath(kubeletRoot: string, podUid: string, volumeName: string): string {
  return join(volumeFolder(kubeletRoot, podUid, volumeName), 'mount')
}

/** The author's attributes, and over them what the kubelet says of the pod for a CSIDriver with `podInfoOnMount: true`. */
export function volumeContext(pod: PlannedPod, volume: CsiVolume): Record<string, string> {
  return {
    ...volume.attributes,
    [kubeletKeys.podName]: pod.name,
    [kubeletKeys.podNamespace]: pod.namespace,
    [kubeletKeys.podUid]: pod.uid,
    [kubeletKeys.serviceAccount]: pod.serviceAccount,
    [kubeletKeys.ephemeral]: 'true',
  }
}

/** The call that a kubelet makes for one volume of a pod (kubelet csi_mounter.go SetUpAt, csi_client.go NodePublishVolume). */
export function publishRequest(
  kubeletRoot: string,
  pod: PlannedPod,
  volume: CsiVolume,
  abilities: NodeAbilities,
): NodePublishVolumeRequest {
  const group = abilities.mountGroup && pod.fsGroup !== undefined ? String(pod.fsGroup) : ''
  return create(NodePublishVolumeRequestSchema, {
    volumeId: volumeHandle(pod.uid, volume.name),
    targetPath: targetPath(kubeletRoot, pod.uid, volume.name),
    readonly: volume.readOnly,
    volumeContext: volumeContext(pod, volume),
    volumeCapability: {
      accessMode: {
        mode: abilities.multiWriter ? AccessMode.SINGLE_NODE_MULTI_WRITER : AccessMode.SINGLE_NODE_WRITER,
      },
      accessType: { case: 'mount', value: { fsType: volume.fsType, mountFlags: [], volumeMountGroup: group } },
    },
  })
}
