import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateKeySync } from '../x509/key.ts'
import { encodePem } from '../x509/pem.ts'
import { newKey, now, testAuthority, testLeaf } from '../x509/test-pki.ts'
import { attributePrefix, kubeletKeys } from './attributes.ts'
import { keystoreFiles } from './keystore-files.ts'
import { parseVolumeSpec, type VolumeSpec } from './spec.ts'

const root = testAuthority('root', { now })
const intermediate = testAuthority('intermediate', { parent: root, now })
const key = newKey()
const answer = {
  chain: testLeaf(intermediate, key).pem + intermediate.certificate.pem,
  ca: root.certificate.pem,
}

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

const pkcs12 = { 'pkcs12-enable': 'true', 'pkcs12-password': 'changeit' }
const jks = { 'jks-enable': 'true', 'jks-password': 'changeit' }

function fileOf(files: ReadonlyMap<string, Uint8Array>, path: string): Buffer {
  const content = files.get(path)
  if (content === undefined) throw new Error(`there is no ${path}`)
  return Buffer.from(content)
}

test('no keystore is made that nobody asks for, whatever the answer holds', () => {
  expect(keystoreFiles(specOf({}), key, { chain: 'no PEM', ca: undefined }, now).size).toBe(0)
})

test('a PKCS#12 keystore opens with its password and no other, by its own name', () => {
  const files = keystoreFiles(specOf({ ...pkcs12, 'pkcs12-filename': 'a/b.p12' }), key, answer, now)
  expect([...files.keys()]).toEqual(['a/b.p12', 'truststore.p12'])
  const pfx = fileOf(files, 'a/b.p12')
  expect(() => createSecureContext({ pfx, passphrase: 'changeit' })).not.toThrow()
  expect(() => createSecureContext({ pfx, passphrase: 'other' })).toThrow(/mac verify failure/)
})

test('without a CA there is no truststore', () => {
  const spec = specOf({ ...pkcs12, ...jks })
  for (const ca of [undefined, '']) {
    const files = keystoreFiles(spec, key, { chain: answer.chain, ca }, now)
    expect([...files.keys()]).toEqual(['keystore.p12', 'keystore.jks'])
  }
})

test('a certificate that cannot be read here is an anchor for others all the same', () => {
  const odd = encodePem('CERTIFICATE', Uint8Array.of(0x30, 0x00))
  const files = keystoreFiles(specOf({ ...pkcs12, ...jks }), key, { ...answer, ca: answer.ca + odd }, now)
  expect([...files.keys()].sort()).toEqual(['keystore.jks', 'keystore.p12', 'truststore.jks', 'truststore.p12'])
  expect(fileOf(files, 'truststore.jks').includes(Buffer.of(0x30, 0x00))).toBe(true)
})

const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)
const hasKeytool = spawnSync('keytool', ['-help']).status === 0
/** Java takes its time to start, on a busy machine most of all. */
const patience = 120_000

describe('other readers', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podpass-keystores-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true })
  })

  function written(files: ReadonlyMap<string, Uint8Array>, path: string): string {
    const target = join(directory, path)
    writeFileSync(target, fileOf(files, path))
    return target
  }

  test.runIf(hasOpenssl).each([undefined, 'LegacyRC2', 'LegacyDES', 'Modern2023'])(
    'OpenSSL finds the key and the chain in the profile %s, and no CA',
    (profile) => {
      const rsa = generateKeySync({ algorithm: 'RSA', size: 2048 })
      const chain = testLeaf(intermediate, rsa).pem + intermediate.certificate.pem
      const spec = specOf({ ...pkcs12, ...(profile === undefined ? {} : { 'pkcs12-profile': profile }) })
      const store = written(keystoreFiles(spec, rsa, { ...answer, chain }, now), 'keystore.p12')
      const options = ['pkcs12', '-in', store, '-nodes', '-passin', 'pass:changeit']
      const text = execFileSync('openssl', options, { encoding: 'utf8' })
      expect(text).toContain('BEGIN PRIVATE KEY')
      expect(text.match(/^subject=.*/gm)).toEqual(['subject=CN = web', 'subject=CN = intermediate'])
    },
  )

  function listing(type: string, store: string): string {
    const options = ['-list', '-v', '-keystore', store, '-storetype', type, '-storepass', 'changeit']
    return spawnSync('keytool', ['-J-Duser.language=en', ...options], { encoding: 'utf8' }).stdout
  }

  function entriesOf(text: string): string[] {
    return text.match(/(?<=^(?:Alias name|Entry type): ).*/gm) ?? []
  }

  test.runIf(hasKeytool)(
    'keytool finds the key under its alias and the CA in JKS, and the CA in both truststores',
    () => {
      const files = keystoreFiles(specOf({ ...pkcs12, ...jks, 'jks-alias': 'web' }), key, answer, now)
      const store = entriesOf(listing('JKS', written(files, 'keystore.jks')))
      expect(store.toSorted()).toEqual(['PrivateKeyEntry', 'ca', 'trustedCertEntry', 'web'])
      expect(entriesOf(listing('JKS', written(files, 'truststore.jks')))).toEqual(['ca', 'trustedCertEntry'])
      expect(entriesOf(listing('PKCS12', written(files, 'truststore.p12')))).toEqual(['cn=root', 'trustedCertEntry'])
    },
    patience,
  )
})
