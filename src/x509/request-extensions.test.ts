import { createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { createCertificateRequest, readCertificateRequest } from './certificate-request.ts'
import { parseDistinguishedName } from './distinguished-name.ts'
import { requestExtensions } from './request-extensions.ts'
import { newKey, webNames } from './test-pki.ts'

/** RFC 8410 §7, with the seed 00 01 … 1f. Signatures of Ed25519 are the same each time. */
const fixedKey = createPrivateKey({
  key: Buffer.from([...Buffer.from('302e020100300506032b657004220420', 'hex'), ...Array.from({ length: 32 }).keys()]),
  format: 'der',
  type: 'pkcs8',
})

/** Made by GenerateCSR and EncodeCSR of cert-manager 1.21.2 (pkg/util/pki) with the key above, from the same Certificate. */
const certManagerRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIICdjCCAigCAQAwRzELMAkGA1UEBhMCREUxEzARBgNVBAoTCkFjbWUsIEluYy4x
FDAIBgNVBAsTAWEwCAYDVQQLEwFiMQ0wCwYDVQQDDAR3w6liMCowBQYDK2VwAyEA
A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbigggGsMIIBqAYJKoZIhvcN
AQkOMYIBmTCCAZUwgaUGA1UdEQSBnTCBmoILd2ViLmV4YW1wbGWCDSoud2ViLmV4
YW1wbGWBD3dlYkBleGFtcGxlLm9yZ4cECgAAAYcQIAENuAAAAAAAAAAAAAAAAYYm
c3BpZmZlOi8vZXhhbXBsZS5vcmcvbnMvc2FuZGJveC9zYS93ZWKgIAYKKwYBBAGC
NxQCA6ASDBB3w6liQGV4YW1wbGUub3JnoAkGAlUBoAMMAXgwDgYDVR0PAQH/BAQD
AgKkMCcGA1UdJQQgMB4GCCsGAQUFBwMBBggrBgEFBQcDAgYIKwYBBQUHAwQwgbEG
A1UdHgEB/wSBpjCBo6CBgzANggtleGFtcGxlLmNvbTAOggwuc3ViLmV4YW1wbGUw
CocICgAAAP8AAAAwIocgIAENuPAAAAAAAAAAAAAAAP/////wAAAAAAAAAAAAAAAw
CocIAAAAAAAAAAAwB4EFYUBiLmMwDYELZXhhbXBsZS5jb20wDoYMLmV4YW1wbGUu
Y29toRswDYILYmFkLmV4YW1wbGUwCocIwAACAf////8wBQYDK2VwA0EADVh2/5DD
ThLhDUWAI5KoeSL3+8jhO5J6kcbuOiyEBSDHhm3b2ecT+wmoAMAcn/oQjxN+1LDr
2VB3tVfSFSkLCQ==
-----END CERTIFICATE REQUEST-----
`

test('a request of cert-manager is made again with the same bytes', () => {
  const names = {
    ...webNames,
    otherNames: [
      { oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'wéb@example.org' },
      { oid: '2.5.1', utf8Value: 'x' },
    ],
  }
  const extensions = requestExtensions({
    usages: ['signing', 'key encipherment', 'server auth', 'client auth', 'email protection'],
    isCA: true,
    encodeUsages: true,
    nameConstraints: {
      critical: true,
      permitted: {
        dnsDomains: ['example.com', '.sub.example'],
        ipRanges: ['10.1.2.3/8', '2001:db8:ffff::/36', '0.0.0.0/0'],
        emailAddresses: ['a@b.c', 'example.com'],
        uriDomains: ['.example.com'],
      },
      excluded: { dnsDomains: ['bad.example'], ipRanges: ['192.0.2.1/32'] },
    },
  })
  const subject = parseDistinguishedName('CN=wéb,OU=a+OU=b,O=Acme\\, Inc.,C=DE')
  expect(createCertificateRequest(fixedKey, { subject, names, extensions })).toBe(certManagerRequest)
})

test('usages stand in the request only where that is asked for, with the signing of certificates for a CA', () => {
  const asked = (encodeUsages: boolean, isCA: boolean): unknown => {
    const extensions = requestExtensions({ usages: ['digital signature', 'client auth'], isCA, encodeUsages })
    return readCertificateRequest(createCertificateRequest(newKey(), { subject: [], names: webNames, extensions }))
  }
  expect(asked(false, true)).toMatchObject({ usages: undefined, isCA: false, unknown: [] })
  expect(asked(true, false)).toMatchObject({ usages: ['digital signature', 'client auth'], unknown: [] })
  expect(asked(true, true)).toMatchObject({
    usages: ['digital signature', 'cert sign', 'client auth'],
    isCA: false,
    unknown: [],
  })
})

test('who signs must refuse name constraints and other names, until it understands them', () => {
  const extensions = requestExtensions({
    usages: [],
    isCA: true,
    encodeUsages: false,
    nameConstraints: { critical: true, permitted: { dnsDomains: ['example'] } },
  })
  const names = { ...webNames, otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'admin@example' }] }
  const request = readCertificateRequest(createCertificateRequest(newKey(), { subject: [], names, extensions }))
  expect(request.names).toEqual(names)
  expect(request.unknown).toEqual(['otherName 1.3.6.1.4.1.311.20.2.3', 'extension 2.5.29.30 (critical)'])
})
