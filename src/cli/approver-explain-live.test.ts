import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRequestReference } from './approver-explain-live.ts'

test('a request of a cluster is named by its kind, namespace and name, as kubectl takes them', () => {
  const csr = { kind: 'CertificateSigningRequest', name: 'web-1' }
  expect(parseRequestReference('csr/web-1')).toEqual(csr)
  expect(parseRequestReference('certificatesigningrequests/web-1')).toEqual(csr)
  expect(parseRequestReference('cr/shop/web')).toEqual({ kind: 'CertificateRequest', namespace: 'shop', name: 'web' })
  expect(parseRequestReference('PodCertificateRequest/shop/req-1')).toEqual({
    kind: 'PodCertificateRequest',
    namespace: 'shop',
    name: 'req-1',
  })
})

test('what is no such name is a file', () => {
  for (const text of [
    '-',
    'request.yaml',
    './csr/web-1',
    'csr',
    'csr/',
    'csr/shop/web',
    'cr/web',
    'cr//web',
    'pods/web',
  ])
    expect(parseRequestReference(text)).toBeUndefined()
  fc.assert(
    fc.property(fc.string(), (text) => {
      const reference = parseRequestReference(text)
      expect(reference === undefined || (reference.name !== '' && !reference.name.includes('/'))).toBe(true)
    }),
  )
})
