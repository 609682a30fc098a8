import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createCertificateRequest, readCertificateRequest } from './certificate-request.ts'
import { integer } from './der-writer.ts'
import { generateKeySync, KeyError, type KeySpec } from './key.ts'
import { buildSubject } from './name.ts'
import { signatureAlgorithmNames, signatureAlgorithmsOf, signStructure } from './signature.ts'
import { webNames } from './test-pki.ts'

const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)
const content = { subject: buildSubject({ commonName: 'web' }), names: webNames }

/** OpenSSL's names. */
const opensslNames = {
  SHA256WithRSA: 'sha256WithRSAEncryption',
  SHA384WithRSA: 'sha384WithRSAEncryption',
  SHA512WithRSA: 'sha512WithRSAEncryption',
  ECDSAWithSHA256: 'ecdsa-with-SHA256',
  ECDSAWithSHA384: 'ecdsa-with-SHA384',
  ECDSAWithSHA512: 'ecdsa-with-SHA512',
  PureEd25519: 'ED25519',
} as const

function opensslReads(input: string): string | undefined {
  const text = execFileSync('openssl', ['req', '-noout', '-text', '-verify'], {
    input,
    encoding: 'utf8',
    stdio: 'pipe',
  })
  return /Signature Algorithm: (\S+)/.exec(text)?.[1]
}

describe.each<KeySpec>([
  { algorithm: 'RSA', size: 3072 },
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 521 },
  { algorithm: 'Ed25519' },
])('a key of %o', (spec) => {
  const key = generateKeySync(spec)

  test.each(signatureAlgorithmsOf(spec.algorithm))('signs by %s', (algorithm) => {
    const request = createCertificateRequest(key, content, algorithm)
    expect(readCertificateRequest(request)).toMatchObject({ names: webNames, unknown: [] })
    // Without openssl the reading above stands alone.
    expect(hasOpenssl ? opensslReads(request) : opensslNames[algorithm]).toBe(opensslNames[algorithm])
  })

  const others = signatureAlgorithmNames.filter((name) => !signatureAlgorithmsOf(spec.algorithm).includes(name))
  test.each(others)('cannot sign by %s', (algorithm) => {
    expect(() => createCertificateRequest(key, content, algorithm)).toThrow(KeyError)
    expect(() => createCertificateRequest(key, content, algorithm)).toThrow(/ cannot sign by /)
  })
})

test.runIf(hasOpenssl).each([
  [{ algorithm: 'RSA', size: 4096 }, 'sha256WithRSAEncryption'],
  [{ algorithm: 'ECDSA', size: 256 }, 'ecdsa-with-SHA256'],
  [{ algorithm: 'ECDSA', size: 384 }, 'ecdsa-with-SHA384'],
  [{ algorithm: 'ECDSA', size: 521 }, 'ecdsa-with-SHA512'],
  [{ algorithm: 'Ed25519' }, 'ED25519'],
] as const satisfies readonly (readonly [KeySpec, string])[])(
  'a key of %o signs by default as with Go: %s',
  (spec, name) => {
    expect(opensslReads(createCertificateRequest(generateKeySync(spec), content))).toBe(name)
  },
)

test('every algorithm belongs to one kind of key', () => {
  const kinds = (['RSA', 'ECDSA', 'Ed25519'] as const).flatMap(signatureAlgorithmsOf)
  expect(kinds).toEqual(signatureAlgorithmNames)
})

test('keys of other kinds cannot sign', () => {
  const { privateKey } = generateKeyPairSync('ed448')
  expect(() => signStructure(integer(1), privateKey)).toThrow(new KeyError('keys of type ed448 cannot sign'))
})
