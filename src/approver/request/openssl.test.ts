import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodePrivateKey, generateKeySync } from '../../x509/key.ts'
import { buildSubject } from '../../x509/name.ts'
import { csrOf, signingRequest } from '../fixtures/requests.ts'
import { readRequest } from './read-request.ts'

/** A fresh machine may lack the program, or have an old one. */
const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

describe.runIf(hasOpenssl)('openssl', () => {
  let directory = ''
  let keyFile = ''
  const key = generateKeySync({ algorithm: 'RSA', size: 2048 })
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podpass-openssl-'))
    keyFile = join(directory, 'key.pem')
    writeFileSync(keyFile, encodePrivateKey(key, 'PKCS8'))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  function request(subject: string, extensions: readonly string[] = [], digest = 'sha256'): string {
    const more = extensions.flatMap((extension) => ['-addext', extension])
    const args = ['req', '-new', '-key', keyFile, `-${digest}`, '-subj', subject, ...more]
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  function faultsOf(csr: string): readonly string[] {
    return readRequest(signingRequest({ csr })).faults.map(({ rule }) => rule)
  }

  test('makes a request that is taken, with the names in it', () => {
    const names = 'subjectAltName=DNS:web.shop.svc,URI:spiffe://td/ns/shop,IP:10.0.0.1,IP:fd00::1,email:a@b.example'
    const csr = request('/O=Shop/CN=web', [names, 'keyUsage=critical,digitalSignature', 'extendedKeyUsage=serverAuth'])
    const { asked, faults } = readRequest(signingRequest({ csr }))
    expect(faults).toEqual([])
    expect(asked?.names).toMatchObject({
      commonNames: ['web'],
      organizations: ['Shop'],
      dnsNames: ['web.shop.svc'],
      uris: ['spiffe://td/ns/shop'],
      ipAddresses: ['10.0.0.1', 'fd00::1'],
      emailAddresses: ['a@b.example'],
    })
  })

  test.each<[string, string, readonly string[], string, string]>([
    ['an e-mail address in the subject', '/CN=web/emailAddress=a@b.example', [], 'sha256', 'request.subject'],
    ['two common names', '/CN=web/CN=admin', [], 'sha256', 'request.subject'],
    ['SHA-1', '/CN=web', [], 'sha1', 'request.encoding'],
    ['a CA', '/CN=web', ['basicConstraints=critical,CA:TRUE'], 'sha256', 'request.ca'],
    [
      'a user principal name',
      '/CN=web',
      ['subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin'],
      'sha256',
      'request.extensions',
    ],
    ['a registered id', '/CN=web', ['subjectAltName=RID:1.2.3.4'], 'sha256', 'request.extensions'],
    ['other usages', '/CN=web', ['extendedKeyUsage=clientAuth'], 'sha256', 'request.usages'],
    ['name constraints', '/CN=web', ['nameConstraints=permitted;DNS:a.example'], 'sha256', 'request.extensions'],
  ])('makes a request with %s that is ruled out', (_what, subject, extensions, digest, rule) => {
    expect(faultsOf(request(subject, extensions, digest))).toContain(rule)
  })

  test('reads the same names in a request that is taken', () => {
    const file = join(directory, 'request.pem')
    const names = { dns: ['web.shop.svc'], uri: ['spiffe://td/ns/shop'], ip: ['10.0.0.1'] }
    writeFileSync(file, csrOf({ subject: buildSubject({ commonName: 'web' }), names }))
    const text = execFileSync('openssl', ['req', '-in', file, '-noout', '-verify', '-text'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    expect(text).toContain('DNS:web.shop.svc, IP Address:10.0.0.1, URI:spiffe://td/ns/shop')
  })
})
