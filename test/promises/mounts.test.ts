import { X509Certificate } from 'node:crypto'
import { open, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mountAt } from '../../src/volume/mount-info.ts'
import { MountedNode, type MountedDriver, mountingObstacle } from '../support/mounted-node.ts'
import type { TestVolume } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of memory and mounts (docs/promises.md, 1, 3, 5, 8 and 16), on its socket, with real ones.

const reason = mountingObstacle()

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8)
}

describe.skipIf(reason !== undefined)(`with real mounts${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let node: MountedNode
  let driver: MountedDriver

  beforeAll(async () => {
    node = await MountedNode.start()
    driver = await node.startDriver()
    await driver.ready
  })
  afterAll(() => node.close())

  async function published(attributes: Readonly<Record<string, string>> = {}): Promise<TestVolume> {
    const volume = await node.volume(attributes)
    await node.publish(volume)
    return volume
  }

  async function serial(volume: TestVolume): Promise<string> {
    return new X509Certificate(await node.read(volume, 'tls.crt')).serialNumber
  }

  async function renewed(volume: TestVolume, before: string): Promise<void> {
    await until('it is renewed', async () => (await serial(volume)) !== before)
  }

  describe('promise 1, the key', () => {
    test("is in the volume's own tmpfs: of limited size, nosuid, nodev, noexec, and out of swap where the kernel has that", async () => {
      const volume = await published()
      const mounted = mountAt(await node.mounts(), node.memory(volume))
      expect(mounted?.type).toBe('tmpfs')
      expect(mounted?.options).toEqual(expect.arrayContaining(['rw', 'nosuid', 'nodev', 'noexec']))
      const { blocks, bsize } = await statfs(node.path(node.memory(volume)))
      expect(blocks * bsize).toBe(256 * 1024)
      const kernelHasNoswap = await node.run('mount', '-t', 'tmpfs', '-o', 'noswap', 'probe', node.folder).then(
        () => true,
        () => false,
      )
      if (kernelHasNoswap) await node.run('umount', node.folder)
      expect(mounted?.superOptions.includes('noswap')).toBe(kernelHasNoswap)
      await node.unpublish(volume)
    })

    test('lies below a root that only root enters, which holds state.json, pending and data, and only data is for the group', async () => {
      const group = process.getgid?.() ?? 0
      const volume = await published({ 'csi.cert-manager.io/fs-group': String(group === 0 ? 1 : group) })
      const memory = node.path(node.memory(volume))
      expect((await readdir(memory)).toSorted()).toEqual(['data', 'pending', 'state.json'])
      expect(await modeOf(memory)).toBe('700')
      expect(await modeOf(join(memory, 'state.json'))).toBe('600')
      expect(await modeOf(join(memory, 'pending'))).toBe('700')
      expect(await readdir(join(memory, 'pending'))).toEqual([])
      expect(await modeOf(join(memory, 'data'))).toBe('550')
      for (const file of ['tls.crt', 'tls.key', 'ca.crt']) {
        expect(await modeOf(join(memory, 'data', file))).toBe('440')
        expect((await stat(join(memory, 'data', file))).gid).toBe((await stat(join(memory, 'data'))).gid)
      }
      expect(await readFile(join(memory, 'state.json'), 'utf8')).not.toContain('PRIVATE KEY')
      await node.unpublish(volume)
    })

    test('is shown read-only, also to root, and nothing beside it', async () => {
      const volume = await published()
      const target = node.path(volume.target)
      expect((await readdir(target)).filter((name) => !name.startsWith('..')).toSorted()).toEqual([
        'ca.crt',
        'tls.crt',
        'tls.key',
      ])
      expect(mountAt(await node.mounts(), volume.target)?.options).toEqual(
        expect.arrayContaining(['ro', 'nosuid', 'nodev', 'noexec']),
      )
      await expect(writeFile(join(target, 'more'), '')).rejects.toMatchObject({ code: 'EROFS' })
      await expect(rm(join(target, 'tls.key'))).rejects.toMatchObject({ code: 'EROFS' })
      await node.unpublish(volume)
    })

    test('is on no disk: below the mounts there is nothing', async () => {
      const volume = await published()
      const below = join(node.folder, 'data', 'volumes', volume.id)
      // This process is outside of the namespace, so it sees the disk.
      expect(await readdir(below)).toEqual([])
      expect(await readdir(volume.target)).toEqual([])
      await node.unpublish(volume)
    })

    test('is gone after an unpublish, also for a mount that leaked into another namespace and for who has a file open', async () => {
      const volume = await published()
      const stranger = await node.stranger()
      try {
        const leaked = join(`/proc/${stranger.pid}/root`, volume.target)
        await using folder = await open(leaked)
        await using file = await open(join(leaked, 'tls.key'))
        expect((await file.read(Buffer.alloc(10), 0, 10, 0)).bytesRead).toBe(10)
        await node.unpublish(volume)
        expect((await file.read(Buffer.alloc(10), 0, 10, 0)).bytesRead).toBe(0)
        await expect(readFile(join(leaked, 'tls.key'))).rejects.toMatchObject({ code: 'ENOENT' })
        expect(await readdir(`/proc/self/fd/${folder.fd}`)).toEqual([])
      } finally {
        stranger.kill()
      }
    })

    test('is in no core dump: the process has none', async () => {
      expect(await readFile(`/proc/${driver.pid}/limits`, 'utf8')).toMatch(/^Max core file size +0 +0 /m)
    })
  })

  describe('promise 3, a live volume is never torn down', () => {
    test('one whose memory is full keeps its pair, delays no other, and is renewed once there is room', async () => {
      const [full, other] = [await published(), await published()]
      const [before, othersBefore] = [await serial(full), await serial(other)]
      const ballast = node.path(node.memory(full), 'ballast')
      await writeFile(ballast, Buffer.alloc(1024 * 1024)).catch(() => {})
      await node.renew(full)
      await until('it fails', async () => (await node.report(full))?.lastError?.includes('ENOSPC'))
      await node.publish(full)
      expect(await serial(full)).toBe(before)
      await node.renew(other)
      await renewed(other, othersBefore)
      await rm(ballast)
      await until('it waits for the next attempt', async () => (await node.report(full))?.state === 'issued')
      await node.renew(full)
      await renewed(full, before)
      await Promise.all([node.unpublish(full), node.unpublish(other)])
    })

    test('a target that somebody unmounted, or mounted over, shows the same files again after a republish', async () => {
      const volume = await published()
      const before = await serial(volume)
      await node.run('umount', volume.target)
      await node.publish(volume)
      expect(await serial(volume)).toBe(before)
      await node.run('mount', '-t', 'tmpfs', 'over', volume.target)
      await node.publish(volume)
      expect(await serial(volume)).toBe(before)
      await node.unpublish(volume)
    })
  })

  describe('promise 5, unpublish always works', () => {
    test.each<[string, (volume: TestVolume) => Promise<unknown>]>([
      ['the target was unmounted', ({ target }) => node.run('umount', target)],
      ['something else is mounted over the target', ({ target }) => node.run('mount', '-t', 'tmpfs', 'over', target)],
      [
        'target and memory are gone, as after a reboot',
        (volume) => node.run('umount', '-l', volume.target, node.memory(volume)),
      ],
      [
        'target, its folder and the memory are gone',
        async (volume) => {
          await node.run('umount', '-l', volume.target, node.memory(volume))
          await rm(volume.podFolder, { recursive: true })
        },
      ],
    ])('where %s', async (_what, harm) => {
      const volume = await published()
      await harm(volume)
      await node.unpublish(volume)
      await expect(stat(volume.target)).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('where a process works in the volume', async () => {
      const volume = await published()
      await using file = await open(node.path(volume.target, 'tls.crt'))
      await node.unpublish(volume)
      expect((await file.stat()).size).toBe(0)
    })
  })

  describe('promise 8, restarts are free', () => {
    test.each(['SIGTERM', 'SIGKILL'] as const)(
      'after %s nothing is issued anew, and no mount is made or lost',
      async (signal) => {
        const volumes = await Promise.all(Array.from({ length: 5 }, () => published()))
        const [serials, mounts] = [await Promise.all(volumes.map((volume) => serial(volume))), await node.mounts()]
        await driver.end(signal)
        expect(await Promise.all(volumes.map((volume) => serial(volume)))).toEqual(serials)
        driver = await node.startDriver()
        await driver.ready
        await Promise.all(volumes.map((volume) => node.publish(volume)))
        expect(await Promise.all(volumes.map((volume) => serial(volume)))).toEqual(serials)
        expect(await node.mounts()).toEqual(mounts)
        await Promise.all(volumes.map((volume) => node.unpublish(volume)))
      },
    )

    test('a data root has one writer: a second process waits until the first is gone, however it ends', async () => {
      const volume = await published()
      const second = await node.startDriver()
      expect(second.waited).toBe(true)
      await node.publish(volume)
      await driver.end('SIGKILL')
      await second.ready
      driver = second
      await node.publish(volume)
      await node.unpublish(volume)
    })
  })

  describe('promise 16, start checks its ground', () => {
    test('data root and pods folder on mounts that nobody else sees are an obstacle, with what to change; shared ones are none', async () => {
      await driver.end('SIGTERM')
      driver = await node.startDriver()
      expect(await driver.ready).toBe(
        `${join(node.folder, 'data')} and ${join(node.folder, 'pods')} are not on a mount shared with the host, so pods would not ` +
          'see their volumes; give the volumeMounts of the driver mountPropagation: Bidirectional',
      )
      await driver.end('SIGTERM')
      await node.run('mount', '--bind', node.folder, node.folder)
      await node.run('mount', '--make-shared', node.folder)
      driver = await node.startDriver()
      expect(await driver.ready).toBeUndefined()
      await driver.end('SIGTERM')
      await node.run('umount', node.folder)
    })
  })

  test('of all these volumes no mount and no folder is left', async () => {
    expect((await node.mounts()).map(({ mountPoint }) => mountPoint)).toEqual([])
    expect(await readdir(join(node.folder, 'data', 'volumes'))).toEqual([])
  })
})
