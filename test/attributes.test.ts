import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { inspect } from 'node:util'
import { status } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { PodGoneError, type PodMetadataSource, PodUnreadableError } from '../src/driver/pod-metadata.ts'
import type { PodReference } from '../src/issuer/issuer.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { type PodMetadata, type PodMetadataKeys, pickPodMetadata } from '../src/volume/pod-metadata.ts'
import type { Mounter, PrivateMountOptions } from '../src/volume/mounter.ts'
import { privateDirectory } from '../src/volume/private-directory.ts'
import { readCertificateRequest } from '../src/x509/certificate-request.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode, type TestVolume } from './support/node.ts'
import { recordingLog } from './support/recording-log.ts'
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

/** The text with which a volume is refused for its attributes. */
async function refusal(attributes: Readonly<Record<string, string>>): Promise<string> {
  const error: unknown = await node
    .publish(await node.volume(attributesOf(attributes)))
    .catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT })
  return (error as { details: string }).details
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

test('a certificate is renewed in the window that the attribute names, again after a restart', async () => {
  const clock = new ManualClock(Date.UTC(2026, 2, 4))
  await start({ clock })
  const windows = attributesOf({ duration: '720h', 'renewal-windows': '0 2 * * 6 for 4h in Europe/Berlin' })
  await node.publish(await node.volume(windows))
  const renewAt = (): number => node.driver.inspect()[0]?.renewAt ?? 0
  const first = renewAt()
  // Two thirds of its life end on 24 March, less the spread. Berlin is an hour ahead of UTC.
  expect(first).toBeGreaterThanOrEqual(Date.UTC(2026, 2, 21, 1))
  expect(first).toBeLessThan(Date.UTC(2026, 2, 21, 5))
  await node.stopDriver()
  await node.startDriver()
  expect(renewAt()).toBe(first)
  clock.advance(first - clock.now())
  await until('it is renewed', () => Promise.resolve(renewAt() > first))
  expect(issuer.requests).toHaveLength(2)
  // The certificate of 21 March: 10 April, less the spread, so the Saturday before. Berlin is two hours ahead by then.
  expect(renewAt()).toBeGreaterThanOrEqual(Date.UTC(2026, 3, 4, 0))
  expect(renewAt()).toBeLessThan(Date.UTC(2026, 3, 4, 4))
  expect(node.events).toEqual([])
})

test('a window that a certificate does not live to see is told, and not waited for', async () => {
  const clock = new ManualClock(Date.UTC(2026, 2, 4))
  await start({ clock })
  const windows = attributesOf({ duration: '24h', 'renewal-windows': '0 2 * * 6 for 4h' })
  await node.publish(await node.volume(windows))
  expect(node.driver.inspect()[0]?.renewAt).toBeLessThan(Date.UTC(2026, 2, 5))
  expect(node.told('RenewalWindow')).toEqual([
    expect.objectContaining({ message: expect.stringContaining('no renewal window opens from 2026-03-04T') as string }),
  ])
})

test('windows that can never be kept are refused before there is a key', async () => {
  await start()
  const wrong = { 'renewal-windows': '0 0 31 2 * for 4h; 0 2 * * 6 for 4h in Berlin', 'disable-auto-renew': 'true' }
  const details = await refusal(wrong)
  expect(details).toContain('never comes: no month that it names has such a day')
  expect(details).toContain('time zone "Berlin" is unknown')
  expect(details).toContain('there is nothing to renew with csi.cert-manager.io/disable-auto-renew')
  expect(issuer.requests).toEqual([])
})

/** Pods as an API server knows them: one label and one annotation for all, which a test may change. */
class KnownPods implements PodMetadataSource {
  label = 'web'
  reads: readonly PodMetadataKeys[] = []
  error: Error | undefined

  async read(_pod: PodReference, keys: PodMetadataKeys): Promise<PodMetadata> {
    this.reads = [...this.reads, keys]
    if (this.error !== undefined) throw this.error
    return pickPodMetadata({ labels: { 'app.kubernetes.io/name': this.label }, annotations: { team: 'a, b' } }, keys)
  }
}

const named = attributesOf({
  'common-name': "${POD_ANNOTATIONS['team']}",
  'dns-names': "${POD_LABELS['app.kubernetes.io/name']}.${POD_NAMESPACE}.svc",
})

function subjectsOf(): unknown[] {
  return issuer.requests.map(({ csr }) => {
    const { subject, names } = readCertificateRequest(csr)
    return [subject.flat().map(({ value }) => value), names.dns]
  })
}

test('labels and annotations are those of the first publish, over restarts and renewals', async () => {
  const clock = new ManualClock()
  const podMetadata = new KnownPods()
  await start({ clock, podMetadata })
  const volume = await node.volume(named)
  await node.publish(volume)
  expect(podMetadata.reads).toEqual([{ labels: ['app.kubernetes.io/name'], annotations: ['team'] }])
  podMetadata.label = 'changed'
  await node.publish(volume)
  await node.stopDriver()
  await node.startDriver()
  await node.publish(volume)
  clock.advance(700 * hour)
  await until('it is renewed', () => Promise.resolve(issuer.requests.length === 2))
  const first = [['a, b'], ['web.sandbox.svc']]
  expect(subjectsOf()).toEqual([first, first])
  expect(podMetadata.reads).toHaveLength(1)
})

test('a pod is read for volumes that refer to its labels or annotations, and for no other', async () => {
  const podMetadata = new KnownPods()
  await start({ podMetadata })
  await node.publish(await node.volume(attributesOf({ 'dns-names': '${POD_NAME}.${NODE_NAME}' })))
  expect(podMetadata.reads).toEqual([])
})

test('a pod author cannot put values of their own in the place of labels', async () => {
  await start({ podMetadata: new KnownPods() })
  const forged = {
    ...named,
    ...attributesOf({ "POD_LABELS['app.kubernetes.io/name']": 'evil' }),
    "csi.storage.k8s.io/pod.labels['app.kubernetes.io/name']": 'evil',
    'csi.storage.k8s.io/podMetadata': '{"labels":{"app.kubernetes.io/name":"evil"}}',
  }
  await node.publish(await node.volume(forged))
  expect(subjectsOf()).toEqual([[['a, b'], ['web.sandbox.svc']]])
})

test('a label that fits no name is refused before there is a key, and taken once it was changed', async () => {
  const podMetadata = new KnownPods()
  podMetadata.label = 'a.b'
  await start({ podMetadata })
  const volume = await node.volume(named)
  await expect(node.publish(volume)).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('it must be one DNS label') as string,
  })
  expect(await readdir(node.volumesFolder)).toEqual([])
  podMetadata.label = 'web'
  await node.publish(volume)
  expect(subjectsOf()).toEqual([[['a, b'], ['web.sandbox.svc']]])
})

test('a pod that cannot be read leaves nothing behind; what can be mended is tried again', async () => {
  const podMetadata = new KnownPods()
  await start({ podMetadata })
  const volume = await node.volume(named)
  for (const [error, code] of [
    [new PodGoneError('it is gone'), status.FAILED_PRECONDITION],
    [new PodUnreadableError('the API server is away'), status.UNAVAILABLE],
  ] as const) {
    podMetadata.error = error
    await expect(node.publish(volume)).rejects.toMatchObject({ code, details: error.message })
    expect(await readdir(node.volumesFolder)).toEqual([])
  }
  podMetadata.error = undefined
  await node.publish(volume)
  expect(issuer.requests).toHaveLength(1)
})

test('a pod is not read while the kubelet may not be the one that says which it is', async () => {
  const podMetadata = new KnownPods()
  await start({ podMetadata, obstacle: () => 'podInfoOnMount is not true' })
  await expect(node.publish(await node.volume(named))).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: 'podInfoOnMount is not true',
  })
  expect(podMetadata.reads).toEqual([])
})

test('a driver that stops, and an unpublish, do not wait for a pod that is being read', async () => {
  const asked = Promise.withResolvers<void>()
  const podMetadata: PodMetadataSource = {
    read: (_pod, _keys, _timeout, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        asked.resolve()
      }),
  }
  await start({ podMetadata })
  const volume = await node.volume(named)
  const publish = node.publish(volume).catch((error: unknown) => error)
  await asked.promise
  await node.unpublish(volume)
  const closing = node.driver.close()
  expect(await publish).toMatchObject({ code: status.UNAVAILABLE, details: 'the driver is stopping' })
  await closing
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

test('the SELinux context of the kubelet is that of the memory, quoted or not', async () => {
  const asked: PrivateMountOptions[] = []
  const mounter: Mounter = {
    ...privateDirectory,
    mountPrivate: async (directory, options) => {
      asked.push(options)
      return privateDirectory.mountPrivate(directory, options)
    },
  }
  await start({ mounter })
  const selinuxContext = 'system_u:object_r:container_file_t:s0:c1,c2'
  for (const mountFlags of [[], ['ro', `context="${selinuxContext}"`], [`context=${selinuxContext}`]]) {
    await node.publish({ ...(await node.volume()), mountFlags })
  }
  expect(asked.map((options) => options.selinuxContext)).toEqual([undefined, selinuxContext, selinuxContext])
})

test('an SELinux context that would add options to the mount is refused', async () => {
  await start()
  const mountFlags = ['context="a:b:c:s0",size=100g,x="']
  await expect(node.publish({ ...(await node.volume()), mountFlags })).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('mount_flags has an SELinux context that is not valid') as string,
  })
  expect(await readdir(node.volumesFolder)).toEqual([])
})
