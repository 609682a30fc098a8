import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { IssuerUnavailableError, RequestDeniedError } from '../../src/issuer/errors.ts'
import { MountError } from '../../src/volume/mounter.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { TestNode, type TestVolume } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver does when the ground goes away under a volume: its private memory, or the way to its issuer. That files are found
// again through the pod's own mount is proven on real mounts (test/support/mount-scenarios.ts, test/cluster/reboot.test.ts).

const hour = 3600_000

async function loseMemory(node: TestNode, volume: TestVolume): Promise<void> {
  await rm(join(node.volumesFolder, volume.id), { recursive: true })
}

describe('promise 3, private memory that somebody has unmounted under a running pod', () => {
  test('republish answers OK, new files are there at once, and the pod is told to be restarted', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    await loseMemory(node, volume)
    await node.publish(volume)
    clock.advance(0)
    await node.renewed(volume, before)
    await node.publish(volume)
    expect(node.told('VolumeMemoryUnmounted')).toEqual([
      expect.objectContaining({ type: 'Warning', message: expect.stringContaining('restart the pod') as string }),
    ])
    expect(node.driver.inspect()).toEqual([
      expect.objectContaining({ detached: true, lastError: expect.stringContaining('restart the pod') as string }),
    ])
    expect(await node.metrics()).toContain('podpass_volume_memory_losses_total{outcome="lost"} 1')
    await node.stopDriver()
    await node.startDriver()
    expect(node.driver.inspect()).toEqual([expect.objectContaining({ state: 'issued', detached: true })])
    await node.unpublish(volume)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('a renewal that finds it gone mounts it anew first, and shows the new files', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    await loseMemory(node, volume)
    clock.advance(700 * hour)
    await until('it is issued again', () => node.issuer.requests.length === 2)
    await until('the pod sees it', () =>
      node.serial(volume).then(
        (serial) => serial !== before,
        () => false,
      ),
    )
    expect(node.driver.inspect()).toEqual([expect.objectContaining({ detached: true })])
  })

  test('keystores keep their passwords', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume({
      'csi.cert-manager.io/pkcs12-enable': 'true',
      'csi.cert-manager.io/pkcs12-password': 'open sesame',
    })
    await node.publish(volume)
    const before = await node.serial(volume)
    await loseMemory(node, volume)
    await node.publish(volume)
    clock.advance(0)
    await node.renewed(volume, before)
    await node.stopDriver()
    await node.startDriver()
    const now = await node.serial(volume)
    clock.advance(700 * hour)
    await node.renewed(volume, now)
    expect(await node.read(volume, 'keystore.p12')).not.toBe('')
  })

  test('as long as it cannot be mounted, nothing is written in its place', async () => {
    const clock = new ManualClock()
    let refused = false
    await using node = await TestNode.start({
      clock,
      mounter: {
        ...privateDirectory,
        mountPrivate: (directory, options) => {
          if (refused) throw new MountError('mount tmpfs at', directory, 'EPERM')
          return privateDirectory.mountPrivate(directory, options)
        },
      },
    })
    const volume = await node.volume()
    await node.publish(volume)
    await loseMemory(node, volume)
    refused = true
    clock.advance(700 * hour)
    const { message } = await until('the failure is told', () => node.told('RenewalFailed')[0])
    expect(message).toContain('cannot mount tmpfs')
    expect(await readdir(node.volumesFolder)).toEqual([])
    expect(node.issuer.requests).toHaveLength(1)
    refused = false
    clock.advance(hour)
    await until('it is issued again', () => node.issuer.requests.length === 2)
    await until('the pod sees it', () => node.serial(volume).catch(() => false))
  })

  test('memory that goes while the issuer thinks takes the request with it, and another is made', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    node.issuer.script = 'hold'
    clock.advance(700 * hour)
    await until('the request is there', () => node.issuer.requests.length === 2)
    await loseMemory(node, volume)
    node.issuer.release()
    await until('the failure is told', () => node.told('RenewalFailed')[0])
    await expect(readdir(join(node.volumesFolder, volume.id))).rejects.toMatchObject({ code: 'ENOENT' })
    clock.advance(hour)
    await until('another request is made', () => node.issuer.requests.length === 3)
    await until('the pod sees it', () => node.serial(volume).catch(() => false))
  })
})

describe('promise 10, an issuer that is back after an outage', () => {
  const away = { submit: () => new IssuerUnavailableError('the API server is away') }

  test('renewals that could not reach it are made within seconds, not at the end of their backoff', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volumes = await Promise.all(Array.from({ length: 5 }, () => node.volume()))
    await Promise.all(volumes.map((volume) => node.publish(volume)))
    node.issuer.script = away
    clock.advance(700 * hour)
    for (let failures = 5; failures <= 25; failures += 5) {
      await until('they fail', () => node.told('RenewalFailed').length >= failures)
      clock.advance(hour)
    }
    await until('they fail', () => node.told('RenewalFailed').length >= 30)
    node.issuer.script = 'sign'
    node.driver.issuerIsBack()
    clock.advance(5000)
    await until('all are renewed', () => node.issuer.requests.length === 10)
    // What is the same each time is one event with a count.
    for (const name of new Set(node.told('RenewalFailed').map(({ pod }) => pod))) {
      const texts = node.told('RenewalFailed').filter(({ pod }) => pod === name)
      expect(new Set(texts.map(({ message }) => message)).size).toBe(1)
    }
  })

  test('a first certificate is asked for at once', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    node.issuer.script = away
    const volume = await node.volume()
    const publish = node.publish(volume)
    await until('it fails', () => node.told('CertificateRequestFailed').length === 1)
    node.issuer.script = 'sign'
    await until('it waits', () => node.driver.inspect()[0]?.lastError)
    node.driver.issuerIsBack()
    await publish
    expect(node.issuer.requests).toHaveLength(1)
  })

  test('who was refused for another reason waits as before', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'no') }
    clock.advance(700 * hour)
    await until('it fails', () => node.told('RenewalFailed').length === 1)
    const next = await until('it waits', () => node.driver.inspect()[0]?.renewAt)
    node.driver.issuerIsBack()
    expect(node.driver.inspect()[0]?.renewAt).toBe(next)
  })
})
