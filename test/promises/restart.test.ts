import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { loadLibc } from '../../src/runtime/libc.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode } from '../support/node.ts'
import { recordingLog } from '../support/recording-log.ts'
import { until } from '../support/until.ts'

// What the driver promises of restarts (docs/promises.md, 8), on its socket. It is killed at each step in test/cluster/crash.test.ts.

const hour = 3600_000

describe('promise 8, restarts are free', () => {
  test('a restart issues nothing anew and goes on with renewals, each at its time', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    const planned = node.driver.inspect()[0]?.renewAt
    expect(planned).toBeGreaterThan(clock.now())
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()[0]?.renewAt).toBe(planned)
    await node.publish(volume)
    expect(node.issuer.requests).toHaveLength(1)
    clock.advance(700 * hour)
    await node.renewed(volume, before)
  })

  test('a request in flight is resumed with its key', async () => {
    await using node = await TestNode.start({ publishTimeout: 500 })
    node.issuer.script = 'hold'
    const volume = await node.volume()
    await expect(node.publish(volume)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    await node.stopDriver()
    node.issuer.release()
    await node.startDriver()
    await node.publish(volume)
    expect(node.issuer.requests).toHaveLength(1)
    const certificate = new X509Certificate(await node.read(volume, 'tls.crt'))
    expect(certificate.checkPrivateKey(createPrivateKey(await node.read(volume, 'tls.key')))).toBe(true)
  })

  test('a renewal in flight is resumed with its key', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    node.issuer.script = 'hold'
    clock.advance(500 * hour)
    await until('the second request is there', () => node.issuer.requests.length === 2)
    await node.stopDriver()
    node.issuer.release()
    await node.startDriver()
    clock.advance(0)
    await node.renewed(volume, before)
    expect(node.issuer.requests).toHaveLength(2)
    const certificate = new X509Certificate(await node.read(volume, 'tls.crt'))
    expect(certificate.checkPrivateKey(createPrivateKey(await node.read(volume, 'tls.key')))).toBe(true)
  })

  test('after a reboot the same volume gets a new key', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.read(volume, 'tls.key')
    await node.stopDriver()
    const state = join(node.volumesFolder, volume.id, 'state.json')
    const record = JSON.parse(await readFile(state, 'utf8')) as Record<string, unknown>
    await writeFile(state, JSON.stringify({ ...record, bootId: 'another' }))
    await node.startDriver()
    await node.publish(volume)
    expect(await node.read(volume, 'tls.key')).not.toBe(before)
  })

  test('a state file that cannot be read stops neither the start nor the volume', async () => {
    await using node = await TestNode.start()
    const [broken, whole] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(broken), node.publish(whole)])
    const before = await node.serial(broken)
    await node.stopDriver()
    await writeFile(join(node.volumesFolder, broken.id, 'state.json'), '{"version":1,')
    await node.startDriver()
    expect(await node.serial(broken)).toBe(before)
    await node.publish(whole)
    await node.publish(broken)
    await node.unpublish(broken)
    expect(node.driver.inspect().map(({ volumeId }) => volumeId)).toEqual([whole.id])
  })

  test('a socket that somebody unlinks comes back, and calls go on', async () => {
    const logged: string[] = []
    await using node = await TestNode.start({ log: recordingLog(logged) })
    const volume = await node.volume()
    await node.publish(volume)
    await rm(join(node.folder, 'csi.sock'))
    await until('it is back', () => logged.find((line) => line.startsWith('the socket had been removed; it is back')))
    node.reconnect()
    await node.publish(volume)
    expect(await node.probe()).toBe(true)
  })

  test('a live socket of a predecessor that ends is waited for, then taken over', async () => {
    const logged: string[] = []
    await using old = await TestNode.start()
    const starting = TestNode.start({ endpoint: join(old.folder, 'csi.sock'), log: recordingLog(logged) })
    await until('the successor waits', () => logged.find((line) => line.includes('still serves the socket')))
    await old.publish(await old.volume())
    await old.stopDriver()
    await using successor = await starting
    await successor.publish(await successor.volume())
    expect(successor.driver.inspect()).toHaveLength(1)
  })

  const loaded = loadLibc()
  // This process must stay one that can be looked into.
  const libc = loaded && { ...loaded, forbidDumps: () => undefined }
  test.skipIf(libc === undefined)(
    `a data root has one writer: a second driver waits until the first has ended${libc === undefined ? ' (skipped: koffi has no build here)' : ''}`,
    async () => {
      const logged: string[] = []
      await using node = await TestNode.start({ libc })
      const first = node.driver
      const volume = await node.volume()
      await node.publish(volume)
      const starting = node.startDriver({ log: recordingLog(logged), endpoint: join(node.folder, 'other.sock') })
      await until('the second waits', () => logged.find((line) => line.includes('holds the data root')))
      expect(logged.some((line) => line.startsWith('serving'))).toBe(false)
      await first.close()
      await starting
      await node.publish(volume)
      expect(node.issuer.requests).toHaveLength(1)
    },
  )
})
