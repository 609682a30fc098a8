import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCertificateRequest } from '../../x509/certificate-request.ts'
import { usageExtensions } from '../../x509/extensions.ts'
import { noNames } from '../../x509/general-names.ts'
import { generateKeySync } from '../../x509/key.ts'
import { buildSubject, encodeName } from '../../x509/name.ts'
import { decodePem, encodePem } from '../../x509/pem.ts'
import { hostileRequests } from '../fixtures/hostile-requests.ts'
import { base64, csrOf, managedRequest, podRequest, signingRequest, someKey } from '../fixtures/requests.ts'
import { readRequest } from './read-request.ts'

describe('a hostile request is ruled out with its reason', () => {
  test.each(hostileRequests.map((hostile) => [hostile.what, hostile] as const))('%s', (_what, { csr, rule, why }) => {
    for (const request of [signingRequest({ csr }), managedRequest({ csr })]) {
      const { faults } = readRequest(request)
      expect(faults).toContainEqual(expect.objectContaining({ rule, why: expect.stringMatching(why) as string }))
    }
  })
})

const subject = buildSubject({ commonName: 'web', organizations: ['Shop'] })
const names = {
  dns: ['Web.Shop.svc', 'xn--bcher-kva.example', '*.shop.example'],
  ip: ['10.0.0.7', '2001:DB8::1'],
  uri: ['SPIFFE://Example.org/ns/shop/sa/web'],
  email: ['Ops@Example.com'],
}

test('names are read in the one form in which they are compared', () => {
  const { asked, faults } = readRequest(signingRequest({ subject, names }))
  expect(faults).toEqual([])
  expect(asked).toMatchObject({
    names: {
      commonNames: ['web'],
      organizations: ['Shop'],
      dnsNames: ['web.shop.svc', 'xn--bcher-kva.example', '*.shop.example'],
      ipAddresses: ['10.0.0.7', '2001:db8::1'],
      uris: ['spiffe://example.org/ns/shop/sa/web'],
      emailAddresses: ['Ops@example.com'],
      countries: [],
    },
    usages: ['digital signature', 'server auth'],
    duration: 3600_000,
    key: { algorithm: 'ECDSA', size: 256 },
  })
})

test('a CertificateRequest is read to the same as a CertificateSigningRequest', () => {
  const csr = csrOf({ subject, names })
  expect(readRequest(managedRequest({ csr }))).toEqual(readRequest(signingRequest({ csr })))
})

test('a CertificateRequest without usages has those of cert-manager, and may leave the lifetime to its issuer', () => {
  const request = managedRequest({ subject }, { usages: [] })
  const { duration: _, ...spec } = request.object.spec
  const { asked, faults } = readRequest({ ...request, object: { ...request.object, spec } })
  expect(faults).toEqual([])
  expect(asked).toMatchObject({ usages: ['digital signature', 'key encipherment'], duration: undefined })
})

test('usages inside a request are taken where they are the same as beside it', () => {
  const csr = createCertificateRequest(someKey, {
    subject,
    names: noNames,
    extensions: usageExtensions(['server auth']),
  })
  expect(readRequest(signingRequest({ csr }, { usages: ['server auth', 'digital signature'] })).faults).toEqual([])
})

test.each<[string, Parameters<typeof signingRequest>[1], string]>([
  ['that nobody knows', { usages: ['server auth', 'admin auth'] }, '"admin auth" is no usage'],
  ['without limits', { usages: ['any'] }, '"any" would undo every limit'],
  ['of certificate authorities', { usages: ['cert sign'] }, '"cert sign" is for certificate authorities'],
  ['not at all', { usages: [] }, 'it names no usage'],
])('a request with usages %s is ruled out', (_what, spec, why) => {
  expect(readRequest(signingRequest({ subject }, spec)).faults).toContainEqual(expect.objectContaining({ why }))
})

test.each(['', 'x', '-1h', '0'])('a CertificateRequest with the lifetime %j is ruled out', (duration) => {
  expect(readRequest(managedRequest({ subject }, { duration })).faults).toContainEqual(
    expect.objectContaining({ rule: 'request.duration' }),
  )
})

test('a CertificateRequest that asks to be a CA beside its bytes is ruled out', () => {
  expect(readRequest(managedRequest({ subject }, { isCA: true })).faults).toMatchObject([{ rule: 'request.ca' }])
})

test('a PodCertificateRequest is a key and nothing else', () => {
  const { asked, faults } = readRequest(podRequest())
  expect(faults).toEqual([])
  expect(asked).toMatchObject({ usages: [], duration: 86_400_000, key: { algorithm: 'ECDSA', size: 256 } })
  for (const more of [{ subject }, { names: { dns: ['a.example'] } }]) {
    expect(readRequest(podRequest(more)).faults).toMatchObject([{ rule: 'request.names' }])
  }
})

test('a PodCertificateRequest with a short RSA key is ruled out, though others may have one', () => {
  const key = generateKeySync({ algorithm: 'RSA', size: 2048 })
  expect(readRequest(podRequest({ key })).faults).toMatchObject([{ rule: 'request.key' }])
  expect(readRequest(signingRequest({ key, subject })).faults).toEqual([])
})

test.each(['', '%', 'AAA', base64('junk')])('a request field of %j is ruled out', (request) => {
  expect(readRequest(signingRequest({}, { request })).faults).toMatchObject([{ rule: 'request.encoding' }])
  expect(readRequest(podRequest({}, { stubPKCS10Request: request })).faults).toMatchObject([
    { rule: 'request.encoding' },
  ])
})

test('a mutated request is ruled out or says the same as its bytes: nothing crashes', () => {
  const [block] = decodePem(csrOf({ subject, names }))
  const der = block?.der ?? new Uint8Array()
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const changed = cut ? der.slice(0, at) : der.with(at, byte)
      fc.pre(Buffer.compare(changed, der) !== 0)
      expect(readRequest(signingRequest({ csr: encodePem('CERTIFICATE REQUEST', changed) })).faults).not.toEqual([])
    }),
    { numRuns: 1000 },
  )
})

const label = fc.stringMatching(/^[a-z]{1,8}$/)
const wanted = fc.record({
  dns: fc.array(
    fc.tuple(label, label).map((labels) => labels.join('.')),
    { maxLength: 3 },
  ),
  ip: fc.array(fc.ipV4(), { maxLength: 2 }),
  uri: fc.array(
    fc.tuple(label, label).map(([host, path]) => `spiffe://${host}/${path}`),
    { maxLength: 2 },
  ),
  email: fc.array(
    fc.tuple(label, label).map((parts) => parts.join('@')),
    { maxLength: 2 },
  ),
})

test('what is taken is written again to the same bytes', () => {
  fc.assert(
    fc.property(wanted, label, (names, commonName) => {
      const csr = csrOf({ subject: buildSubject({ commonName }), names })
      const { asked, faults } = readRequest(signingRequest({ csr }))
      expect(faults).toEqual([])
      expect(encodePem('CERTIFICATE REQUEST', asked?.request.der ?? new Uint8Array())).toBe(csr)
      expect(encodeName(asked?.request.subject ?? [])).toEqual(asked?.request.rawSubject)
      expect(asked?.names.dnsNames).toEqual(names.dns)
    }),
    { numRuns: 100 },
  )
})
