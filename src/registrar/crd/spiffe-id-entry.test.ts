import { expect, test } from 'vitest'
import { goodSpec } from './fixtures/spiffe-ids.ts'
import { spiffeIdEntry } from './spiffe-id-entry.ts'

const plain = { federated: undefined, serviceNames: [] }

test('the entry says what the SpiffeID says', () => {
  const spec = goodSpec({ dnsNames: ['web-0', 'web'], federatesWith: ['other.org'], downstream: true })
  expect(spiffeIdEntry(spec, plain)).toEqual({
    is: 'entry',
    spec: {
      spiffeId: 'spiffe://example.org/ns/shop/sa/web',
      parentId: 'spiffe://example.org/k8s-workload-registrar/demo/node/n1',
      selectors: [
        { type: 'k8s', value: 'pod-name:web-0' },
        { type: 'k8s', value: 'ns:shop' },
      ],
      dnsNames: ['web-0', 'web'],
      federatesWith: ['other.org'],
      downstream: true,
    },
    notices: [],
  })
})

test('the names of services come behind its own, each once', () => {
  const spec = goodSpec({ dnsNames: ['web-0', 'web.shop.svc'] })
  const { dnsNames } = spiffeIdEntry(spec, { ...plain, serviceNames: ['api.shop.svc', 'web.shop.svc'] }).spec
  expect(dnsNames).toEqual(['web-0', 'web.shop.svc', 'api.shop.svc'])
})

test('a trust domain without a bundle, or that is none, is left out and told', () => {
  const spec = goodSpec({ federatesWith: ['a.org', ' b.org ', 'B ORG', 'a.org', ''] })
  const { spec: entry, notices } = spiffeIdEntry(spec, { ...plain, federated: new Set(['b.org']) })
  expect(entry.federatesWith).toEqual(['b.org'])
  expect(notices).toHaveLength(2)
  expect(notices[0]).toBe('it does not federate with "a.org": the SPIRE server has no bundle of it')
  expect(notices[1]).toContain('"B ORG"')
})

test('a certificate has no more names than it can hold, and its own come before those of services', () => {
  const serviceNames = Array.from({ length: 300 }, (_, place) => `s${place}.shop.svc`)
  const { spec, notices } = spiffeIdEntry(goodSpec({ dnsNames: ['web'] }), { federated: undefined, serviceNames })
  expect(spec.dnsNames).toEqual(['web', ...serviceNames.slice(0, 255)])
  expect(notices).toEqual(['of 301 DNS names, the first 256 are in the certificate'])
})
