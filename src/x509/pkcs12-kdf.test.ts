import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { encodeKeystorePassword } from './keystore-password.ts'
import { derivePkcs12Key } from './pkcs12-kdf.ts'

function ended(password: string): Uint8Array {
  return Uint8Array.of(...encodeKeystorePassword(password), 0, 0)
}

/** S. N. Henson's vectors of PKCS#12 key generation, which OpenSSL's own tests use. */
describe('derives what others derive', () => {
  test.each([
    ['smeg', '0a58cf64530d823f', 1, 'key', '8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3'],
    ['smeg', '0a58cf64530d823f', 1, 'iv', '79993dfe048d3b76'],
    ['smeg', '642b99ab44fb4b1f', 1, 'key', 'f3a95fec48d7711e985cfe67908c5ab79fa3d7c5caa5d966'],
    ['smeg', '642b99ab44fb4b1f', 1, 'iv', 'c0a38d64a79bea1d'],
    ['smeg', '3d83c0e4546ac140', 1, 'mac', '8d967d88f6caa9d714800ab3d48051d63f73a312'],
    ['queeg', '05dec959acff72f7', 1000, 'key', 'ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4'],
    ['queeg', '05dec959acff72f7', 1000, 'iv', '11dedad7758d4860'],
    ['queeg', '1682c0fc5b3f7ec5', 1000, 'key', '483dd6e919d7de2e8e648ba8f862f3fbfbdc2bcb2c02957f'],
    ['queeg', '1682c0fc5b3f7ec5', 1000, 'iv', '9d461d1b00355c50'],
    ['queeg', '263216fcc2fab31c', 1000, 'mac', '5ec4c7a80df652294c3925b6489a7ab857c83476'],
  ] as const)('from %s and %s after %i rounds a %s', (password, salt, iterations, purpose, expected) => {
    const derived = derivePkcs12Key({
      digest: 'sha1',
      password: ended(password),
      salt: Uint8Array.fromHex(salt),
      iterations,
      purpose,
      length: expected.length / 2,
    })
    expect(derived.toHex()).toBe(expected)
  })
})

const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

/** OpenSSL's first argument of PKCS12KDF names what the bytes are for by its number. */
const identifiers = { key: 1, iv: 2, mac: 3 } as const

describe.runIf(hasOpenssl)('derives what openssl derives', () => {
  test.each([
    ['sha1', '', '00', 'mac', 20],
    ['sha1', 'a\u{1f600}', '0102030405060708', 'key', 100],
    ['sha256', 'pässwörd', '000102030405060708090a0b0c0d0e0f', 'mac', 32],
    ['sha256', 'p'.repeat(200), 'ff'.repeat(65), 'iv', 77],
  ] as const)('with %s from %j and %s as %s', (digest, password, salt, purpose, length) => {
    const options = { digest, hexpass: ended(password).toHex(), hexsalt: salt, iter: 7, id: identifiers[purpose] }
    const flags = Object.entries(options).flatMap(([name, value]) => ['-kdfopt', `${name}:${value}`])
    const output = execFileSync('openssl', ['kdf', '-keylen', `${length}`, ...flags, 'PKCS12KDF'], { encoding: 'utf8' })
    const derived = derivePkcs12Key({
      digest,
      password: ended(password),
      salt: Uint8Array.fromHex(salt),
      iterations: 7,
      purpose,
      length,
    })
    expect(derived.toHex()).toBe(output.replaceAll(/[:\s]/g, '').toLowerCase())
  })
})
