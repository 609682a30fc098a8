import { execFileSync, type ExecFileSyncOptionsWithStringEncoding, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { CertificateSigningRequest } from '../../kubernetes/certificates.ts'
import type { Condition } from '../../kubernetes/object.ts'
import { generateKeySync, type KeySpec } from '../../x509/key.ts'
import { type KeyUsage, splitUsages } from '../../x509/key-usage.ts'
import { buildSubject } from '../../x509/name.ts'
import { day, hour, minute, now } from '../../x509/test-pki.ts'
import { readCertificates } from '../../x509/certificate.ts'
import { type AskedInTest, signingRequest } from '../fixtures/requests.ts'
import { deepCa, rootCa } from './fixtures/certificate-authorities.ts'
import { defaultUsages, type SignerProfile } from './signer-profile.ts'
import type { SigningCa } from './signing-ca.ts'
import type { SignedLeaf } from './sign-leaf.ts'
import { signingTask, withCertificate, withFailure } from './signing-request.ts'

const profile: SignerProfile = { signerName: 'example.com/serving', usages: defaultUsages, longest: day }
const ca = rootCa(now)

function condition(type: string): Condition {
  return { type, status: 'True', reason: 'Test' }
}

function approved(
  asked: AskedInTest = {},
  spec: Partial<CertificateSigningRequest['spec']> = {},
  types: readonly string[] = ['Approved'],
): CertificateSigningRequest {
  const { object } = signingRequest({ subject: buildSubject({ commonName: 'web' }), ...asked }, spec)
  return { ...object, status: { conditions: types.map(condition) } }
}

function signed(object: CertificateSigningRequest, by: SigningCa = ca, of: SignerProfile = profile): SignedLeaf {
  const task = signingTask(object, of)
  if (task.is !== 'sign') throw new Error(`it is not to be signed: ${JSON.stringify(task)}`)
  return task.sign(by, now)
}

test('only what is approved, and neither denied, failed nor issued, is signed', () => {
  fc.assert(
    fc.property(
      fc.subarray(['Approved', 'Denied', 'Failed', 'Other']),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (types, isIssued, isEnding, isOurs) => {
        const object = approved({}, { signerName: isOurs ? profile.signerName : 'example.com/other' }, types)
        const { status } = isIssued ? withCertificate(object, { leaf: ca.root, chain: 'x' }) : object
        const metadata = { ...object.metadata, ...(isEnding && { deletionTimestamp: '2026-11-22T10:00:00Z' }) }
        const { is } = signingTask({ ...object, metadata, ...(status && { status }) }, profile)
        const isWanted = types.includes('Approved') && !types.includes('Denied') && !types.includes('Failed')
        expect(is).toBe(isWanted && isOurs && !isIssued && !isEnding ? 'sign' : 'nothing')
      },
    ),
  )
})

describe('the life of a certificate', () => {
  test.each<[string, number | undefined, number]>([
    ['is what is asked for', 7200, 2 * hour],
    ["is the signer's, where more is asked for", 999_999_999, day],
    ["is the signer's, where nothing is asked for", undefined, day],
  ])('%s, from now on, and begins five minutes ago', (_what, expirationSeconds, life) => {
    const { expirationSeconds: _, ...spec } = approved().spec
    const object = { ...approved(), spec: { ...spec, ...(expirationSeconds !== undefined && { expirationSeconds }) } }
    expect(signed(object).leaf).toMatchObject({ notBefore: now - 5 * minute, notAfter: now + life })
  })

  test('ends with the CA and does not begin before it', () => {
    const young = rootCa(now, { now: now - minute, lifetime: hour })
    expect(signed(approved(), young).leaf).toMatchObject({ notBefore: now - minute, notAfter: now + hour - minute })
  })
})

test('serial numbers are positive, of 128 bits and not repeated', () => {
  const serials = Array.from({ length: 30 }, () => signed(approved()).leaf.serial)
  expect(new Set(serials).size).toBe(30)
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/)
})

test.each<[string, CertificateSigningRequest, string]>([
  ['another usage', approved({}, { usages: ['code signing'] }), 'does not sign for the usage "code signing"'],
  ["a CA's usage", approved({}, { usages: ['cert sign'] }), '"cert sign" is for certificate authorities'],
  [
    'a user of Kubernetes',
    approved({ subject: buildSubject({ commonName: 'system:admin' }) }),
    'CN:system:admin is a name of Kubernetes itself',
  ],
  [
    'a group of Kubernetes',
    approved({ subject: buildSubject({ organizations: ['system:masters'] }) }),
    'O:system:masters',
  ],
  ['no request at all', approved({}, { request: 'AAAA' }), 'PEM'],
])('%s is Failed for good, with a reason for people', (_what, object, why) => {
  const task = signingTask(object, profile)
  expect(task).toMatchObject({ is: 'fail', why: expect.stringContaining(why) as string })
  const failed = withFailure(object, 'because')
  expect(failed.status?.conditions).toEqual([
    condition('Approved'),
    { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: 'because' },
  ])
  expect(failed.metadata).toEqual(object.metadata)
})

const directory = mkdtempSync(join(tmpdir(), 'podpass-signed-'))
afterAll(() => rmSync(directory, { recursive: true }))

const names = {
  dns: ['web.shop.svc', '*.web.example'],
  ip: ['10.0.0.1', '2001:db8::1'],
  uri: ['spiffe://cluster.example/ns/shop/sa/web'],
  email: ['web@shop.example'],
}
const subject = buildSubject({ commonName: 'wéb', organizations: ['Acme, Inc.', 'Zeta'], countries: ['DE'] })
const specs: readonly [string, KeySpec][] = [
  ['RSA 2048', { algorithm: 'RSA', size: 2048 }],
  ['P-256', { algorithm: 'ECDSA', size: 256 }],
  ['P-521', { algorithm: 'ECDSA', size: 521 }],
  ['Ed25519', { algorithm: 'Ed25519' }],
]

/** One of each kind of key, of the CA and of the leaf. */
const leaves = specs.flatMap(([name, spec]) => {
  const deep = deepCa(now, spec)
  const usages: readonly KeyUsage[] = ['digital signature', 'key encipherment', 'server auth', 'client auth']
  return specs.map(([of, keySpec]) => {
    const object = approved({ key: generateKeySync(keySpec), subject, names }, { usages })
    const { leaf, chain } = signed(object, deep)
    return { name: `${of} by ${name}`, deep, leaf, chain }
  })
})

/** A fresh machine may lack the program, or have an old one. */
const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

test.runIf(hasOpenssl).each(leaves)('openssl verifies and reads $name', ({ chain, deep }) => {
  const [file, root] = [join(directory, 'chain.pem'), join(directory, 'root.pem')]
  writeFileSync(file, chain)
  writeFileSync(root, deep.root.pem)
  const options: ExecFileSyncOptionsWithStringEncoding = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  const at = ['-attime', String(now / 1000)]
  execFileSync('openssl', ['verify', '-x509_strict', ...at, '-CAfile', root, '-untrusted', file, file], options)
  const text = execFileSync(
    'openssl',
    ['x509', '-in', file, '-noout', '-text', '-nameopt', 'RFC2253,-esc_msb'],
    options,
  )
  expect(text).toContain('Subject: CN=wéb,O=Acme\\, Inc.+O=Zeta,C=DE')
  expect(text).toContain('DNS:web.shop.svc, DNS:*.web.example, email:web@shop.example, IP Address:10.0.0.1')
  expect(text).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment/)
  expect(text).toMatch(/Extended Key Usage:\s+TLS Web Client Authentication, TLS Web Server Authentication/)
  expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
})

interface GoAnswer {
  readonly subject: string
  readonly dnsNames: readonly string[]
  readonly verifies: string
}

/** @returns undefined where there is no Go */
function askGo(
  questions: readonly { readonly chain: string; readonly root: string }[],
): readonly GoAnswer[] | undefined {
  const program = join(directory, 'go-parse')
  const { error, status, stderr } = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: join(import.meta.dirname, 'fixtures/go-parse'),
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
    encoding: 'utf8',
  })
  if (error !== undefined || /requires go >=/.test(stderr)) return undefined
  if (status !== 0) throw new Error(`the Go program does not build: ${stderr}`)
  const { stdout } = spawnSync(program, { input: JSON.stringify(questions), encoding: 'utf8' })
  return JSON.parse(stdout) as readonly GoAnswer[]
}

test('Go, as the API server reads certificates, verifies them and sees the same', (context) => {
  const answers = askGo(leaves.map(({ chain, deep }) => ({ chain, root: deep.root.pem })))
  if (answers === undefined) return context.skip('there is no Go')
  const [digitalSignature, keyEncipherment, serverAuth, clientAuth] = [1, 4, 1, 2]
  for (const [index, { leaf }] of leaves.entries()) {
    expect(answers[index]).toEqual({
      // It writes the values of one level in the reverse of their order.
      subject: 'CN=wéb,O=Zeta+O=Acme\\, Inc.,C=DE',
      dnsNames: names.dns,
      ipAddresses: names.ip,
      uris: names.uri,
      emails: names.email,
      keyUsage: digitalSignature + keyEncipherment,
      extKeyUsage: [clientAuth, serverAuth],
      isCA: false,
      notBefore: leaf.notBefore,
      notAfter: leaf.notAfter,
      serialBits: 127,
      verifies: 'yes',
    })
  }
})

test('usages that have two names are signed once', () => {
  const { leaf } = signed(approved({}, { usages: ['signing', 'digital signature', 'server auth'] }))
  expect(splitUsages(leaf.usages)).toEqual(splitUsages(['digital signature', 'server auth']))
})

test('the chain holds what stands between leaf and root, and not the root', () => {
  const deep = deepCa(now, { algorithm: 'ECDSA', size: 256 })
  const { chain } = signed(approved(), deep)
  expect(readCertificates(chain).map(({ subject }) => subject)).toEqual(['CN=web', 'CN=issuing', 'CN=middle'])
  const { status } = withCertificate(approved(), { leaf: ca.root, chain })
  expect(Buffer.from(status?.certificate ?? '', 'base64').toString()).toBe(chain)
})
