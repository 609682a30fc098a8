import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Semaphore } from '../runtime/semaphore.ts'
import {
  createKeyGenerator,
  decodePrivateKey,
  decodePublicKey,
  encodePrivateKey,
  formatKeySpec,
  generateKey,
  generateKeySync,
  KeyError,
  keyMatches,
  type KeySpec,
  keySpecOf,
  publicKeyDer,
  publicKeyFingerprint,
} from './key.ts'
import { newKey } from './test-pki.ts'

const specs: readonly [string, KeySpec][] = [
  ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
  ['ECDSA P-256', { algorithm: 'ECDSA', size: 256 }],
  ['ECDSA P-384', { algorithm: 'ECDSA', size: 384 }],
  ['ECDSA P-521', { algorithm: 'ECDSA', size: 521 }],
  ['Ed25519', { algorithm: 'Ed25519' }],
]

describe.each(specs)('a key of %s', (name, spec) => {
  test('is what was asked for, and its kind is known again', async () => {
    const key = await generateKey(spec)
    expect(key.type).toBe('private')
    expect(keySpecOf(key)).toEqual(spec)
    expect(keySpecOf(createPublicKey(key))).toEqual(spec)
    expect(formatKeySpec(spec)).toBe(name)
  })

  test.each(['PKCS1', 'PKCS8'] as const)('survives %s', (encoding) => {
    const key = generateKeySync(spec)
    expect(decodePrivateKey(encodePrivateKey(key, encoding)).equals(key)).toBe(true)
  })
})

test('is written under the block types that cert-manager uses', () => {
  const firstLine = (spec: KeySpec, encoding: 'PKCS1' | 'PKCS8'): string | undefined =>
    encodePrivateKey(generateKeySync(spec), encoding).split('\n')[0]
  expect(firstLine({ algorithm: 'RSA', size: 2048 }, 'PKCS1')).toBe('-----BEGIN RSA PRIVATE KEY-----')
  expect(firstLine({ algorithm: 'ECDSA', size: 256 }, 'PKCS1')).toBe('-----BEGIN EC PRIVATE KEY-----')
  expect(firstLine({ algorithm: 'Ed25519' }, 'PKCS1')).toBe('-----BEGIN PRIVATE KEY-----')
  expect(firstLine({ algorithm: 'RSA', size: 2048 }, 'PKCS8')).toBe('-----BEGIN PRIVATE KEY-----')
})

test('a text that is no private key is refused, and not quoted', () => {
  const key = encodePrivateKey(newKey(), 'PKCS8')
  const publicKey = createPublicKey(newKey()).export({ type: 'spki', format: 'pem' })
  for (const text of ['', 'secret', key.slice(0, -40), publicKey]) {
    expect(() => decodePrivateKey(text)).toThrow(new KeyError('expected one unencrypted private key in PEM'))
  }
})

test('an encrypted key and a key of a kind that is not supported are refused', () => {
  const encrypted = newKey().export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
  expect(() => decodePrivateKey(encrypted)).toThrow(KeyError)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  expect(keySpecOf(privateKey)).toBeUndefined()
  expect(() => decodePrivateKey(encodePrivateKey(privateKey, 'PKCS8'))).toThrow('keys of type ec are not supported')
})

test('a public key survives its encoding, and broken bytes are refused', () => {
  const key = newKey()
  expect(decodePublicKey(publicKeyDer(key)).equals(createPublicKey(key))).toBe(true)
  expect(() => decodePublicKey(Uint8Array.of(1, 2, 3))).toThrow(KeyError)
})

test('a key matches what was certified for it, and nothing else', () => {
  const key = newKey()
  expect(keyMatches(key, { publicKey: publicKeyDer(key) })).toBe(true)
  expect(keyMatches(key, { publicKey: publicKeyDer(newKey()) })).toBe(false)
  expect(keyMatches(key, { publicKey: Uint8Array.of(5, 0) })).toBe(false)
})

test('both halves of a pair have one fingerprint', () => {
  const key = newKey()
  expect(publicKeyFingerprint(key)).toBe(publicKeyFingerprint(createPublicKey(key)))
  expect(publicKeyFingerprint(key)).toMatch(/^[0-9a-f]{64}$/)
  expect(publicKeyFingerprint(key)).not.toBe(publicKeyFingerprint(newKey()))
})

test('RSA keys take turns, the others do not wait for them', async () => {
  const slots = new Semaphore(1)
  const generator = createKeyGenerator(slots)
  const { promise: busy, resolve: free } = Promise.withResolvers<void>()
  const holder = slots.run(() => busy)
  const controller = new AbortController()
  const aborted = generator.generate({ algorithm: 'RSA', size: 2048 }, controller.signal)
  await expect(generator.generate({ algorithm: 'Ed25519' })).resolves.toBeDefined()
  controller.abort(new Error('the volume is gone'))
  await expect(aborted).rejects.toThrow('the volume is gone')
  const waiting = generator.generate({ algorithm: 'RSA', size: 2048 })
  free()
  await holder
  expect(keySpecOf(await waiting)).toEqual({ algorithm: 'RSA', size: 2048 })
})
