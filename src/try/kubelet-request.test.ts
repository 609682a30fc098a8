import { expect, test } from 'vitest'
import { VolumeCapability_AccessMode_Mode as AccessMode } from '../gen/csi/v1/csi_pb.ts'
import { publishRequest, targetPath, volumeContext, volumeHandle } from './kubelet-request.ts'
import { samplePlanned } from './sample.ts'

const abilities = { mountGroup: true, multiWriter: false }

test('handle and target are what a kubelet makes of pod and volume', () => {
  // printf '%s' 7d8a4c2e-0000-4000-8000-000000000001tls | sha256sum
  expect(volumeHandle('7d8a4c2e-0000-4000-8000-000000000001', 'tls')).toBe(
    'csi-8286cf04ae08e2671d1f79025c95676510fc62a7eb5a5356350216b3b66f5a14',
  )
  expect(targetPath('/var/lib/kubelet', 'u-1', 'tls')).toBe(
    '/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~csi/tls/mount',
  )
})

test('what a pod author writes in the name of the kubelet is overwritten', () => {
  const { pod, volume } = samplePlanned('app')
  const forged = {
    ...volume,
    attributes: { ...volume.attributes, 'csi.storage.k8s.io/pod.name': 'admin', 'csi.storage.k8s.io/ephemeral': 'no' },
  }
  expect(volumeContext(pod, forged)).toEqual({
    ...volume.attributes,
    'csi.storage.k8s.io/pod.name': 'app',
    'csi.storage.k8s.io/pod.namespace': 'sandbox',
    'csi.storage.k8s.io/pod.uid': 'uid-of-app',
    'csi.storage.k8s.io/serviceAccount.name': 'default',
    'csi.storage.k8s.io/ephemeral': 'true',
  })
})

test('the group goes to a driver that applies it, and to no other', () => {
  const { pod, volume } = samplePlanned('app')
  const withGroup = { ...pod, fsGroup: 2000 }
  const groupOf = (mountGroup: boolean) => {
    const { volumeCapability } = publishRequest('/k', withGroup, volume, { ...abilities, mountGroup })
    return volumeCapability?.accessType.case === 'mount'
      ? volumeCapability.accessType.value.volumeMountGroup
      : undefined
  }
  expect(groupOf(true)).toBe('2000')
  expect(groupOf(false)).toBe('')
})

test('there are no secrets, the volume is read-only as its author says, and one pod writes', () => {
  const { pod, volume } = samplePlanned('app')
  const request = publishRequest('/k', pod, volume, abilities)
  expect(request).toMatchObject({ readonly: true, secrets: {}, publishContext: {}, stagingTargetPath: '' })
  expect(request.volumeCapability?.accessMode?.mode).toBe(AccessMode.SINGLE_NODE_WRITER)
  expect(publishRequest('/k', pod, { ...volume, readOnly: false }, abilities).readonly).toBe(false)
  const many = publishRequest('/k', pod, volume, { ...abilities, multiWriter: true })
  expect(many.volumeCapability?.accessMode?.mode).toBe(AccessMode.SINGLE_NODE_MULTI_WRITER)
})
