import { createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { generateKeySync } from '../x509/key.ts'
import { decodePem, encodePem } from '../x509/pem.ts'
import { testAuthority, testLeaf } from '../x509/test-pki.ts'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import { buildPayload, type Payload } from './payload.ts'
import { parseVolumeSpec, type VolumeSpec } from './spec.ts'

const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
const now = Date.UTC(2026, 10, 22)
const answer = { chain: 'leaf and intermediate', ca: 'root' }

function specOf(attributes: Readonly<Record<string, string>>): VolumeSpec {
  const result = parseVolumeSpec({
    [kubeletKeys.ephemeral]: 'true',
    [kubeletKeys.podName]: 'web-0',
    [kubeletKeys.podNamespace]: 'sandbox',
    [kubeletKeys.podUid]: 'uid',
    [`${attributePrefix}issuer-name`]: 'ca',
    [`${attributePrefix}key-algorithm`]: 'ECDSA',
    ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.spec
}

function textOf(files: Payload['files'], path: string): string {
  const content = files.get(path)
  if (typeof content !== 'string') throw new Error(`${path} is no text`)
  return content
}

test('the files hold the chain, the key and the CA', () => {
  const { files, links } = buildPayload(specOf({}), key, answer, now)
  expect([...files.keys()]).toEqual(['tls.crt', 'tls.key', 'ca.crt'])
  expect(files.get('tls.crt')).toBe(answer.chain)
  expect(files.get('ca.crt')).toBe('root')
  expect(createPrivateKey(textOf(files, 'tls.key')).equals(key)).toBe(true)
  expect(files.get('tls.key')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
  expect(links.size).toBe(0)
})

test('without a CA its file is there and empty', () => {
  expect(buildPayload(specOf({}), key, { chain: 'leaf', ca: undefined }, now).files.get('ca.crt')).toBe('')
})

test('an RSA key is written as PKCS1 unless PKCS8 is asked for', () => {
  const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const fileOf = (attributes: Readonly<Record<string, string>>): string =>
    textOf(buildPayload(specOf({ 'key-algorithm': 'RSA', ...attributes }), rsa, answer, now).files, 'tls.key')
  expect(fileOf({})).toMatch(/^-----BEGIN RSA PRIVATE KEY-----\n/)
  expect(fileOf({ 'key-encoding': 'PKCS8' })).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
})

test('the legacy layout adds the names of the first csi-driver as links', () => {
  const { files, links } = buildPayload(
    specOf({ layout: 'legacy', 'privatekey-file': 'bar/foo.key' }),
    key,
    answer,
    now,
  )
  expect([...files.keys()]).toEqual(['tls.crt', 'bar/foo.key', 'ca.crt'])
  expect(Object.fromEntries(links)).toEqual({
    'crt.pem': 'tls.crt',
    'cert.pem': 'tls.crt',
    'key.pem': 'bar/foo.key',
    'ca.pem': 'ca.crt',
  })
})

test('a legacy name that a file, or a folder of one, has already is left to it', () => {
  const attributes = { layout: 'legacy', 'certificate-file': 'crt.pem', 'privatekey-file': 'key.pem/tls.key' }
  const { links } = buildPayload(specOf(attributes), key, answer, now)
  expect(Object.fromEntries(links)).toEqual({ 'cert.pem': 'crt.pem', 'ca.pem': 'ca.crt' })
})

const authority = testAuthority('root')
const real = { chain: `a comment\n${testLeaf(authority, key).pem}\n${authority.certificate.pem}`, ca: undefined }

test('the combined file is the key, an empty line and the chain, as cert-manager writes it', () => {
  const { files } = buildPayload(specOf({ 'additional-output-formats': 'CombinedPEM' }), key, answer, now)
  expect(textOf(files, 'tls-combined.pem')).toBe(`${textOf(files, 'tls.key')}\n${answer.chain}`)
})

test.each(['PKCS1', 'PKCS8'] as const)('the DER file is the key of the PEM file, in %s', (encoding) => {
  const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const attributes = { 'key-algorithm': 'RSA', 'key-encoding': encoding, 'additional-output-formats': 'DER' }
  const der = buildPayload(specOf(attributes), rsa, answer, now).files.get('key.der')
  const type = encoding === 'PKCS1' ? 'pkcs1' : 'pkcs8'
  expect(Buffer.from(der ?? '').equals(rsa.export({ format: 'der', type }))).toBe(true)
})

test('a credential bundle is the key as PKCS#8, then the chain, and nothing between the blocks', () => {
  const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const spec = specOf({ 'key-algorithm': 'RSA', 'credential-bundle-file': 'bundle.pem' })
  const text = textOf(buildPayload(spec, rsa, real, now).files, 'bundle.pem')
  const blocks = decodePem(text)
  expect(blocks.map(({ label }) => label)).toEqual(['PRIVATE KEY', 'CERTIFICATE', 'CERTIFICATE'])
  expect(text).toBe(blocks.map(({ label, der }) => encodePem(label, der)).join(''))
  expect(createPrivateKey(text).equals(rsa)).toBe(true)
})

test('keystores stand beside the PEM files', () => {
  const attributes = {
    'pkcs12-enable': 'true',
    'pkcs12-password': 'p',
    'jks-enable': 'true',
    'jks-password': 'p',
    layout: 'legacy',
    'jks-filename': 'key.pem',
  }
  const { files, links } = buildPayload(specOf(attributes), key, { ...real, ca: authority.certificate.pem }, now)
  expect([...files.keys()]).toEqual([
    'tls.crt',
    'tls.key',
    'ca.crt',
    'keystore.p12',
    'truststore.p12',
    'key.pem',
    'truststore.jks',
  ])
  // A legacy name that a keystore has is left to it.
  expect([...links.keys()]).toEqual(['crt.pem', 'cert.pem', 'ca.pem'])
})
