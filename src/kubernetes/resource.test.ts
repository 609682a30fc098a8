import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  apiVersionOf,
  certificateRequests,
  collectionPath,
  csiDrivers,
  describeObject,
  leases,
  objectPath,
  pods,
} from './resource.ts'

test('core kinds live below /api and the others below /apis', () => {
  expect(objectPath(pods, { namespace: 'sandbox', name: 'web-0' })).toBe('/api/v1/namespaces/sandbox/pods/web-0')
  expect(objectPath(leases, { namespace: 'kube-system', name: 'a' })).toBe(
    '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/a',
  )
  expect(objectPath(csiDrivers, { name: 'csi.cert-manager.io' })).toBe(
    '/apis/storage.k8s.io/v1/csidrivers/csi.cert-manager.io',
  )
})

test('a collection without a namespace is that of the whole cluster', () => {
  expect(collectionPath(certificateRequests, undefined)).toBe('/apis/cert-manager.io/v1/certificaterequests')
})

test('a subresource follows the name', () => {
  expect(objectPath(pods, { namespace: 'a', name: 'b' }, 'status')).toBe('/api/v1/namespaces/a/pods/b/status')
})

test('an object of the core group has the bare version', () => {
  expect(apiVersionOf(pods)).toBe('v1')
  expect(apiVersionOf(certificateRequests)).toBe('cert-manager.io/v1')
})

test('a namespaced object without namespace is refused, and a cluster-scoped one with it', () => {
  expect(() => objectPath(pods, { name: 'web-0' })).toThrow('Pod web-0 needs a namespace')
  expect(() => objectPath(csiDrivers, { namespace: 'a', name: 'b' })).toThrow('CSIDriver is cluster-scoped')
})

test('names that would leave their place in the path are refused', () => {
  for (const name of ['', '.', '..', 'a/b', '../secrets', 'a%2fb']) {
    expect(() => objectPath(pods, { namespace: 'a', name })).toThrow(TypeError)
    expect(() => collectionPath(pods, name)).toThrow(TypeError)
  }
})

test('any name either is refused or stays one segment that decodes to itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (name) => {
      const mustRefuse = ['', '.', '..'].includes(name) || /[/%]/.test(name)
      expect(pathOf(name)).toEqual(mustRefuse ? 'refused' : ['', 'api', 'v1', 'namespaces', 'ns', 'pods', name])
    }),
  )
})

/** The segments of a pod's path, as a server decodes them. */
function pathOf(name: string): readonly string[] | 'refused' {
  try {
    const path = objectPath(pods, { namespace: 'ns', name })
    return new URL(path, 'https://api').pathname.split('/').map(decodeURIComponent)
  } catch (error) {
    if (error instanceof TypeError) return 'refused'
    throw error
  }
}

test('a description names kind, namespace and name', () => {
  expect(describeObject(pods, { namespace: 'a', name: 'b' })).toBe('Pod a/b')
  expect(describeObject(csiDrivers, { name: 'b' })).toBe('CSIDriver b')
})
