import { createPrivateKey, X509Certificate } from 'node:crypto'
import { access, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import {
  IssuerRefusedError,
  IssuerUnavailableError,
  RequestDeniedError,
  RequesterGoneError,
  RequestFailedError,
  RequestGoneError,
} from '../../src/issuer/errors.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode, type TestVolume } from '../support/node.ts'
import { recordingLog } from '../support/recording-log.ts'
import type { Script } from '../support/scripted-issuer.ts'
import { until } from '../support/until.ts'

// What the driver promises of volumes that pods run with (docs/promises.md, 3 and 4), on its socket.

const hour = 3600_000

/** What may go wrong with a renewal, with the code that the metric counts it under. */
const troubles: Readonly<Record<string, [string, Script]>> = {
  'cannot be reached': ['ISSUER_UNAVAILABLE', { submit: () => new IssuerUnavailableError('the API server is away') }],
  'refuses the driver': ['ISSUER_REFUSED', { submit: () => new IssuerRefusedError('it is forbidden') }],
  'denies the request': ['REQUEST_DENIED', { wait: ({ name }) => new RequestDeniedError(name, 'no') }],
  'fails the request': ['REQUEST_FAILED', { wait: ({ name }) => new RequestFailedError(name, 'no such issuer') }],
  'loses the request': ['REQUEST_GONE', { wait: ({ name }) => new RequestGoneError(name) }],
  'answers with garbage': ['ANSWER_REFUSED', { answer: (signed) => ({ ...signed, chain: 'hello' }) }],
  'no longer knows the namespace': ['REQUESTER_GONE', { submit: () => new RequesterGoneError('sandbox is gone') }],
}

describe('promise 3, a live volume is never torn down', () => {
  test.each(Object.entries(troubles).map(([what, [code, script]]) => ({ what, code, script })))(
    'a volume whose issuer $what keeps its certificate, answers republish with OK, also after expiry, and the trouble is told',
    async ({ code, script }) => {
      const clock = new ManualClock()
      await using node = await TestNode.start({ clock })
      const volume = await node.volume()
      await node.publish(volume)
      const before = await node.serial(volume)
      node.issuer.script = script
      clock.advance(700 * hour)
      const { message } = await until('the failure is told', () => node.told('RenewalFailed')[0])
      expect(message).toContain(`expires ${new Date(node.driver.inspect()[0]?.issued?.notAfter ?? 0).toISOString()}`)
      await node.publish(volume)
      clock.advance(100 * hour)
      await node.publish(volume)
      expect(await node.serial(volume)).toBe(before)
      expect(await node.metrics()).toMatch(new RegExp(`certmanager_csi_issue_errors_total\\{[^}]*reason="${code}"`))
      expect(await node.metrics()).toMatch(/podpass_renewals_total\{[^}]*"failure"/)
    },
  )

  test('a namespace that is gone ends renewal, which is logged once, and the files stay', async () => {
    const clock = new ManualClock()
    const logged: string[] = []
    await using node = await TestNode.start({ clock, log: recordingLog(logged) })
    const volume = await node.volume()
    await node.publish(volume)
    node.issuer.script = { submit: () => new RequesterGoneError('namespace sandbox is gone') }
    clock.advance(700 * hour)
    await until('the failure is told', () => node.told('RenewalFailed')[0])
    expect(node.driver.inspect()[0]).toMatchObject({ state: 'issued', renewAt: undefined })
    const { submissions } = node.issuer
    clock.advance(100 * hour)
    await node.publish(volume)
    expect(node.issuer.submissions).toBe(submissions)
    expect(logged.filter((line) => line.startsWith('renewal failed'))).toHaveLength(1)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })

  test('a republish that cannot be shown again takes nothing away, and is uncertain to the kubelet', async () => {
    let broken = false
    await using node = await TestNode.start({
      mounter: {
        ...privateDirectory,
        show: async (...args) => {
          if (broken) throw new Error('EIO: i/o error')
          return privateDirectory.show(...args)
        },
      },
    })
    const volume = await node.volume()
    await node.publish(volume)
    broken = true
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
    broken = false
    await node.publish(volume)
    expect(node.issuer.requests).toHaveLength(1)
  })

  test('a gate that closes under a running pod changes nothing, also after a restart', async () => {
    let closed = ''
    await using node = await TestNode.start({ gate: { closed: () => closed || undefined } })
    const volume = await node.volume()
    await node.publish(volume)
    closed = 'the pod has not been seen yet'
    await node.publish(volume)
    await node.stopDriver()
    await node.startDriver()
    await node.publish(volume)
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })

  test('a volume whose pod is gone from the host, target and folder, is cleaned up at the next start', async () => {
    await using node = await TestNode.start()
    const [gone, halfGone, live] = [await node.volume(), await node.volume(), await node.volume()]
    await Promise.all([gone, halfGone, live].map((volume) => node.publish(volume)))
    await node.stopDriver()
    await rm(gone.podFolder, { recursive: true })
    await rm(halfGone.target)
    await node.startDriver()
    expect(node.driver.inspect().map(({ volumeId }) => volumeId)).toEqual(
      expect.arrayContaining([halfGone.id, live.id]) as string[],
    )
    await expect(access(join(node.volumesFolder, gone.id))).rejects.toThrow('ENOENT')
    expect(await node.serial(live)).not.toBe('')
  })
})

describe('promise 4, readers never see a mixed pair', () => {
  const renewals = 20

  /**
   * Renews a volume again and again.
   *
   * @param look - what a reader sees meanwhile: whether it is a pair, or undefined where it has to look again
   * @returns all that it has seen
   */
  async function lookWhileRenewing(
    volume: TestVolume,
    node: TestNode,
    clock: ManualClock,
    look: () => Promise<boolean | undefined>,
  ): Promise<readonly boolean[]> {
    const over = new AbortController()
    const seen: boolean[] = []
    const renew = async (): Promise<void> => {
      for (let count = 0; count < renewals; count++) {
        const [before, looks] = [await node.serial(volume), seen.length]
        clock.advance(700 * hour)
        await node.renewed(volume, before)
        await until('the reader has looked', () => seen.length > looks)
      }
    }
    const read = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const isPair = await look()
        if (isPair !== undefined) seen.push(isPair)
      }
    }
    await Promise.all([renew().finally(() => over.abort()), read()])
    return seen
  }

  function fits(certificate: string, key: string): boolean {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
  }

  test('whoever looks `..data` up once reads a key and its certificate, during any renewal', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const seen = await lookWhileRenewing(volume, node, clock, async () => {
      const generation = join(volume.target, await readlink(join(volume.target, '..data')))
      // A generation is removed as a whole once the next is there; then the reader looks again.
      const files = ['tls.crt', 'tls.key'].map((file) => readFile(join(generation, file), 'utf8'))
      const [certificate, key] = await Promise.all(files).catch(() => [])
      return certificate === undefined || key === undefined ? undefined : fits(certificate, key)
    })
    expect(seen.length).toBeGreaterThanOrEqual(renewals)
    expect(new Set(seen)).toEqual(new Set([true]))
  })

  test('a combined file always holds a key and its certificate', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({ 'csi.cert-manager.io/additional-output-formats': 'CombinedPEM' })
    await node.publish(volume)
    const seen = await lookWhileRenewing(volume, node, clock, async () => {
      const combined = await node.read(volume, 'tls-combined.pem')
      return fits(combined.slice(combined.indexOf('-----BEGIN CERTIFICATE')), combined)
    })
    expect(seen.length).toBeGreaterThanOrEqual(renewals)
    expect(new Set(seen)).toEqual(new Set([true]))
  })
})
