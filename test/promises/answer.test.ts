import { access, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import type { IssuanceRequest, IssuedCertificate } from '../../src/issuer/issuer.ts'
import { noNames } from '../../src/x509/general-names.ts'
import { generateKeySync, publicKeyDer } from '../../src/x509/key.ts'
import { buildSubject } from '../../src/x509/name.ts'
import { Forger } from '../support/forger.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What OK means (docs/promises.md, 2), on the driver's socket: what an issuer may answer, and what a pod then sees.

const minute = 60_000
const hour = 60 * minute
const now = Date.parse('2026-11-22T10:00:00Z')
const forger = new Forger(now)
const stranger = new Forger(now, 'stranger')
const names = { ...noNames, dns: ['pod-0.sandbox.svc.cluster.local'] }
const attributes = { 'csi.cert-manager.io/duration': '24h', 'csi.cert-manager.io/common-name': 'pod-0' }

type Answer = (request: IssuanceRequest, signed: IssuedCertificate) => IssuedCertificate

const otherKey = publicKeyDer(generateKeySync({ algorithm: 'ECDSA', size: 256 }))

/** Why each answer is refused. */
const refused: Readonly<Record<string, [RegExp, Answer]>> = {
  'nothing at all': [/holds no certificate/, (_request, signed) => ({ ...signed, chain: '' })],
  'text that is no PEM': [/certificate/, (_request, signed) => ({ ...signed, chain: 'hello' })],
  'PEM that is no certificate': [
    /cannot be read/,
    (_request, signed) => ({ ...signed, chain: '-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n' }),
  ],
  'a certificate that is cut off': [
    /cannot be read/,
    (_request, signed) => ({ ...signed, chain: signed.chain.slice(0, 300) }),
  ],
  'a chain whose leaf is not first': [
    /is number 2 of 2, and it must be the first/,
    (_request, { chain, ca }) => ({
      chain: chain
        .split(/(?<=END CERTIFICATE-----\n)/)
        .toReversed()
        .join(''),
      ca,
    }),
  ],
  'a certificate for another key': [
    /is for another key than the one of the request/,
    (request) => forger.sign(request, { publicKey: otherKey }),
  ],
  'a certificate that has expired': [
    /expired/,
    (request) => forger.sign(request, { notBefore: now - 24 * hour, notAfter: now - 6 * minute }),
  ],
  'a certificate that begins in six minutes': [
    /does not hold before 2026-11-22T10:06:00Z/,
    (request) => forger.sign(request, { notBefore: now + 6 * minute }),
  ],
  'a certificate without a name that was asked for': [
    /lacks DNS:pod-0\.sandbox\.svc\.cluster\.local of the names asked for/,
    (request) => forger.sign(request, { names: { ...noNames, dns: ['elsewhere.example'] } }),
  ],
  'a chain that contradicts itself': [
    /the chain contradicts itself/,
    (request) => ({ chain: forger.sign(request).chain + stranger.ca, ca: forger.ca }),
  ],
  'a CA that has not signed it': [
    /does not verify with the CA given/,
    (request) => ({ ...forger.sign(request), ca: stranger.ca }),
  ],
  'a CA that cannot be read': [/CA given/, (request) => ({ ...forger.sign(request), ca: 'hello' })],
}

/** What each answer is told about, by one event. */
const accepted: Readonly<Record<string, [RegExp, Answer]>> = {
  'no CA': [
    /gave no CA certificate, so the CA file is empty/,
    (request) => ({ ...forger.sign(request), ca: undefined }),
  ],
  'more names': [
    /names that were not asked for: DNS:more\.example/,
    (request) => forger.sign(request, { names: { ...names, dns: [...names.dns, 'more.example'] } }),
  ],
  'other usages': [/lacks the usages/, (request) => forger.sign(request, { usages: ['digital signature'] })],
  'another common name': [
    /the certificate has "other"/,
    (request) => forger.sign(request, { subject: buildSubject({ commonName: 'other' }) }),
  ],
  'another lifetime': [
    /a lifetime of 24h was asked for, and the certificate has 1h/,
    (request) => forger.sign(request, { notAfter: now + hour }),
  ],
}

function startWith(answer: Answer, strictIssuer = false): Promise<TestNode> {
  return TestNode.start({ clock: new ManualClock(now), strictIssuer }).then((node) => {
    node.issuer.script = { answer: (signed, request) => answer(request, signed) }
    return node
  })
}

describe('promise 2, OK means OK', () => {
  test.each(Object.entries(refused).map(([what, [message, answer]]) => ({ what, message, answer })))(
    'an issuer that answers with $what is refused, and nothing is left',
    async ({ message, answer }) => {
      await using node = await startWith(answer)
      const volume = await node.volume(attributes)
      await expect(node.publish(volume)).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        details: expect.stringMatching(message) as string,
      })
      expect(await readdir(node.volumesFolder)).toEqual([])
      await expect(access(volume.target)).rejects.toThrow('ENOENT')
    },
  )

  test.each(Object.entries(refused).map(([what, [, answer]]) => ({ what, answer })))(
    'a renewal that is answered with $what leaves the pod what it has',
    async ({ answer }) => {
      const clock = new ManualClock(now - 17 * hour)
      await using node = await TestNode.start({ clock })
      const volume = await node.volume(attributes)
      await node.publish(volume)
      const before = await node.serial(volume)
      node.issuer.script = { answer: (signed, request) => answer(request, signed) }
      clock.advance(17 * hour)
      await until('it is told', () => node.told('RenewalFailed')[0])
      expect(await node.serial(volume)).toBe(before)
      await node.publish(volume)
    },
  )

  test('a certificate that begins within five minutes is taken: clocks differ', async () => {
    await using node = await startWith((request) =>
      forger.sign(request, { notBefore: now + 4 * minute, notAfter: now + 24 * hour }),
    )
    await node.publish(await node.volume(attributes))
    expect(node.events).toEqual([])
  })

  test.each(Object.entries(accepted).map(([what, [message, answer]]) => ({ what, message, answer })))(
    'an answer with $what is served, with one warning',
    async ({ message, answer }) => {
      await using node = await startWith(answer)
      const volume = await node.volume(attributes)
      await node.publish(volume)
      expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
      expect(node.events).toEqual([
        {
          pod: 'pod-0',
          type: 'Warning',
          reason: 'CertificateDiffers',
          message: expect.stringMatching(message) as string,
        },
      ])
    },
  )

  test.each(Object.entries(accepted).map(([what, [message, answer]]) => ({ what, message, answer })))(
    '--strict-issuer refuses an answer with $what',
    async ({ message, answer }) => {
      await using node = await startWith(answer, true)
      await expect(node.publish(await node.volume(attributes))).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        details: expect.stringMatching(message) as string,
      })
      expect(await readdir(node.volumesFolder)).toEqual([])
    },
  )

  test('without a CA the file of the CA is there and empty', async () => {
    await using node = await startWith((request) => ({ ...forger.sign(request), ca: undefined }))
    const volume = await node.volume(attributes)
    await node.publish(volume)
    expect(await node.read(volume, 'ca.crt')).toBe('')
  })

  test('two publishes at once both wait for the files, and one that gives up takes nothing from the other', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const volume = await node.volume()
    const hasty = node.publish(volume, 300).catch((error: unknown) => error)
    const patient = node.publish(volume)
    await until('the request is there', () => node.issuer.requests.length > 0)
    expect(await hasty).toMatchObject({ code: expect.any(Number) as number })
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
    node.issuer.release()
    await patient
    expect(node.issuer.requests).toHaveLength(1)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })

  test('a volume that has lost a file is not OK', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    await rm(join(node.volumesFolder, volume.id, 'data', 'tls.key'))
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('lacks files') as string,
    })
  })

  test('a target that shows something else is put right before the answer', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    await rm(volume.target)
    await writeFile(volume.target, 'something else')
    await node.publish(volume)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })

  test('a pod that is not ready for its certificate is not started', async () => {
    const gate = { closed: () => 'the pod has no IP address yet' }
    await using node = await TestNode.start({ gate, publishTimeout: 300 })
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('the pod has no IP address yet') as string,
    })
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
  })

  test('where the user chose to continue, it is started with an empty volume, and gets its files as soon as it is ready', async () => {
    let closed: string | undefined = 'the pod has no IP address yet'
    await using node = await TestNode.start({ gate: { closed: () => closed }, continueOnNotReady: true })
    const volume = await node.volume()
    await node.publish(volume)
    expect(await readdir(volume.target)).toEqual([])
    expect(node.issuer.submissions).toBe(0)
    closed = undefined
    node.driver.podChanged(volume.context['csi.storage.k8s.io/pod.uid'] ?? '')
    await until('the files are there', () => node.read(volume, 'tls.crt').catch(() => undefined))
  })
})
