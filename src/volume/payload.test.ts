import { createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { generateKeySync } from '../x509/key.ts'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import { buildPayload } from './payload.ts'
import { parseVolumeSpec, type VolumeSpec } from './spec.ts'

const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
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

test('the files hold the chain, the key and the CA', () => {
  const { files, links } = buildPayload(specOf({}), key, answer)
  expect([...files.keys()]).toEqual(['tls.crt', 'tls.key', 'ca.crt'])
  expect(files.get('tls.crt')).toBe(answer.chain)
  expect(files.get('ca.crt')).toBe('root')
  expect(createPrivateKey(files.get('tls.key') ?? '').equals(key)).toBe(true)
  expect(files.get('tls.key')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
  expect(links.size).toBe(0)
})

test('without a CA its file is there and empty', () => {
  expect(buildPayload(specOf({}), key, { chain: 'leaf', ca: undefined }).files.get('ca.crt')).toBe('')
})

test('an RSA key is written as PKCS1 unless PKCS8 is asked for', () => {
  const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const fileOf = (attributes: Readonly<Record<string, string>>): string | undefined =>
    buildPayload(specOf({ 'key-algorithm': 'RSA', ...attributes }), rsa, answer).files.get('tls.key')
  expect(fileOf({})).toMatch(/^-----BEGIN RSA PRIVATE KEY-----\n/)
  expect(fileOf({ 'key-encoding': 'PKCS8' })).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
})

test('the legacy layout adds the names of the first csi-driver as links', () => {
  const { files, links } = buildPayload(specOf({ layout: 'legacy', 'privatekey-file': 'bar/foo.key' }), key, answer)
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
  const { links } = buildPayload(specOf(attributes), key, answer)
  expect(Object.fromEntries(links)).toEqual({ 'cert.pem': 'crt.pem', 'ca.pem': 'ca.crt' })
})
