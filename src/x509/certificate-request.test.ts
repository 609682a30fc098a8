import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CertificateRequestError, createCertificateRequest, readCertificateRequest } from './certificate-request.ts'
import { children, readDer } from './der-reader.ts'
import {
  bitString,
  constructed,
  type DerBlock,
  encode,
  encoded,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  utf8String,
} from './der-writer.ts'
import { basicConstraints, encodeExtensions, type Extension, subjectAltName, usageExtensions } from './extensions.ts'
import { noNames } from './general-names.ts'
import { generateKeySync, type KeySpec, publicKeyDer } from './key.ts'
import { buildSubject, encodeName } from './name.ts'
import { decodePem, encodePem } from './pem.ts'
import { signStructure } from './signature.ts'
import { newKey, webNames } from './test-pki.ts'
import { throwingOnly } from './throwing-only.ts'

/** RFC 8410 §7, with the seed 00 01 … 1f. Signatures of Ed25519 are the same each time. */
const fixedKey = createPrivateKey({
  key: Buffer.from([...Buffer.from('302e020100300506032b657004220420', 'hex'), ...Array.from({ length: 32 }).keys()]),
  format: 'der',
  type: 'pkcs8',
})

/** Made by x509.CreateCertificateRequest of Go 1.26 with the key above. */
const goRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIIBtDCCAWYCAQAwgaAxCzAJBgNVBAYTAkRFMQwwCgYDVQQIEwNOUlcxDjAMBgNV
BAcMBUvDtmxuMQ4wDAYDVQQJEwVXZWcgMTEOMAwGA1UEERMFNTA2NjcxIDALBgNV
BAoTBFpldGEwEQYDVQQKEwpBY21lLCBJbmMuMQ8wDQYDVQQLDAZUZWFtICoxFDAS
BgNVBAMTC3dlYi5leGFtcGxlMQowCAYDVQQFEwE3MCowBQYDK2VwAyEAA6EHv/PO
EL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbiggZEwgY4GCSqGSIb3DQEJDjGBgDB+
MHwGA1UdEQR1MHOCC3dlYi5leGFtcGxlgg0qLndlYi5leGFtcGxlgQ93ZWJAZXhh
bXBsZS5vcmeHBAoAAAGHBMAAAgeHECABDbgAAAAAAAAAAAAAAAGGJnNwaWZmZTov
L2V4YW1wbGUub3JnL25zL3NhbmRib3gvc2Evd2ViMAUGAytlcANBANrfp0Ek+BCo
v1wu5EHLAR9e5a0fHU2g6FZIvVSerrcGw3bgN8soyVfmVAV8KZysRAyNGNNxtw8A
D3iomMtgCAY=
-----END CERTIFICATE REQUEST-----
`

/** The same, with key usage, extended key usage and basic constraints. */
const goRequestWithUsages = `-----BEGIN CERTIFICATE REQUEST-----
MIHiMIGVAgEAMBExDzANBgNVBAMTBnVzYWdlczAqMAUGAytlcAMhAAOhB7/zzhC+
HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4oFEwTwYJKoZIhvcNAQkOMUIwQDAOBgNV
HQ8BAf8EBAMCBaAwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMA8GA1Ud
EwEB/wQFMAMBAf8wBQYDK2VwA0EARSDgGblAEX+lFc+L2qmBaSvPAvfnjVKh0Ody
fxOWJgPqa2h+yTXC5YZf9DdN/Ygzm0772/aFGg6o43FzM/KQAg==
-----END CERTIFICATE REQUEST-----
`

const goContent = {
  subject: buildSubject({
    countries: ['DE'],
    organizations: ['Zeta', 'Acme, Inc.'],
    organizationalUnits: ['Team *'],
    localities: ['Köln'],
    provinces: ['NRW'],
    streetAddresses: ['Weg 1'],
    postalCodes: ['50667'],
    commonName: 'web.example',
    serialNumber: '7',
  }),
  names: {
    dns: ['web.example', '*.web.example'],
    ip: ['10.0.0.1', '::ffff:192.0.2.7', '2001:db8::1'],
    uri: ['spiffe://example.org/ns/sandbox/sa/web'],
    email: ['web@example.org'],
  },
}

test('a request is byte for byte the one that Go makes', () => {
  expect(createCertificateRequest(fixedKey, goContent)).toBe(goRequest)
})

test('a request of Go is read', () => {
  const { subject, names, unknown, usages, isCA, keySpec } = readCertificateRequest(goRequestWithUsages)
  expect({ subject, names, unknown, usages, isCA, keySpec }).toEqual({
    subject: [[{ type: 'CN', value: 'usages' }]],
    names: noNames,
    unknown: [],
    usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
    isCA: true,
    keySpec: { algorithm: 'Ed25519' },
  })
})

describe.each<[string, KeySpec]>([
  ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
  ['RSA 3072', { algorithm: 'RSA', size: 3072 }],
  ['P-256', { algorithm: 'ECDSA', size: 256 }],
  ['P-384', { algorithm: 'ECDSA', size: 384 }],
  ['P-521', { algorithm: 'ECDSA', size: 521 }],
  ['Ed25519', { algorithm: 'Ed25519' }],
])('a request with a key of %s', (_name, keySpec) => {
  test('is read as it was made', () => {
    const key = generateKeySync(keySpec)
    const subject = buildSubject({ commonName: 'web' })
    const request = readCertificateRequest(createCertificateRequest(key, { subject, names: webNames }))
    expect(request).toMatchObject({ subject, names: webNames, keySpec, unknown: [], isCA: false })
    expect(request.usages).toBeUndefined()
    expect(request.publicKey).toEqual(publicKeyDer(key))
    expect(request.rawSubject).toEqual(encodeName(subject))
  })
})

const names = fc.record({
  dns: fc.array(fc.domain()),
  ip: fc.array(fc.ipV4()),
  uri: fc.array(fc.webUrl()),
  email: fc.array(fc.emailAddress()),
})
const content = fc.record({
  subject: fc
    .record({
      commonName: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
      organizations: fc.array(fc.string({ minLength: 1 })),
    })
    .map(buildSubject),
  names,
})

test('what is read makes the same bytes again', () => {
  fc.assert(
    fc.property(content, (content) => {
      const pem = createCertificateRequest(fixedKey, content)
      const { subject, names, unknown } = readCertificateRequest(pem)
      expect(unknown).toEqual([])
      expect(createCertificateRequest(fixedKey, { subject, names })).toBe(pem)
    }),
    { numRuns: 50 },
  )
})

const edits = fc.array(fc.tuple(fc.constantFrom('change', 'insert', 'remove', 'cut'), fc.nat(), fc.nat({ max: 255 })), {
  minLength: 1,
  maxLength: 3,
})

function edit(bytes: Uint8Array, changes: readonly (readonly [string, number, number])[]): Uint8Array {
  const list = [...bytes]
  for (const [kind, at, byte] of changes) {
    const place = at % (list.length + 1)
    if (kind === 'cut') list.length = place
    else list.splice(place, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [byte]))
  }
  return Uint8Array.from(list)
}

test('changed bytes are refused with an error of its own: no byte is outside the signature', () => {
  fc.assert(
    fc.property(edits, (changes) => {
      const [block] = decodePem(goRequest)
      const der = edit(block?.der ?? Uint8Array.of(), changes)
      fc.pre(Buffer.compare(der, block?.der ?? Uint8Array.of()) !== 0)
      expect(() => readCertificateRequest(encodePem('CERTIFICATE REQUEST', der))).toThrow(CertificateRequestError)
    }),
    { numRuns: 500 },
  )
})

test('changed bytes under a good signature are read or refused with an error of its own', () => {
  const [block] = decodePem(goRequest)
  const [info] = children(readDer(block?.der ?? Uint8Array.of()))
  fc.assert(
    fc.property(edits, (changes) => {
      const changed = edit(info?.raw ?? Uint8Array.of(), changes)
      const pem = encodePem('CERTIFICATE REQUEST', signStructure(encoded(changed), fixedKey))
      const request = throwingOnly([CertificateRequestError], () => readCertificateRequest(pem))
      // What is wholly understood can be written again.
      fc.pre(request?.unknown.length === 0)
      expect(() => encodeName(request.subject)).not.toThrow()
    }),
    { numRuns: 200, maxSkipsPerRun: 1000 },
  )
})

test('any text is refused with an error of its own', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.uint8Array().map((der) => encodePem('CERTIFICATE REQUEST', der)),
      ),
      (text) => {
        expect(() => readCertificateRequest(text)).toThrow(CertificateRequestError)
      },
    ),
  )
})

test('the names are critical where they are all that there is', () => {
  const critical = (commonName: string | undefined): boolean =>
    decodePem(createCertificateRequest(fixedKey, { subject: buildSubject({ commonName }), names: webNames })).some(
      ({ der }) => der.toHex().includes('0603551d110101ff'),
    )
  expect(critical(undefined)).toBe(true)
  expect(critical('web')).toBe(false)
})

interface Parts {
  readonly version?: DerBlock
  readonly publicKey?: DerBlock
  readonly attributes?: readonly DerBlock[]
  readonly more?: readonly DerBlock[]
}

/** A request put together by hand, with a good signature. */
function craft({ version, publicKey, attributes = [], more = [] }: Parts, key: KeyObject = fixedKey): string {
  const info = sequence(
    version ?? integer(0),
    encoded(encodeName(buildSubject({ commonName: 'x' }))),
    publicKey ?? encoded(publicKeyDer(key)),
    constructed(0, ...attributes),
    ...more,
  )
  return encodePem('CERTIFICATE REQUEST', signStructure(info, key))
}

function extensionRequest(extensions: DerBlock): DerBlock {
  return sequence(oid('1.2.840.113549.1.9.14'), setOf(extensions))
}

function withExtensions(...extensions: readonly Extension[]): string {
  return craft({ attributes: [extensionRequest(encodeExtensions(extensions))] })
}

test('what is asked for beyond the known is listed', () => {
  const tlsFeature = { id: '1.3.6.1.5.5.7.1.24', critical: true, value: encode(sequence(integer(5))) }
  const challenge = sequence(oid('1.2.840.113549.1.9.7'), setOf(utf8String('secret')))
  const otherName = sequence(constructed(0, oid('1.2.3'), constructed(0, utf8String('x'))))
  const names = { id: '2.5.29.17', critical: false, value: encode(otherName) }
  const purpose = { id: '2.5.29.37', critical: false, value: encode(sequence(oid('1.2.3.4'))) }
  const attributes = [challenge, extensionRequest(encodeExtensions([tlsFeature, names, purpose]))]
  expect(readCertificateRequest(craft({ attributes }))).toMatchObject({
    unknown: [
      'attribute 1.2.840.113549.1.9.7',
      'extension 1.3.6.1.5.5.7.1.24 (critical)',
      'otherName 1.2.3',
      'key purpose 1.2.3.4',
    ],
    names: noNames,
    usages: [],
  })
})

test('usages and being a CA are read', () => {
  const request = readCertificateRequest(
    withExtensions(...usageExtensions(['cert sign', 'client auth']), basicConstraints(true, 1)),
  )
  expect(request).toMatchObject({ usages: ['cert sign', 'client auth'], isCA: true, pathLength: 1, unknown: [] })
})

describe('refuses', () => {
  const good = craft({})
  const explicitFalse = sequence(
    oid('2.5.29.19'),
    encoded(Uint8Array.of(1, 1, 0)),
    octetString(basicConstraints(true).value),
  )
  const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const info = sequence(integer(0), encoded(encodeName([])), encoded(publicKeyDer(rsa)), constructed(0))
  const signed = (algorithm: DerBlock): string =>
    encodePem('CERTIFICATE REQUEST', encode(sequence(info, algorithm, bitString(new Uint8Array(256)))))
  const curve = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey

  test.each<[string, string, string]>([
    ['two blocks', good + good, 'expected one PEM block CERTIFICATE REQUEST and nothing else'],
    ['text before the block', `x\n${good}`, 'expected one PEM block CERTIFICATE REQUEST and nothing else'],
    ['text after the block', `${good}x`, 'expected one PEM block CERTIFICATE REQUEST and nothing else'],
    [
      'another block',
      good.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
      'expected one PEM block CERTIFICATE REQUEST and nothing else',
    ],
    ['a text over 64 KiB', good + ' '.repeat(65536), 'the certificate request is over 65536 bytes'],
    ['another version', craft({ version: integer(1) }), 'the version is not 0'],
    ['more parts than there are', craft({ more: [nullValue()] }), 'the request has too many parts'],
    [
      'a key that is not the one that signs',
      craft({ publicKey: encoded(publicKeyDer(newKey())) }),
      'its signature algorithm does not fit its key',
    ],
    [
      'a key of another kind',
      signed(sequence(oid('1.2.840.10045.4.3.2'))),
      'its signature algorithm does not fit its key',
    ],
    ['SHA-1', signed(sequence(oid('1.2.840.113549.1.1.5'), nullValue())), 'its signature algorithm is not allowed'],
    [
      'an algorithm without its NULL',
      signed(sequence(oid('1.2.840.113549.1.1.11'))),
      'its signature algorithm is not allowed',
    ],
    ['a wrong signature', signed(sequence(oid('1.2.840.113549.1.1.11'), nullValue())), 'its signature does not verify'],
    ['an unknown curve', craft({ publicKey: encoded(publicKeyDer(curve)) }), 'keys of type ec are not supported'],
    ['a key that is none', craft({ publicKey: sequence() }), 'the public key cannot be read'],
    [
      'two lists of extensions',
      craft({ attributes: [1, 2].map(() => extensionRequest(sequence())) }),
      'extensions are not asked for exactly once',
    ],
    [
      'an extension twice',
      withExtensions(basicConstraints(true), basicConstraints(true)),
      'extension 2.5.29.19 stands twice',
    ],
    [
      'an explicit default',
      craft({ attributes: [extensionRequest(sequence(explicitFalse))] }),
      'extensions are not in canonical form',
    ],
    [
      'a CA of FALSE',
      withExtensions({ ...basicConstraints(false), value: Uint8Array.fromHex('3003010100') }),
      'basic constraints are not in canonical form',
    ],
    [
      'a bit list with zeros at its end',
      withExtensions({ id: '2.5.29.15', critical: true, value: Uint8Array.fromHex('03020080') }),
      'usages are not in canonical form',
    ],
    [
      'a purpose twice',
      withExtensions({
        id: '2.5.29.37',
        critical: false,
        value: encode(sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.1'))),
      }),
      'usages are not in canonical form',
    ],
    ['an empty list of names', withExtensions(subjectAltName(noNames, false)), 'the list of names is empty'],
    [
      'bytes after an extension',
      withExtensions({ ...basicConstraints(true), value: Uint8Array.fromHex('30000500') }),
      '2 bytes too many',
    ],
  ])('%s', (_name, pem, message) => {
    expect(() => readCertificateRequest(pem)).toThrow(message)
    expect(() => readCertificateRequest(pem)).toThrow(CertificateRequestError)
  })
})
