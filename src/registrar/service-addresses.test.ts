import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndpointSlice } from '../kubernetes/object.ts'
import { addressesOfEndpoints, addressesOfSlice, type PodAddress, ServiceAddresses } from './service-addresses.ts'

const target = { kind: 'Pod', namespace: 'shop', name: 'web-0', uid: 'b6c3b0e4' }
const slice: EndpointSlice = {
  metadata: { namespace: 'shop', name: 'web-abc', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.0.0.7'], hostname: 'h', conditions: { ready: false }, targetRef: target }],
}
const found: PodAddress = {
  pod: 'shop/web-0',
  address: { service: 'web', ip: '10.0.0.7', hostname: 'h', ready: false, podUid: 'b6c3b0e4' },
}

test('an address of a slice leads to its pod, ready or not', () => {
  expect(addressesOfSlice(slice)).toEqual([found])
  const [endpoint] = slice.endpoints ?? []
  const bare = {
    ...slice,
    endpoints: [{ ...endpoint, hostname: '', conditions: {}, targetRef: { kind: 'Pod', name: 'web-0' } }],
  }
  expect(addressesOfSlice(bare)).toEqual([
    { pod: 'shop/web-0', address: { ...found.address, hostname: '', ready: true, podUid: '' } },
  ])
})

test.each<[string, Partial<EndpointSlice>]>([
  ['names no service', { metadata: { ...slice.metadata, labels: {} } }],
  ['has names in the place of addresses', { addressType: 'FQDN' }],
  ['leads to a pod of another namespace', { metadata: { ...slice.metadata, namespace: 'bank' } }],
  ['leads to no pod', { endpoints: [{ addresses: ['10.0.0.7'], targetRef: { ...target, kind: 'VirtualMachine' } }] }],
  ['leads to nothing that is named', { endpoints: [{ addresses: ['10.0.0.7'] }] }],
  ['is empty', { endpoints: [] }],
  ['is empty as the API server shows it', { endpoints: null }],
])('a slice that %s adds nothing', (_, changes) => {
  expect(addressesOfSlice({ ...slice, ...changes })).toEqual([])
})

test('Endpoints lead to the same pods', () => {
  const address = { ip: '10.0.0.7', hostname: 'h', targetRef: target }
  const metadata = { namespace: 'shop', name: 'web' }
  expect(addressesOfEndpoints({ metadata, subsets: [{ notReadyAddresses: [address] }] })).toEqual([found])
  expect(addressesOfEndpoints({ metadata, subsets: [{ addresses: [address] }] })).toEqual([
    { ...found, address: { ...found.address, ready: true } },
  ])
  expect(addressesOfEndpoints({ metadata })).toEqual([])
})

const podAddress: fc.Arbitrary<PodAddress> = fc
  .tuple(fc.constantFrom('a/1', 'a/2', 'b/1'), fc.constantFrom('10.0.0.1', '10.0.0.2'), fc.constantFrom('s', 't'))
  .map(([pod, ip, service]) => ({ pod, address: { service, ip, hostname: '', ready: true, podUid: '' } }))
const event = fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.array(podAddress, { maxLength: 3 }))

test('each pod has the addresses of the slices last seen, and exactly those that changed are told', () => {
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const index = new ServiceAddresses()
      const last = new Map<string, readonly PodAddress[]>()
      const of = (pod: string): readonly string[] =>
        [...last.values()]
          .flat()
          .flatMap((one) => (one.pod === pod ? [JSON.stringify(one.address)] : []))
          .sort()
      const pods = ['a/1', 'a/2', 'b/1']
      for (const [name, addresses] of events) {
        const before = pods.map((pod) => of(pod).join())
        last.set(name, addresses)
        const changed = index.show(name, addresses)
        for (const [place, pod] of pods.entries()) {
          expect(
            index
              .of(pod)
              .map((one) => JSON.stringify(one))
              .sort(),
          ).toEqual(of(pod))
          expect(changed.has(pod) || before[place] === of(pod).join()).toBe(true)
        }
      }
      for (const name of last.keys()) index.show(name, [])
      expect(pods.flatMap((pod) => index.of(pod))).toEqual([])
    }),
  )
})

test('a slice that is shown again changes nothing', () => {
  const index = new ServiceAddresses()
  expect([...index.show('shop/web-abc', [found])]).toEqual(['shop/web-0'])
  expect([...index.show('shop/web-abc', [found])]).toEqual([])
  expect([...index.show('shop/web-abc', [])]).toEqual(['shop/web-0'])
})
