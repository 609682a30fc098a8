import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { identityHash, identityKeys, identityMetadata, nodeSelector, volumeOf } from './request-identity.ts'

test('a hash is 128 bits of SHA-256', () => {
  expect(identityHash('')).toBe('e3b0c44298fc1c149afbf4c8996fb924')
  expect(identityHash('worker-1')).toMatch(/^[0-9a-f]{32}$/)
})

test('labels carry hashes that fit, annotations the full ids', () => {
  const node = 'n'.repeat(253)
  const { labels, annotations } = identityMetadata(node, 'csi-1')
  expect(labels).toEqual({
    'podpass.io/node-hash': identityHash(node),
    'podpass.io/volume-hash': identityHash('csi-1'),
  })
  expect(annotations).toEqual({ 'podpass.io/node': node, 'podpass.io/volume': 'csi-1' })
})

test('what is made for a node is selected by it, whatever its name and the id of the volume', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (node, volume) => {
      const metadata = identityMetadata(node, volume)
      // Kubernetes takes only this of a label value.
      for (const value of Object.values(metadata.labels)) expect(value).toMatch(/^[a-z0-9]{1,63}$/)
      const [key = '', value] = nodeSelector(node).split('=')
      expect(metadata.labels[key]).toBe(value)
      expect(volumeOf(metadata, node)).toBe(volume)
      expect(volumeOf(metadata, `${node}x`)).toBeUndefined()
    }),
  )
})

test('a request of another node is not ours, even where the hash of the node is the same', () => {
  const metadata = identityMetadata('worker-1', 'csi-1')
  const colliding = { ...metadata, labels: { ...metadata.labels, [identityKeys.nodeHash]: identityHash('worker-2') } }
  expect(volumeOf(colliding, 'worker-2')).toBeUndefined()
})

test.each([
  ['no annotations', {}],
  ['none of ours', { annotations: { 'csi.cert-manager.io/volume': 'csi-1' } }],
  ['labels only', { labels: identityMetadata('worker-1', 'csi-1').labels }],
  ['no volume', { annotations: { [identityKeys.node]: 'worker-1' } }],
  ['no node', { annotations: { [identityKeys.volume]: 'csi-1' } }],
])('a request with %s is not ours', (_what, metadata) => {
  expect(volumeOf(metadata, 'worker-1')).toBeUndefined()
})
