import { execFileSync, spawnSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeJks, encodeJksTruststore, JksAliasError } from './jks.ts'
import { encodePrivateKey, generateKeySync, type KeySpec } from './key.ts'
import { KeystorePasswordError, keystorePasswordProblem } from './keystore-password.ts'
import { now, testAuthority, testLeaf } from './test-pki.ts'
import { throwingOnly } from './throwing-only.ts'

/** RFC 8410 §7, with the seed 00 01 … 1f. */
const fixedKey = createPrivateKey({
  key: Buffer.from([...Buffer.from('302e020100300506032b657004220420', 'hex'), ...Array.from({ length: 32 }).keys()]),
  format: 'der',
  type: 'pkcs8',
})

/** The writer does not look into certificates. */
function anyCertificate(number: number): { der: Uint8Array } {
  return { der: Uint8Array.of(0x30, 1, number) }
}

const counting = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, index) => index)

/** Written by github.com/pavlo-v-chernykh/keystore-go v4.5.0 from the same entries and salt. */
describe('writes the bytes that keystore-go writes', () => {
  test('of a private key', () => {
    const file = encodeJks({
      key: fixedKey,
      chain: [anyCertificate(1), anyCertificate(2)],
      alias: 'Web',
      password: 'changeit',
      now,
      random: counting,
    })
    expect(file.toHex()).toBe(
      'feedfeed0000000200000001000000010003776562000001a202b2c5000000006c306a300e060a2b060104012a0211010105000458000102030405' +
        '060708090a0b0c0d0e0f10111213309447e16c40a2c39097c17a82e568b75f7ca0911f797d6a6577e238dc59f33d94ced15935adf21366c81d' +
        'a1ed5182821a7b78951ee2e996350e422e1b9e32e04966bc4c000000020005582e353039000000033001010005582e35303900000003300102' +
        '5c9bffef406cafc6a076921f723bc1c9e848c224',
    )
  })

  test('of certificates to trust', () => {
    const certificates = [anyCertificate(1), anyCertificate(2)]
    expect(encodeJksTruststore({ certificates, password: 'changeit', now }).toHex()).toBe(
      'feedfeed00000002000000020000000200026361000001a202b2c5000005582e3530390000000330010100000002000463612d31000001a202b2c5' +
        '000005582e35303900000003300102f7f38de7df793f19a5a1515d2c26b99d2ed6307d',
    )
  })
})

test('each file has a salt of its own', () => {
  const make = (): string => encodeJks({ key: fixedKey, chain: [anyCertificate(1)], password: 'x', now }).toHex()
  expect(make()).not.toBe(make())
})

test('an alias is written as Java reads it, whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (alias) => {
      const file = encodeJks({ key: fixedKey, chain: [anyCertificate(1)], alias, password: '', now })
      expect(readModifiedUtf8(file.subarray(16))).toBe(alias.toLowerCase())
    }),
  )
})

/** What java.io.DataInput.readUTF does. */
function readModifiedUtf8(bytes: Uint8Array): string {
  const length = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  let text = ''
  for (let at = 2; at < length + 2;) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at)
    const [size, unit] =
      first < 0x80
        ? [1, first]
        : first < 0xe0
          ? [2, ((first & 0x1f) << 6) | (second & 0x3f)]
          : [3, ((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f)]
    text += String.fromCharCode(unit)
    at += size
  }
  return text
}

describe('refuses', () => {
  const keystore = { key: fixedKey, chain: [anyCertificate(1)], password: 'changeit', now }

  test.each(['geheim\0', 'geheim\u{d800}'])('a password that cannot be written, without quoting it', (password) => {
    for (const call of [
      () => encodeJks({ ...keystore, password }),
      () => encodeJksTruststore({ certificates: keystore.chain, password, now }),
    ]) {
      expect(call).toThrow(KeystorePasswordError)
      expect(call).not.toThrow(/geheim/)
    }
  })

  test('an alias that a certificate to trust has', () => {
    const trusted = [anyCertificate(2), anyCertificate(3)]
    expect(() => encodeJks({ ...keystore, alias: 'CA-1', trusted })).toThrow(
      new JksAliasError('the alias "CA-1" is that of a certificate to trust'),
    )
    expect(() => encodeJks({ ...keystore, alias: 'ca-2', trusted })).not.toThrow()
  })

  test('an alias that is too long for its length', () => {
    expect(() => encodeJks({ ...keystore, alias: 'é'.repeat(32768) })).toThrow(
      new JksAliasError('an alias has at most 65535 bytes, not 65536'),
    )
    expect(() => encodeJks({ ...keystore, alias: 'é'.repeat(32767) })).not.toThrow()
  })

  test('a keystore without a certificate', () => {
    expect(() => encodeJks({ ...keystore, chain: [] })).toThrow(RangeError)
  })
})

const hasKeytool = spawnSync('keytool', ['-help']).status === 0
const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

/** Java takes its time to start, on a busy machine most of all. */
const patience = 120_000

describe.runIf(hasKeytool)('keytool', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podpass-jks-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true })
  })

  function file(content: Uint8Array): string {
    const path = join(directory, 'store.jks')
    writeFileSync(path, content)
    return path
  }

  /** Texts outside ASCII reach Java and come back only if it is told so. Its errors, too, are on standard output. */
  function keytool(...options: readonly string[]): string {
    const settings = ['user.language=en', 'sun.jnu.encoding=UTF-8', 'file.encoding=UTF-8', 'stdout.encoding=UTF-8']
    const flags = settings.map((setting) => `-J-D${setting}`)
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    return spawnSync('keytool', [...flags, ...options], { encoding: 'utf8', env }).stdout
  }

  function entriesOf(listing: string): string[] {
    return listing.match(/(?<=^(?:Alias name|Entry type|Certificate chain length|Owner): ).*/gm) ?? []
  }

  const root = testAuthority('root', { now })
  const intermediate = testAuthority('intermediate', { parent: root, now })

  const cases: readonly [string, KeySpec, string, string | undefined][] = [
    ['an RSA key', { algorithm: 'RSA', size: 2048 }, 'changeit', undefined],
    ['an ECDSA key under a password and alias of many letters', { algorithm: 'ECDSA', size: 256 }, 'pässwörd€', 'Wéb'],
    [
      'an Ed25519 key under a password beyond the basic plane',
      { algorithm: 'Ed25519' },
      'a\u{1f600}bcde',
      'x\u{1f600}',
    ],
  ]
  test.each(cases)(
    'reads a keystore with %s and takes it out',
    (_name, spec, password, alias) => {
      const key = generateKeySync(spec)
      const store = file(
        encodeJks({
          key,
          chain: [testLeaf(intermediate, key), intermediate.certificate],
          trusted: [root.certificate],
          password,
          now,
          ...(alias !== undefined && { alias }),
        }),
      )
      const listing = keytool('-list', '-v', '-keystore', store, '-storetype', 'JKS', '-storepass', password)
      const keyEntry = [alias?.toLowerCase() ?? 'certificate', 'PrivateKeyEntry', '2', 'CN=web', 'CN=intermediate']
      const trustedEntry = ['ca', 'trustedCertEntry', 'CN=root']
      expect([
        [...keyEntry, ...trustedEntry],
        [...trustedEntry, ...keyEntry],
      ]).toContainEqual(entriesOf(listing))

      const copy = join(directory, `${spec.algorithm}.p12`)
      const source = ['-srckeystore', store, '-srcstoretype', 'JKS', '-srcstorepass', password]
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
      if (!hasOpenssl) return
      const taken = execFileSync('openssl', ['pkcs12', '-in', copy, '-nodes', '-nocerts', '-passin', 'pass:other1'])
      expect(taken.toString()).toContain(encodePrivateKey(key, 'PKCS8'))
    },
    patience,
  )

  test(
    'reads a truststore',
    () => {
      const certificates = [root.certificate, intermediate.certificate]
      const store = file(encodeJksTruststore({ certificates, password: 'changeit', now }))
      const listing = keytool('-list', '-v', '-keystore', store, '-storetype', 'JKS', '-storepass', 'changeit')
      expect(entriesOf(listing).toSorted()).toEqual(
        ['ca', 'ca-1', 'trustedCertEntry', 'trustedCertEntry', 'CN=root', 'CN=intermediate'].toSorted(),
      )
    },
    patience,
  )

  test(
    'refuses a changed file and another password',
    () => {
      const content = encodeJksTruststore({ certificates: [root.certificate], password: 'changeit', now })
      const list = (content: Uint8Array, password: string): string =>
        keytool('-list', '-keystore', file(content), '-storetype', 'JKS', '-storepass', password)
      expect(list(content, 'changeit')).toContain('contains 1 entry')
      expect(list(content, 'changed')).toContain('password was incorrect')
      const changed = content.toReversed().map((byte, index) => (index === 0 ? byte ^ 1 : byte))
      expect(list(changed.toReversed(), 'changeit')).toContain('password was incorrect')
    },
    patience,
  )
})

test('a file is made with any password that can be written, and with no other', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (password) => {
      const file = throwingOnly([KeystorePasswordError], () =>
        encodeJks({ key: fixedKey, chain: [anyCertificate(1)], password, now }),
      )
      expect(file === undefined).toBe(keystorePasswordProblem(password) !== undefined)
    }),
  )
})
