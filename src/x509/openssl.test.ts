import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkAnswer } from './answer.ts'
import { createCertificateRequest, readCertificateRequest } from './certificate-request.ts'
import { readCertificates } from './certificate.ts'
import { decodePrivateKey, encodePrivateKey, generateKeySync, type KeySpec } from './key.ts'
import { keyUsages } from './key-usage.ts'
import { buildSubject } from './name.ts'
import { day, newKey, testAuthority, testLeaf, webNames } from './test-pki.ts'

/** A fresh machine may lack the program, or have an old one; the other tests then stand alone. */
const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

const specs: readonly [string, KeySpec][] = [
  ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
  ['RSA 4096', { algorithm: 'RSA', size: 4096 }],
  ['P-256', { algorithm: 'ECDSA', size: 256 }],
  ['P-384', { algorithm: 'ECDSA', size: 384 }],
  ['P-521', { algorithm: 'ECDSA', size: 521 }],
  ['Ed25519', { algorithm: 'Ed25519' }],
]

describe.runIf(hasOpenssl)('openssl', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'podpass-openssl-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true })
  })

  function file(name: string, content: string): string {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }

  function openssl(...args: readonly string[]): string {
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  const subject = buildSubject({ commonName: 'wéb', organizations: ['Acme, Inc.', 'Zeta'], countries: ['DE'] })

  describe.each(specs)('with a key of %s', (_name, spec) => {
    const key = generateKeySync(spec)

    test('verifies a request and reads what it asks for', () => {
      const request = file('request.pem', createCertificateRequest(key, { subject, names: webNames }))
      const text = openssl('req', '-in', request, '-noout', '-verify', '-text', '-nameopt', 'RFC2253,-esc_msb')
      expect(text).toContain('Subject: CN=wéb,O=Acme\\, Inc.+O=Zeta,C=DE')
      expect(text).toMatch(
        /DNS:web\.example, DNS:\*\.web\.example, email:web@example\.org, IP Address:10\.0\.0\.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe:\/\/example\.org\/ns\/sandbox\/sa\/web/,
      )
    })

    test('makes a request that is read', () => {
      const keyFile = file('key.pem', encodePrivateKey(key, 'PKCS8'))
      const extensions = [
        'subjectAltName=critical,DNS:web.example,IP:2001:db8::1,URI:spiffe://a/b,email:a@b.example',
        'keyUsage=critical,digitalSignature,decipherOnly',
        'extendedKeyUsage=serverAuth',
        'basicConstraints=critical,CA:TRUE,pathlen:3',
      ].flatMap((extension) => ['-addext', extension])
      const subject = ['-utf8', '-multivalue-rdn', '-subj', '/O=Acme/CN=wéb+OU=team']
      const pem = openssl('req', '-new', '-key', keyFile, ...subject, ...extensions)
      expect(readCertificateRequest(pem)).toMatchObject({
        subject: [
          [{ type: 'O', value: 'Acme' }],
          expect.arrayContaining([
            { type: 'CN', value: 'wéb' },
            { type: 'OU', value: 'team' },
          ]),
        ],
        names: { dns: ['web.example'], ip: ['2001:db8::1'], uri: ['spiffe://a/b'], email: ['a@b.example'] },
        usages: ['digital signature', 'decipher only', 'server auth'],
        isCA: true,
        pathLength: 3,
        keySpec: spec,
        unknown: [],
      })
    })

    test('verifies a chain by its strict rules', () => {
      const now = Date.now()
      const root = testAuthority('root', { key, now })
      const intermediate = testAuthority('intermediate', { parent: root, now, pathLength: 0 })
      const leaf = testLeaf(intermediate, key, { subject, names: webNames, notBefore: now, notAfter: now + day }, now)
      const trusted = ['-CAfile', file('root.pem', root.certificate.pem)]
      const untrusted = ['-untrusted', file('intermediate.pem', intermediate.certificate.pem)]
      const leafFile = file('leaf.pem', leaf.pem)
      for (const purpose of ['sslserver', 'sslclient']) {
        expect(openssl('verify', '-x509_strict', '-purpose', purpose, ...trusted, ...untrusted, leafFile)).toContain(
          'OK',
        )
      }
    })

    test.each(['PKCS1', 'PKCS8'] as const)('reads a private key in %s, and one that it writes is read', (encoding) => {
      const written = openssl('pkey', '-in', file('key.pem', encodePrivateKey(key, encoding)))
      expect(decodePrivateKey(written).equals(key)).toBe(true)
    })
  })

  test('names all usages of a certificate', () => {
    const root = testAuthority('root')
    const leaf = file('leaf.pem', testLeaf(root, newKey(), { usages: keyUsages, isCA: true, pathLength: 0 }).pem)
    const text = openssl('x509', '-in', leaf, '-noout', '-ext', 'keyUsage,extendedKeyUsage,basicConstraints')
    expect(text.replaceAll(/\s+/g, ' ')).toBe(
      'X509v3 Key Usage: critical Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment, Key Agreement, ' +
        'Certificate Sign, CRL Sign, Encipher Only, Decipher Only ' +
        'X509v3 Extended Key Usage: Any Extended Key Usage, TLS Web Server Authentication, TLS Web Client Authentication, ' +
        'Code Signing, E-mail Protection, IPSec End System, IPSec Tunnel, IPSec User, Time Stamping, OCSP Signing, ' +
        'Microsoft Server Gated Crypto, Netscape Server Gated Crypto ' +
        'X509v3 Basic Constraints: critical CA:TRUE, pathlen:0 ',
    )
  })

  test('signs an answer that is taken', () => {
    const key = newKey()
    const request = file('request.pem', createCertificateRequest(key, { subject: [], names: webNames }))
    const keyFile = file('ca.key', encodePrivateKey(newKey(), 'PKCS8'))
    const ca = file(
      'ca.pem',
      openssl(
        'req',
        '-x509',
        '-new',
        '-key',
        keyFile,
        '-subj',
        '/CN=openssl',
        '-addext',
        'keyUsage=critical,keyCertSign',
        '-days',
        '30',
      ),
    )
    const signing = ['-CA', ca, '-CAkey', keyFile, '-days', '1', '-copy_extensions', 'copyall']
    const chain = openssl('x509', '-req', '-in', request, ...signing)
    const [caCertificate] = readCertificates(openssl('x509', '-in', ca))
    const asked = { key, names: webNames, commonName: undefined, usages: [], isCA: false, duration: day }
    const { problems, warnings } = checkAnswer({ chain, ca: caCertificate?.pem }, asked, Date.now())
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] })
  })
})
