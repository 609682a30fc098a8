import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { link, open, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RequestDeniedError } from '../src/issuer/errors.ts'
import { formerVolumes, type FormerVolumeOptions, makeFormer, metadataText } from './support/former-volume.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode, type TestVolume } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// Volumes of cert-manager's csi-driver, found at the start: pods run with them, and must not notice. The same on a real node is in
// test/cluster/swap.test.ts.

const hour = 3600_000
const prefix = 'csi.cert-manager.io/'
const tokens = {
  'csi.storage.k8s.io/serviceAccount.tokens':
    '{"":{"token":"secret-token","expirationTimestamp":"2999-01-01T00:00:00Z"}}',
}

let node: TestNode
let clock: ManualClock
let issuer: ScriptedIssuer

beforeEach(async () => {
  clock = new ManualClock()
  issuer = new ScriptedIssuer({ clock })
  node = await TestNode.start({ clock, issuerFor: () => issuer })
})

afterEach(() => node.close())

/**
 * Has a pod run with a volume of the former driver, and no driver at work.
 *
 * @param attributes - that the volume has beside those that a test volume always has; they may be such as are refused here
 */
async function former(
  attributes: Readonly<Record<string, string>> = {},
  options: FormerVolumeOptions | ((volume: TestVolume) => FormerVolumeOptions) = {},
): Promise<{ readonly volume: TestVolume; readonly folder: string }> {
  const plain = await node.volume()
  await node.publish(plain)
  await node.stopDriver()
  issuer.requests.length = 0
  const volume = { ...plain, context: { ...plain.context, ...attributes } }
  const folder = await makeFormer(node, volume, typeof options === 'function' ? options(volume) : options)
  return { volume, folder }
}

function halfWritten(volume: TestVolume): FormerVolumeOptions {
  return { text: metadataText(volume).slice(0, -20) }
}

/** The serial number of the certificate that a pod sees, with its key. While both are replaced, they may be of two generations. */
async function serialOf(volume: TestVolume): Promise<string> {
  const certificate = new X509Certificate(await node.read(volume, 'tls.crt'))
  expect(certificate.checkPrivateKey(createPrivateKey(await node.read(volume, 'tls.key')))).toBe(true)
  return certificate.serialNumber
}

async function renewed(volume: TestVolume, before: string): Promise<void> {
  await until('it is renewed', async () => (await serialOf(volume).catch(() => before)) !== before)
}

/** Waits until the pod sees files that fit together. */
async function issuedTo(volume: TestVolume): Promise<void> {
  await until('the files are there', () => serialOf(volume).catch(() => false))
}

async function metadataIn(folder: string): Promise<{ readonly volumeContext: Readonly<Record<string, string>> }> {
  return JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8')) as {
    readonly volumeContext: Readonly<Record<string, string>>
  }
}

describe('a volume of the former driver', () => {
  test('is taken over with its certificate, renewed in its folder, and unpublished without a trace', async () => {
    const { volume, folder } = await former()
    const serial = await serialOf(volume)
    await node.startDriver()
    await node.publish(volume)
    expect(await serialOf(volume)).toBe(serial)
    expect(issuer.requests).toEqual([])
    clock.advance(700 * hour)
    await renewed(volume, serial)
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()).toEqual([
      expect.objectContaining({ volumeId: volume.id, state: 'issued', directory: folder }),
    ])
    expect(issuer.requests).toHaveLength(1)
    await node.unpublish(volume)
    expect(await formerVolumes(node)).toEqual([])
  })

  test('loses the token in its metadata, and nothing else that the former driver would need', async () => {
    const attributes = { [`${prefix}pkcs12-enable`]: 'true', [`${prefix}pkcs12-password`]: 'secret-password' }
    const { volume, folder } = await former({ ...attributes, ...tokens })
    await node.startDriver()
    const { 'csi.storage.k8s.io/serviceAccount.tokens': _token, ...kept } = volume.context
    expect(await metadataIn(folder)).toEqual({
      volumeID: volume.id,
      targetPath: volume.target,
      nextIssuanceTime: '2026-09-01T00:00:00Z',
      volumeContext: kept,
    })
    expect(await readFile(join(folder, 'state.json'), 'utf8')).not.toContain('secret')
  })

  test.each([
    ['renew-before', '-5s', /renew-before: .*a third of the lifetime is used/],
    ['duration', '0', /duration: .*the default is used/],
    ['fs-group', '4294967295', /fs-group: .*it has no effect/],
    ['jks-enable', 'true', /jks-enable: is passed over, as the Go csi-driver did/],
    ['layout', 'flat', /layout: is passed over.*supported values/],
  ])(
    'that has what only the former driver takes, %s: %s, is renewed, and the pod is told',
    async (name, text, told) => {
      const { volume } = await former({ [prefix + name]: text })
      const serial = await serialOf(volume)
      await node.startDriver()
      expect(node.events).toEqual([
        expect.objectContaining({
          type: 'Warning',
          reason: 'VolumeAttribute',
          message: expect.stringMatching(told) as string,
        }),
      ])
      clock.advance(700 * hour)
      await renewed(volume, serial)
    },
  )

  test('with a name that no peer would match is renewed without it, and URIs are escaped as the former driver wrote them', async () => {
    const { volume } = await former({
      [`${prefix}dns-names`]: 'web.example.com,two words.example.com',
      [`${prefix}uri-sans`]: 'spiffe://cluster.local/a b',
    })
    const serial = await serialOf(volume)
    await node.startDriver()
    clock.advance(700 * hour)
    await renewed(volume, serial)
    const certificate = new X509Certificate(await node.read(volume, 'tls.crt'))
    expect(certificate.subjectAltName).toBe('DNS:web.example.com, URI:spiffe://cluster.local/a%20b')
  })

  test('whose files are not there gets new ones in its folder at once', async () => {
    const { volume, folder } = await former()
    await rm(join(folder, 'data', await readlink(join(folder, 'data', '..data'))), { recursive: true })
    await node.startDriver()
    await issuedTo(volume)
    await node.publish(volume)
    expect(issuer.requests).toHaveLength(1)
  })

  test('whose key does not fit its certificate gets new ones at once', async () => {
    const { volume, folder } = await former()
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const key = join(folder, 'data', '..data', 'tls.key')
    await rm(key)
    await writeFile(key, other.export({ type: 'pkcs8', format: 'pem' }))
    await node.startDriver()
    await issuedTo(volume)
    expect(issuer.requests).toHaveLength(1)
  })

  test('that has no files yet is not taken from its pod by a denial', async () => {
    const { volume, folder } = await former()
    await rm(join(folder, 'data'), { recursive: true })
    issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'not today') }
    await node.startDriver()
    await until('the denial is told', () => node.events.find(({ message }) => message.includes('not today')))
    await node.publish(volume)
    expect(await formerVolumes(node)).toEqual([volume.id])
    issuer.release()
    clock.advance(hour)
    await issuedTo(volume)
  })

  test('that was never renewed, because its next issuance is not recorded, is renewed from now on', async () => {
    const { volume } = await former({}, { metadata: { nextIssuanceTime: undefined } })
    const serial = await serialOf(volume)
    await node.startDriver()
    expect(issuer.requests).toEqual([])
    clock.advance(700 * hour)
    await renewed(volume, serial)
  })

  test('that the former driver has renewed in between is taken with the certificate that it has now', async () => {
    const { volume, folder } = await former()
    await node.startDriver()
    await node.stopDriver()
    const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as { readonly issued: object }
    const older = { ...state, issued: { ...state.issued, serial: 'aa', notAfter: clock.now(), renewAt: clock.now() } }
    await writeFile(join(folder, 'state.json'), JSON.stringify(older))
    await node.startDriver()
    const [report] = node.driver.inspect()
    expect(report?.issued?.serial).toBe((await serialOf(volume)).toLowerCase())
    expect(report?.renewAt).toBeGreaterThan(clock.now() + hour)
  })

  test('whose pod is gone from the host, target and folder, is cleaned up, its key overwritten', async () => {
    const { volume, folder } = await former()
    const key = await readFile(join(volume.target, 'tls.key'))
    // A second name for the same file: what a mount that leaked elsewhere would go on showing.
    const leaked = join(node.folder, 'leaked')
    await link(join(folder, 'data', '..data', 'tls.key'), leaked)
    await rm(volume.podFolder, { recursive: true })
    await node.startDriver()
    expect(await formerVolumes(node)).toEqual([])
    expect((await readFile(leaked)).includes(key)).toBe(false)
    expect(node.driver.inspect()).toEqual([])
  })

  test('of which an unpublish has left no metadata is removed, and a stray file is let alone', async () => {
    await former({}, { text: undefined })
    await writeFile(join(node.folder, 'data', 'inmemfs', 'metadata.json'), '{}')
    await node.startDriver()
    expect(await formerVolumes(node)).toEqual(['metadata.json'])
    expect(node.driver.inspect()).toEqual([])
  })
})

describe('a volume of the former driver that cannot be read', () => {
  const unreadable: readonly [string, Readonly<Record<string, string>>, (volume: TestVolume) => FormerVolumeOptions][] =
    [
      ['half-written metadata', tokens, halfWritten],
      ['metadata of another volume', {}, () => ({ metadata: { volumeID: 'csi-another' } })],
      ['a file name that is none', { [`${prefix}certificate-file`]: 'a\nb' }, () => ({})],
      ['an issuer without a name', { [`${prefix}issuer-name`]: '' }, () => ({})],
    ]
  test.each(unreadable)(
    'for %s stays as it is, is told, counted and listed, and can be unpublished',
    async (_why, attributes, options) => {
      const { volume } = await former(attributes, options)
      const serial = await serialOf(volume)
      await node.startDriver()
      expect(await serialOf(volume)).toBe(serial)
      const pod = { name: volume.context['csi.storage.k8s.io/pod.name'], namespace: 'sandbox' }
      expect(node.driver.inspect()).toEqual([
        expect.objectContaining({
          volumeId: volume.id,
          state: 'unmanaged',
          pod: expect.objectContaining(pod) as object,
          lastError: expect.any(String) as string,
        }),
      ])
      expect(node.events).toEqual([
        expect.objectContaining({ pod: pod.name, type: 'Warning', reason: 'VolumeNotRenewed' }),
      ])
      expect(await node.driver.metrics.registry.metrics()).toContain('podpass_volumes{state="unmanaged"} 1')
      expect(JSON.stringify([node.events, node.driver.inspect()])).not.toContain('secret')
      await node.unpublish(volume)
      expect(await formerVolumes(node)).toEqual([])
      expect(await node.driver.metrics.registry.metrics()).toContain('podpass_volumes{state="unmanaged"} 0')
    },
  )

  test('answers OK to its publishes, for the kubelet would take it from its pod', async () => {
    const { volume } = await former({ [`${prefix}issuer-name`]: '' })
    const serial = await serialOf(volume)
    await node.startDriver()
    await node.publish(volume)
    await node.publish(volume)
    expect(await serialOf(volume)).toBe(serial)
    expect(issuer.requests).toEqual([])
    expect(node.events).toHaveLength(1)
  })

  test('is made whole in place by a publish, with the certificate that it has and with metadata for the former driver', async () => {
    const { volume, folder } = await former(tokens, halfWritten)
    const serial = await serialOf(volume)
    await node.startDriver()
    await node.publish(volume)
    expect(node.driver.inspect()).toEqual([expect.objectContaining({ state: 'issued', directory: folder })])
    expect(await node.driver.metrics.registry.metrics()).toContain('podpass_volumes{state="unmanaged"} 0')
    const { volumeContext, ...rest } = await metadataIn(folder)
    expect(rest).toEqual({
      volumeID: volume.id,
      targetPath: volume.target,
      nextIssuanceTime: new Date(clock.now()).toISOString(),
    })
    expect(volumeContext).toMatchObject({ [`${prefix}issuer-name`]: 'ca-issuer' })
    expect(JSON.stringify(volumeContext)).not.toContain('secret-token')
    expect(issuer.requests).toEqual([])
    clock.advance(700 * hour)
    await renewed(volume, serial)
  })

  test('is not taken from its pod when a publish finds files that do not fit, and the issuer says no', async () => {
    const { volume, folder } = await former({}, halfWritten)
    await using certificate = await open(join(folder, 'data', '..data', 'tls.crt'), 'r+')
    await certificate.truncate(10)
    issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'not today') }
    await node.startDriver()
    await node.publish(volume)
    await until('the denial is told', () => node.events.find(({ message }) => message.includes('not today')))
    expect(await node.read(volume, 'tls.key')).toContain('PRIVATE KEY')
    await node.publish(volume)
  })
})
