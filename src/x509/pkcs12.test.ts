import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkCanonical } from './canonical-der.ts'
import { readCertificates } from './certificate.ts'
import { children, readDer } from './der-reader.ts'
import { encodePrivateKey, generateKeySync, type KeySpec } from './key.ts'
import { KeystorePasswordError, keystorePasswordProblem } from './keystore-password.ts'
import { buildSubject } from './name.ts'
import { encodePkcs12, encodePkcs12Truststore } from './pkcs12.ts'
import { pkcs12Profiles } from './pkcs12-protection.ts'
import { newKey, now, testAuthority, testLeaf } from './test-pki.ts'

const root = testAuthority('root', { now })
const intermediate = testAuthority('intermediate', { parent: root, now })
const key = newKey()
const leaf = testLeaf(intermediate, key)
const chain = [leaf, intermediate.certificate, root.certificate]

/** Opens a file as a TLS server would: its MAC is checked, its key and certificates are decrypted and must fit. */
function open(pfx: Uint8Array, passphrase: string): void {
  createSecureContext({ pfx: Buffer.from(pfx), passphrase })
}

const passwords = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((text) => keystorePasswordProblem(text) === undefined)

describe.each(pkcs12Profiles)('with the profile %s', (profile) => {
  test('a keystore is opened with its password, whatever it is, and with no other', () => {
    fc.assert(
      fc.property(passwords, passwords, fc.subarray(chain.slice(1)), (password, other, rest) => {
        fc.pre(other !== password)
        const file = encodePkcs12({ key, chain: [leaf, ...rest], password, profile })
        expect(() => open(file, password)).not.toThrow()
        expect(() => open(file, other)).toThrow(/mac verify failure/)
      }),
      { numRuns: 10, examples: [['', 'x', []]] },
    )
  })

  test.each<[string, KeySpec]>([
    ['RSA', { algorithm: 'RSA', size: 2048 }],
    ['ECDSA', { algorithm: 'ECDSA', size: 521 }],
    ['Ed25519', { algorithm: 'Ed25519' }],
  ])('a keystore holds a key of %s', (_name, spec) => {
    const key = generateKeySync(spec)
    const file = encodePkcs12({ key, chain: [testLeaf(root, key)], password: 'changeit', profile })
    expect(() => open(file, 'changeit')).not.toThrow()
  })

  test('a file is DER to its leaves, and salted', () => {
    const make = (): Uint8Array => encodePkcs12({ key, chain, password: 'changeit', profile, friendlyName: 'web' })
    const file = readDer(make())
    checkCanonical(file)
    const [, contentInfo] = children(file)
    const [, wrapped] = children(contentInfo ?? file)
    const [content] = children(wrapped ?? file)
    checkCanonical(readDer(content?.content ?? Uint8Array.of()))
    expect(make()).not.toEqual(make())
  })

  test('the same salts give the same file', () => {
    const make = (): Uint8Array =>
      encodePkcs12({ key, chain, password: 'changeit', profile, random: (size) => new Uint8Array(size).fill(7) })
    expect(make()).toEqual(make())
  })
})

describe('refuses', () => {
  test.each(['geheim\0', 'geheim\u{dc00}'])('a password that cannot be written, without quoting it', (password) => {
    const options = { password, profile: 'Modern2023' } as const
    for (const call of [
      () => encodePkcs12({ key, chain, ...options }),
      () => encodePkcs12Truststore({ certificates: chain, ...options }),
    ]) {
      expect(call).toThrow(KeystorePasswordError)
      expect(call).not.toThrow(/geheim/)
    }
  })

  test('a keystore without a certificate', () => {
    expect(() => encodePkcs12({ key, chain: [], password: '', profile: 'LegacyDES' })).toThrow(RangeError)
  })
})

const opensslVersion = /^OpenSSL (\d+)\.(\d+)/.exec(
  spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout ?? '',
)
const [major, minor] = [Number(opensslVersion?.[1] ?? 0), Number(opensslVersion?.[2] ?? 0)]
/** PBMAC1 came with OpenSSL 3.4. */
const opensslProfiles =
  major < 3 ? [] : pkcs12Profiles.filter((profile) => profile !== 'Modern2026' || major > 3 || minor >= 4)
const hasKeytool = spawnSync('keytool', ['-help']).status === 0

/** Programs on a busy machine take their time, Java most of all. */
const patience = 120_000

describe('other programs', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podpass-pkcs12-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true })
  })

  function file(content: Uint8Array): string {
    const path = join(directory, 'store.p12')
    writeFileSync(path, content)
    return path
  }

  interface Output {
    readonly stdout: string
    readonly stderr: string
  }

  function openssl(content: Uint8Array, password: string, ...options: readonly string[]): Output {
    const { stdout, stderr, status } = spawnSync(
      'openssl',
      ['pkcs12', '-in', file(content), '-passin', 'env:STORE_PASSWORD', ...options],
      { encoding: 'utf8', env: { ...process.env, STORE_PASSWORD: password, LC_ALL: 'C.UTF-8' } },
    )
    expect({ status, stderr }).toMatchObject({ status: 0 })
    return { stdout, stderr }
  }

  function pemBlocks(text: string): string[] {
    return text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n/g) ?? []
  }

  const protections = {
    LegacyRC2: ['MAC: sha1, Iteration 2048', 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048'],
    LegacyDES: ['MAC: sha1, Iteration 2048', 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048'],
    Modern2023: ['MAC: sha256, Iteration 2048', 'PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256'],
    Modern2026: ['MAC: PBMAC1', 'PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256'],
  } as const

  test.runIf(opensslProfiles.length > 0).each(opensslProfiles)(
    'openssl reads the key, the certificates in their order and the names of a %s keystore',
    (profile) => {
      for (const password of ['changeit', '', 'pässwörd €', 'a\u{1f600}b']) {
        const content = encodePkcs12({ key, chain, password, profile, friendlyName: 'wéb' })
        const { stdout, stderr } = openssl(content, password, '-info', '-nodes')
        const [keyBlock, ...certificates] = pemBlocks(stdout).toSorted(
          (left, right) => Number(right.includes('PRIVATE KEY')) - Number(left.includes('PRIVATE KEY')),
        )
        expect(keyBlock).toBe(encodePrivateKey(key, 'PKCS8'))
        expect(certificates).toEqual(chain.map(({ pem }) => pem))
        const [mac, encryption] = protections[profile]
        expect(stderr).toContain(mac)
        expect(stderr).toContain(`PKCS7 Encrypted data: ${encryption}`)
        expect(stderr).toContain(`Shrouded Keybag: ${encryption}`)
        const localKeyIds = stdout.match(/localKeyID: [0-9A-F ]+/g) ?? []
        expect(localKeyIds).toHaveLength(2)
        expect(new Set(localKeyIds).size).toBe(1)
        expect(stdout.match(/friendlyName: .*/g)).toHaveLength(2)
      }
    },
    patience,
  )

  test.runIf(opensslProfiles.length > 0)(
    'openssl reads a truststore, each certificate once under a name of its own',
    () => {
      const again = testAuthority('ROOT', { now })
      const certificates = [root.certificate, again.certificate, intermediate.certificate, root.certificate]
      const content = encodePkcs12Truststore({ certificates, password: 'changeit', profile: 'Modern2023' })
      const { stdout } = openssl(content, 'changeit', '-nokeys')
      expect(readCertificates(pemBlocks(stdout).join('')).map(({ fingerprint }) => fingerprint)).toEqual(
        certificates.map(({ fingerprint }) => fingerprint),
      )
      const names = ['CN=root', 'CN=ROOT (2)', 'CN=intermediate', 'CN=root (3)']
      expect(stdout.match(/(?<=friendlyName: ).*/g)).toEqual(names)
      // Before OpenSSL 3.2 the attribute had no name.
      expect(stdout.match(/Trusted key usage|2\.16\.840\.1\.113894\.746875\.1\.1/g)).toHaveLength(certificates.length)
    },
    patience,
  )

  function keytool(...options: readonly string[]): string {
    return execFileSync('keytool', ['-J-Duser.language=en', ...options], { encoding: 'utf8', stdio: 'pipe' })
  }

  function entriesOf(listing: string): string[] {
    return listing.match(/(?<=^(?:Alias name|Entry type|Certificate chain length|Owner): ).*/gm) ?? []
  }

  const javaProfiles = pkcs12Profiles.filter((profile) => profile !== 'Modern2026')

  test.runIf(hasKeytool).each(javaProfiles)(
    'Java reads a %s keystore and takes its key out',
    (profile) => {
      for (const friendlyName of [undefined, 'Web']) {
        const content = encodePkcs12({
          key,
          chain,
          password: 'changeit',
          profile,
          ...(friendlyName !== undefined && { friendlyName }),
        })
        const store = ['-storetype', 'PKCS12', '-storepass', 'changeit']
        const listing = keytool('-list', '-v', '-keystore', file(content), ...store)
        expect(entriesOf(listing)).toEqual([
          friendlyName?.toLowerCase() ?? '1',
          'PrivateKeyEntry',
          '3',
          'CN=web',
          'CN=intermediate',
          'CN=root',
        ])
      }
      const copy = join(directory, `${profile}.p12`)
      const source = [
        '-srckeystore',
        join(directory, 'store.p12'),
        '-srcstoretype',
        'PKCS12',
        '-srcstorepass',
        'changeit',
      ]
      keytool(
        '-importkeystore',
        ...source,
        '-destkeystore',
        copy,
        '-deststoretype',
        'PKCS12',
        '-deststorepass',
        'other1',
      )
    },
    patience,
  )

  test.runIf(hasKeytool).each(javaProfiles)(
    'Java trusts every certificate of a %s truststore, also two of one subject',
    (profile) => {
      const again = testAuthority('root', { now })
      const named = testAuthority('other', {
        now,
        subject: buildSubject({ commonName: 'Wurzel €', countries: ['DE'] }),
      })
      const certificates = [root.certificate, again.certificate, named.certificate]
      const content = encodePkcs12Truststore({ certificates, password: 'changeit', profile })
      const listing = keytool(
        '-list',
        '-v',
        '-keystore',
        file(content),
        '-storetype',
        'PKCS12',
        '-storepass',
        'changeit',
      )
      expect(entriesOf(listing).filter((line) => line === 'trustedCertEntry')).toHaveLength(3)
      const shown = [...listing.matchAll(/SHA256: ([0-9A-F:]+)/g)].map(([, hex = '']) => hex)
      expect(new Set(shown.map((hex) => hex.replaceAll(':', '').toLowerCase()))).toEqual(
        new Set(certificates.map(({ fingerprint }) => fingerprint)),
      )
    },
    patience,
  )
})
