import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CertificateError, readCertificate, readCertificateBlocks, readCertificates } from './certificate.ts'
import { noNames } from './general-names.ts'
import { publicKeyDer } from './key.ts'
import { buildSubject, encodeName } from './name.ts'
import { encodePem } from './pem.ts'
import { hour, newKey, now, testAuthority, testLeaf, webNames } from './test-pki.ts'
import { throwingOnly } from './throwing-only.ts'

/** Made by x509.CreateCertificate of Go 1.26: a root with name constraints that holds until 2056. */
const goRoot = `-----BEGIN CERTIFICATE-----
MIIBMTCB5KADAgECAgEBMAUGAytlcDASMRAwDgYDVQQDEwdnbyByb290MCAXDTI2
MDEwMTAwMDAwMFoYDzIwNTYwMTAxMDAwMDAwWjASMRAwDgYDVQQDEwdnbyByb290
MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbijXTBb
MA4GA1UdDwEB/wQEAwICBDASBgNVHRMBAf8ECDAGAQH/AgEAMB0GA1UdDgQWBBRW
R1qnVGNHTAKF312/K8q3PaZRNTAWBgNVHR4EDzANoAswCYIHZXhhbXBsZTAFBgMr
ZXADQQDrRepelBh2NebmZPVSVIbIbd169UoF7heunpXeEiSkHO33K7kIONAJMf0S
Ez5jbuaer27lgCBUatNx/zuVE0wD
-----END CERTIFICATE-----
`

const root = testAuthority('root')
const key = newKey()
const leaf = testLeaf(root, key, { names: webNames })

test('a leaf is described', () => {
  expect(readCertificate(leaf.der)).toEqual({
    pem: encodePem('CERTIFICATE', leaf.der),
    der: leaf.der,
    version: 3,
    serial: expect.stringMatching(/^[4-7][0-9a-f]{31}$/),
    subject: 'CN=web',
    issuer: 'CN=root',
    rawSubject: encodeName(buildSubject({ commonName: 'web' })),
    rawIssuer: root.certificate.rawSubject,
    notBefore: now,
    notAfter: now + hour,
    commonName: 'web',
    names: webNames,
    unknownNames: [],
    usages: ['digital signature', 'server auth', 'client auth'],
    isCA: false,
    pathLength: undefined,
    publicKey: publicKeyDer(key),
    subjectKeyId: expect.any(Uint8Array),
    fingerprint: createHash('sha256').update(leaf.der).digest('hex'),
  })
})

test('a root of Go is described, with what is not understood left out', () => {
  expect(readCertificates(goRoot)).toMatchObject([
    {
      serial: '01',
      subject: 'CN=go root',
      issuer: 'CN=go root',
      notBefore: Date.parse('2026-01-01T00:00:00Z'),
      notAfter: Date.parse('2056-01-01T00:00:00Z'),
      names: noNames,
      usages: ['cert sign'],
      isCA: true,
      pathLength: 0,
    },
  ])
})

test('a text gives its certificates in their order, whatever stands between', () => {
  expect(readCertificates(`# leaf\n${leaf.pem}\n# root\n${goRoot}`).map(({ subject }) => subject)).toEqual([
    'CN=web',
    'CN=go root',
  ])
  expect(readCertificates('')).toEqual([])
})

test('a certificate holds nothing but its own bytes', () => {
  const [certificate] = readCertificates(leaf.pem + goRoot)
  expect(certificate?.der.buffer.byteLength).toBe(leaf.der.length)
})

describe('refuses', () => {
  test.each([
    ['broken PEM', leaf.pem.slice(0, -30), 'broken PEM: the block of line 1 has no END'],
    ['another block', encodePem('PRIVATE KEY', Uint8Array.of(1)), 'expected PEM blocks CERTIFICATE, got PRIVATE KEY'],
    [
      'a block that is no certificate',
      encodePem('CERTIFICATE', Uint8Array.of(5, 0)),
      'OpenSSL cannot read the certificate',
    ],
    [
      'bytes after the certificate',
      encodePem('CERTIFICATE', Uint8Array.of(...leaf.der, 5, 0)),
      'the certificate cannot be read: 2 bytes too many',
    ],
  ])('%s', (_name, pem, message) => {
    expect(() => readCertificates(pem)).toThrow(new CertificateError(message))
  })
})

test('any certificate is read or refused with an error of its own', () => {
  const changed = fc
    .array(fc.tuple(fc.nat({ max: leaf.der.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce((der, [place, byte]) => der.with(place, byte), new Uint8Array(leaf.der)))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), { weight: 4, arbitrary: changed }), (der) => {
      expect(() => throwingOnly([CertificateError], () => readCertificate(der))).not.toThrow()
    }),
    { numRuns: 1000 },
  )
})

test('any text is divided or refused with an error of its own', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => throwingOnly([CertificateError], () => readCertificateBlocks(text))).not.toThrow()
    }),
  )
})
