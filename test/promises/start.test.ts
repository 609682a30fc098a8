import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { mountObstacle } from '../../src/driver/data-root.ts'
import { CliDriver } from '../support/cli-driver.ts'
import { newVolume, TestNode } from '../support/node.ts'

// What the driver promises of its start (docs/promises.md, 6 and 16), on its socket. The CSIDriver object is looked at in
// src/driver/csi-driver-guard.test.ts.

describe('promise 6, the socket is there before the API is', () => {
  test('a first publish waits for the CSIDriver object; what is there is served and unpublished without it', async () => {
    let obstacle: string | undefined
    await using node = await TestNode.start({ obstacle: () => obstacle })
    const [known, fresh] = [await node.volume(), await node.volume()]
    await node.publish(known)
    obstacle = 'the CSIDriver object has not been read yet'
    await expect(node.publish(fresh)).rejects.toMatchObject({ code: status.UNAVAILABLE, details: obstacle })
    expect(await node.probe()).toBe(true)
    await node.publish(known)
    await node.unpublish(known)
    obstacle = undefined
    await node.publish(fresh)
  })

  test('`podpass driver` whose API server is away serves, answers probes, unpublishes, and says why a publish has to wait', async () => {
    await using driver = await CliDriver.start()
    const volume = newVolume(join(driver.folder, 'pods'), 0)
    await expect(driver.publish(volume)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(
        /not on a mount shared|CSIDriver object csi\.cert-manager\.io has not been read/,
      ) as string,
    })
    await driver.unpublish(volume)
    expect(await driver.probe()).toBe(true)
    expect(await driver.stop()).toEqual([0, null])
  })
})

describe('promise 16, start checks its ground', () => {
  test('on mounts that pods would not see, each publish is refused and says what to change', async () => {
    // /proc is shared on no machine that mounts it by itself for a container, but may be on a host.
    const obstacle = (await mountObstacle('/proc/self', undefined)) ?? 'mountPropagation: Bidirectional'
    await using node = await TestNode.start({ obstacle: () => obstacle })
    await expect(node.publish(await node.volume())).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('mountPropagation: Bidirectional') as string,
    })
    expect(node.issuer.submissions).toBe(0)
  })
})
