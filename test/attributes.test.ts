import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { inspect } from 'node:util'
import { status } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../src/runtime/clock.ts'
import type { Log } from '../src/runtime/log.ts'
import { readCertificateRequest } from '../src/x509/certificate-request.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode, type TestVolume } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// What attributes do to requests and files, on the driver's socket with the embedded CA.

let node: TestNode
let issuer: ScriptedIssuer

afterEach(() => node.close())

const hour = 3600_000
const password = 'hunter2-secret'

async function start(options: Partial<Parameters<typeof TestNode.start>[0]> = {}): Promise<void> {
  issuer = new ScriptedIssuer({ clock: options.clock ?? systemClock })
  node = await TestNode.start({ issuerFor: () => issuer, ...options })
}

function attributesOf(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`csi.cert-manager.io/${name}`, value]))
}

/** All that is logged, errors with all their properties. */
function recordingLog(lines: string[]): Log {
  const write = (fields: object, message: string): void => {
    lines.push(`${message} ${inspect(fields, { depth: null })}`)
  }
  return { debug: write, info: write, warn: write, error: write, child: () => recordingLog(lines) }
}

async function keystoreOf(volume: TestVolume, file = 'keystore.p12'): Promise<Buffer> {
  return readFile(join(volume.target, file))
}

function opens(pfx: Buffer, passphrase: string): boolean {
  try {
    createSecureContext({ pfx, passphrase })
    return true
  } catch {
    return false
  }
}

const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)

test('a request carries the subject, names, usages, constraints and signature that the attributes name', async () => {
  await start()
  const volume = await node.volume(
    attributesOf({
      'common-name': '${POD_NAME}',
      organizations: '"Acme, Inc.",Other',
      countries: 'DE',
      'dns-names': '${POD_NAME}.${NODE_NAME}',
      'email-sans': 'web@example.com',
      'other-names': '1.3.6.1.4.1.311.20.2.3=web@example.com',
      'is-ca': 'true',
      'key-usages': 'digital signature,server auth',
      'encode-usages-in-request': 'true',
      'name-constraints-critical': 'true',
      'name-constraints-permitted-dns': 'example.com',
      'signature-algorithm': 'ECDSAWithSHA384',
    }),
  )
  // The embedded CA signs neither other names nor constraints, and says so.
  await expect(node.publish(volume)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
  const csr = issuer.requests[0]?.csr ?? ''
  const request = readCertificateRequest(csr)
  expect(request.subject).toEqual([
    [{ type: 'C', value: 'DE' }],
    [
      { type: 'O', value: 'Other' },
      { type: 'O', value: 'Acme, Inc.' },
    ],
    [{ type: 'CN', value: 'pod-0' }],
  ])
  expect(request.names).toEqual({
    dns: ['pod-0.node-1'],
    ip: [],
    uri: [],
    email: ['web@example.com'],
    otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'web@example.com' }],
  })
  expect(request.usages).toEqual(['digital signature', 'cert sign', 'server auth'])
  expect(request.unknown).toEqual(['otherName 1.3.6.1.4.1.311.20.2.3', 'extension 2.5.29.30 (critical)'])
  if (!hasOpenssl) return
  const text = execFileSync('openssl', ['req', '-noout', '-text', '-verify'], {
    input: csr,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  expect(text).toContain('Signature Algorithm: ecdsa-with-SHA384')
  expect(text).toMatch(/Name Constraints: critical\s+Permitted:\s+DNS:example.com/)
})

test('without attributes a request has names and nothing else, as with the Go driver', async () => {
  await start()
  await node.publish(await node.volume())
  const request = readCertificateRequest(issuer.requests[0]?.csr ?? '')
  expect(request).toMatchObject({ subject: [], usages: undefined, unknown: [] })
})

test('a literal subject that hides other attributes is told as an event', async () => {
  await start()
  await node.publish(await node.volume(attributesOf({ 'literal-subject': 'CN=a', 'common-name': 'b' })))
  expect(readCertificateRequest(issuer.requests[0]?.csr ?? '').subject).toEqual([[{ type: 'CN', value: 'a' }]])
  expect(node.events).toEqual([
    expect.objectContaining({
      reason: 'VolumeAttribute',
      message: expect.stringContaining('is the whole subject, so these are ignored') as string,
    }),
  ])
})

test('a certificate is renewed when the share of its life is left that the attribute names', async () => {
  const clock = new ManualClock()
  await start({ clock })
  const volume = await node.volume(attributesOf({ duration: '100h', 'renew-before': '25%' }))
  await node.publish(volume)
  const [report] = node.driver.inspect()
  const { notBefore, notAfter } = report?.issued ?? { notBefore: 0, notAfter: 0 }
  const left = (notAfter - (report?.renewAt ?? 0)) / (notAfter - notBefore)
  expect(left).toBeGreaterThanOrEqual(0.25)
  expect(left).toBeLessThanOrEqual(0.275)
})

test('keystores come with the PEM files, and are replaced with them', async () => {
  const clock = new ManualClock()
  await start({ clock })
  const volume = await node.volume(
    attributesOf({
      'keystore-pkcs12-enable': 'true',
      'keystore-pkcs12-password': password,
      'keystore-pkcs12-filename': 'bar/web.p12',
      'jks-enable': 'true',
      'jks-password': password,
      'additional-output-formats': 'CombinedPEM,DER',
      'credential-bundle-file': 'bundle.pem',
    }),
  )
  await node.publish(volume)
  const visible = (await readdir(volume.target)).filter((name) => !name.startsWith('..'))
  expect(visible.sort()).toEqual([
    'bar',
    'bundle.pem',
    'ca.crt',
    'key.der',
    'keystore.jks',
    'tls-combined.pem',
    'tls.crt',
    'tls.key',
    'truststore.jks',
    'truststore.p12',
  ])
  const first = await keystoreOf(volume, 'bar/web.p12')
  expect(opens(first, password)).toBe(true)
  clock.advance(700 * hour)
  await until('the keystore is another', async () => !(await keystoreOf(volume, 'bar/web.p12')).equals(first))
  expect(opens(await keystoreOf(volume, 'bar/web.p12'), password)).toBe(true)
})

test('a password of a Secret goes before the attribute, outlives a restart, and goes with the volume', async () => {
  const clock = new ManualClock()
  await start({ clock })
  const attributes = attributesOf({ 'pkcs12-enable': 'true', 'pkcs12-password': 'other' })
  const volume = { ...(await node.volume(attributes)), secrets: { 'pkcs12-password': password, 'jks-password': 'x' } }
  await node.publish(volume)
  const first = await keystoreOf(volume)
  expect(opens(first, password)).toBe(true)
  await node.stopDriver()
  await node.startDriver()
  expect(issuer.requests).toHaveLength(1)
  clock.advance(700 * hour)
  await until('the keystore is another', async () => !(await keystoreOf(volume)).equals(first))
  expect(opens(await keystoreOf(volume), password)).toBe(true)
  await node.unpublish(volume)
  expect(await readdir(node.volumesFolder)).toEqual([])
})

test('a volume of the Go driver keeps the password of its keystore', async () => {
  const clock = new ManualClock()
  await start({ clock })
  const volume = await node.volume(attributesOf({ 'pkcs12-enable': 'true', 'pkcs12-password': password }))
  await node.publish(volume)
  const first = await keystoreOf(volume)
  await node.stopDriver()
  const folder = join(node.folder, 'data', 'inmemfs', volume.id)
  await mkdir(folder, { recursive: true })
  await rename(join(node.volumesFolder, volume.id, 'data'), join(folder, 'data'))
  await rm(join(node.volumesFolder, volume.id), { recursive: true })
  await rm(volume.target)
  await symlink(join(folder, 'data'), volume.target)
  const metadata = { volumeID: volume.id, targetPath: volume.target, volumeContext: volume.context }
  await writeFile(join(folder, 'metadata.json'), JSON.stringify(metadata))
  await node.startDriver()
  // A second start finds what the first one has stored.
  await node.stopDriver()
  await node.startDriver()
  clock.advance(700 * hour)
  await until('the keystore is another', async () => !(await keystoreOf(volume)).equals(first))
  expect(opens(await keystoreOf(volume), password)).toBe(true)
  expect(await readFile(join(folder, 'state.json'), 'utf8')).not.toContain(password)
})

test('a password stands in no answer, log, event or state, whether its volume is right or wrong', async () => {
  const lines: string[] = []
  await start({ log: recordingLog(lines) })
  const wrong = [
    { 'pkcs12-password': password },
    { 'pkcs12-enable': 'true', 'pkcs12-password': `${password}\0` },
    { 'pkcs12-enable': 'true', 'pkcs12-password': password, 'keystore-pkcs12-password': `${password}2` },
    { 'pkcs12-enable': 'maybe', 'pkcs12-password': password, 'jks-alias': 'ca' },
  ]
  for (const attributes of wrong) {
    const volume = await node.volume(attributesOf(attributes))
    const error: unknown = await node.publish(volume).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect(inspect(error, { depth: null })).not.toContain(password)
  }
  const right = { 'pkcs12-enable': 'true', 'keystore-pkcs12-password': password, 'pkcs12-pasword': password }
  const volume = { ...(await node.volume(attributesOf(right))), secrets: { 'jks-password': password } }
  await node.publish(volume)
  expect(node.events).toHaveLength(1)
  expect(JSON.stringify(node.events)).not.toContain(password)
  expect(await readFile(join(node.volumesFolder, volume.id, 'state.json'), 'utf8')).not.toContain(password)
  // A stored password that is damaged is not quoted when the next start cannot read it.
  await node.stopDriver()
  await writeFile(join(node.volumesFolder, volume.id, 'pending', 'passwords.json'), `{"a": ${password}`)
  await node.startDriver()
  expect(lines.join('\n')).toContain('a volume cannot be taken up again')
  expect(lines.join('\n')).not.toContain(password)
})
