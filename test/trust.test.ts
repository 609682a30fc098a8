import { X509Certificate } from 'node:crypto'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { askRenewal } from '../src/driver/control.ts'
import type { Issuer, TrustBundle } from '../src/issuer/issuer.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { testAuthority } from '../src/x509/test-pki.ts'
import { type TestVolume, TestNode } from './support/node.ts'
import { ScriptedIssuer } from './support/scripted-issuer.ts'
import { until } from './support/until.ts'

// Trust that changes without a new certificate (src/issuer/issuer.ts, `trust`), as a running pod sees it.

const options = { now: Date.now() - 1000 }
const other = testAuthority('another root', options).certificate.pem

let node: TestNode
let scripted: ScriptedIssuer
let trust: Told
let withTrust: boolean

/** Trust as an issuer tells it, to any number of volumes. */
class Told {
  ca: string | undefined
  /** How many volumes follow it. */
  followers = 0
  #changed = Promise.withResolvers<void>()

  set(ca: string): void {
    this.ca = ca
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async *follow(signal: AbortSignal): AsyncGenerator<TrustBundle> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    this.followers += 1
    for (let told: string | undefined; !signal.aborted;) {
      if (this.ca !== told && this.ca !== undefined) {
        told = this.ca
        yield { ca: told }
      } else {
        await Promise.race([this.#changed.promise, aborted])
      }
    }
    this.followers -= 1
  }
}

const issuer: Issuer = {
  submit: (request, signal, credentials) => scripted.submit(request, signal, credentials),
  // With each certificate comes what is known at that moment, which may be nothing.
  wait: async (...args) => ({ chain: (await scripted.wait(...args)).chain, ca: withTrust ? trust.ca : undefined }),
  trust: (_handle, signal) => trust.follow(signal),
  discard: (handle) => scripted.discard(handle),
}

beforeEach(async () => {
  scripted = new ScriptedIssuer({ clock: systemClock })
  trust = new Told()
  withTrust = true
  node = await TestNode.start({ issuerFor: () => issuer })
})

afterEach(() => node.close())

/** The root that the scripted issuer signs by. */
async function signingRoot(): Promise<string> {
  const probe = await TestNode.start({ issuerFor: () => scripted })
  await using _ = probe
  const volume = await probe.volume()
  await probe.publish(volume)
  return probe.read(volume, 'ca.crt')
}

async function caIs(volume: TestVolume, ca: string): Promise<void> {
  await until('the CA file to change', async () => (await node.read(volume, 'ca.crt')) === ca)
}

test('trust that changes is written beside the same key and certificate, in one swap', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume({
    'csi.cert-manager.io/jks-enable': 'true',
    'csi.cert-manager.io/jks-password': 'changeit',
  })
  await node.publish(volume)
  const [key, chain, generation, truststore] = await Promise.all([
    node.read(volume, 'tls.key'),
    node.read(volume, 'tls.crt'),
    readlink(join(volume.target, '..data')),
    node.read(volume, 'truststore.jks'),
  ])
  const asked = scripted.requests.length
  trust.set(`${trust.ca}${other}`)
  await caIs(volume, trust.ca ?? '')
  expect(await node.read(volume, 'tls.key')).toBe(key)
  expect(await node.read(volume, 'tls.crt')).toBe(chain)
  expect(await node.read(volume, 'truststore.jks')).not.toBe(truststore)
  expect(await readlink(join(volume.target, '..data'))).not.toBe(generation)
  expect(scripted.requests).toHaveLength(asked)
  expect(node.told('TrustDiffers')).toEqual([])
})

test('trust that is the same writes nothing', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume()
  await node.publish(volume)
  const before = await readdir(volume.target)
  await node.stopDriver()
  await node.startDriver()
  await node.publish(volume)
  trust.set(trust.ca ?? '')
  const second = await node.volume()
  await node.publish(second)
  expect(await readdir(volume.target)).toEqual(before)
})

test('trust that comes after the certificate fills the CA file, which was empty', async () => {
  const root = await signingRoot()
  const volume = await node.volume()
  await node.publish(volume)
  expect(await node.read(volume, 'ca.crt')).toBe('')
  trust.set(root)
  await caIs(volume, root)
})

test('trust that has changed while no driver ran is written by the next one', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume()
  await node.publish(volume)
  const serial = await node.serial(volume)
  await node.stopDriver()
  trust.set(`${trust.ca}${other}`)
  await node.startDriver()
  await caIs(volume, trust.ca ?? '')
  expect(await node.serial(volume)).toBe(serial)
})

test('a renewal whose issuer knows no trust at the moment keeps the one that is there', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume()
  await node.publish(volume)
  const [before, ca] = [await node.serial(volume), trust.ca]
  withTrust = false
  trust.ca = undefined
  await askRenewal(join(node.folder, 'data'), volume.id)
  await node.renewed(volume, before)
  expect(await node.read(volume, 'ca.crt')).toBe(ca)
  expect(node.told('CertificateDiffers')).toEqual([])
})

test('trust that no longer leads to the certificate is written, and told', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume()
  await node.publish(volume)
  trust.set(other)
  await caIs(volume, other)
  await until('it is told', () => node.told('TrustDiffers').length > 0)
  expect(node.told('TrustDiffers')[0]?.message).toContain(`podpass driver renew ${volume.id}`)
  expect(new X509Certificate(await node.read(volume, 'tls.crt')).serialNumber).toBe(await node.serial(volume))
})

test('after an unpublish nothing is followed and nothing written any more', async () => {
  trust.set(await signingRoot())
  const volume = await node.volume()
  await node.publish(volume)
  await until('its trust is followed', () => trust.followers === 1)
  await node.unpublish(volume)
  expect(trust.followers).toBe(0)
  trust.set(other)
  const next = await node.volume()
  withTrust = false
  await node.publish(next)
  await caIs(next, other)
  expect(await readdir(node.volumesFolder)).toEqual([next.id])
})
