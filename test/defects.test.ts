import { access, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type ServiceError, status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import type { Mounter } from '../src/volume/mounter.ts'
import { privateDirectory } from '../src/volume/private-directory.ts'
import { CliDriver } from './support/cli-driver.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode } from './support/node.ts'
import { until } from './support/until.ts'

// Defects of the Go csi-driver, by their effect, on the driver's socket. docs/defects.md lists all of them, those that are shown by the
// tests of a promise too.

const hour = 3600_000

describe('defect 2: an error of a republish destroys a live volume', () => {
  test('whatever fails while it is shown again, the pod keeps its files, and the next republish is OK', async () => {
    const failing = new Set<keyof Mounter>()
    await using node = await TestNode.start({
      mounter: gated((call) => (failing.has(call) ? Promise.reject(new Error('EIO')) : undefined)),
    })
    const volume = await node.volume()
    await node.publish(volume)
    const serial = await node.serial(volume)
    for (const call of ['show', 'shows', 'mountPrivate', 'isPrivate'] as const) {
      failing.add(call)
      // Uncertain to the kubelet, so it does not believe that nothing is left.
      const outcome = await node.publish(volume).then(
        () => status.OK,
        (error: ServiceError) => error.code,
      )
      expect([status.OK, status.UNAVAILABLE]).toContain(outcome)
      expect(await node.serial(volume)).toBe(serial)
      failing.delete(call)
      await node.publish(volume)
    }
    expect(node.issuer.requests).toHaveLength(1)
  })
})

describe('defect 3: an answer that is no PEM ends the process', () => {
  test.each(['', 'hello', '-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n', '\0'.repeat(1000)])(
    'the chain %j ends neither the driver nor another volume, at a first publish and at a renewal',
    async (chain) => {
      const clock = new ManualClock()
      await using node = await TestNode.start({ clock })
      const [known, other, fresh] = [await node.volume(), await node.volume(), await node.volume()]
      await Promise.all([node.publish(known), node.publish(other)])
      const serials = [await node.serial(known), await node.serial(other)]
      node.issuer.script = { answer: (signed, { volumeId }) => (volumeId === other.id ? signed : { ...signed, chain }) }
      await expect(node.publish(fresh)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
      clock.advance(700 * hour)
      await until('the renewal has failed', () => node.told('RenewalFailed')[0])
      await node.renewed(other, serials[1] ?? '')
      expect(await node.serial(known)).toBe(serials[0])
      expect(await node.probe()).toBe(true)
    },
  )
})

describe('defect 4: an empty volume id removes every volume', () => {
  test('no id reaches another volume, at publish and at unpublish', async () => {
    await using node = await TestNode.start()
    const [live, other] = [await node.volume(), await node.volume()]
    await node.publish(live)
    for (const id of [
      '',
      '.',
      '..',
      '/',
      '../x',
      `../volumes/${live.id}`,
      `${live.id}/..`,
      `x/../${live.id}`,
      'a\0b',
    ]) {
      await expect(node.publish({ ...other, id })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT })
      const outcome = await node.unpublish({ id, target: other.target }).then(
        () => status.OK,
        (error: ServiceError) => error.code,
      )
      expect(outcome).toBe(id === '' ? status.INVALID_ARGUMENT : status.OK)
    }
    expect(await readdir(node.volumesFolder)).toEqual([live.id])
    expect(await node.read(live, 'tls.key')).toContain('PRIVATE KEY')
  })

  test('no target that holds the driver and its volumes is taken for one of a pod', async () => {
    await using node = await TestNode.start()
    const live = await node.volume()
    await node.publish(live)
    for (const target of ['/', node.folder, join(node.folder, 'data'), node.volumesFolder]) {
      await expect(node.unpublish({ id: 'csi-other', target })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT })
    }
    expect(await node.read(live, 'tls.key')).toContain('PRIVATE KEY')
  })
})

describe('defect 5: metadata that was cut off keeps the driver from starting', () => {
  test.each(['', '{', '[]', 'null', '{"version":1}', '{"version":2,"bootId":"x"}'])(
    'with a state file that holds %j it starts, renews the others, and a publish of that volume makes it whole',
    async (content) => {
      const clock = new ManualClock()
      await using node = await TestNode.start({ clock })
      const [broken, whole] = [await node.volume(), await node.volume()]
      await Promise.all([node.publish(broken), node.publish(whole)])
      await node.stopDriver()
      await writeFile(join(node.volumesFolder, broken.id, 'state.json'), content)
      await node.startDriver()
      expect(await node.read(broken, 'tls.key')).toContain('PRIVATE KEY')
      const before = await node.serial(whole)
      clock.advance(700 * hour)
      await node.renewed(whole, before)
      await node.publish(broken)
      expect(
        node.driver
          .inspect()
          .map(({ volumeId }) => volumeId)
          .toSorted(),
      ).toEqual([broken.id, whole.id].toSorted())
      await node.unpublish(broken)
      expect(await readdir(node.volumesFolder)).toEqual([whole.id])
    },
  )
})

describe('defect 6: the default data root cannot be used', () => {
  test.each([
    ['an absolute data root is taken as it is', (folder: string) => join(folder, 'data')],
    [
      'a relative data root is taken from /, wherever the process was started',
      (folder: string) => relative('/', join(folder, 'data')),
    ],
  ])('%s', async (_what, dataRoot) => {
    await using driver = await CliDriver.start(dataRoot)
    expect(await driver.probe()).toBe(true)
    await access(join(driver.folder, 'data', 'volumes'))
    expect(await driver.stop()).toEqual([0, null])
  })
})

describe('defect 9: an issuance in flight brings an unpublished volume back', () => {
  test('what the issuer answers after the unpublish makes no file, and no restart finds a volume', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const [first, renewing] = [await node.volume(), await node.volume()]
    await node.publish(renewing)
    node.issuer.script = 'hold'
    const publish = node.publish(first).catch((error: unknown) => error)
    clock.advance(500 * hour)
    await until('both are under way', () => node.issuer.requests.length === 3)
    await Promise.all([node.unpublish(first), node.unpublish(renewing)])
    node.issuer.release()
    expect(await publish).toMatchObject({ code: status.UNAVAILABLE })
    await node.stopDriver()
    await node.startDriver()
    clock.advance(10_000 * hour)
    expect(node.driver.inspect()).toEqual([])
    expect(await readdir(node.volumesFolder)).toEqual([])
    expect(node.issuer.requests).toHaveLength(3)
    expect(node.issuer.discarded.toSorted()).toEqual(node.issuer.requests.map(({ id }) => id).toSorted())
  })
})

describe('defect 13: a crash in the middle of a swap makes every later write fail', () => {
  test('whatever a crash has left in a volume, the next renewal replaces the pair and sweeps it away', async () => {
    const clock = new ManualClock()
    await using node = await TestNode.start({ clock })
    const volume = await node.volume()
    await node.publish(volume)
    const before = await node.serial(volume)
    await node.stopDriver()
    const root = join(node.volumesFolder, volume.id)
    for (const link of ['..data_next', '..data_tmp', '..link_next']) await symlink('nowhere', join(root, 'data', link))
    await mkdir(join(root, 'data', '..2'))
    await writeFile(join(root, 'data', '..2', 'tls.crt'), 'half')
    for (const file of ['.state.json.new', 'pending/.key.pem.new', 'pending/.request.json.new']) {
      await writeFile(join(root, file), 'half')
    }
    await node.startDriver()
    clock.advance(700 * hour)
    await node.renewed(volume, before)
    expect((await readdir(join(root, 'data'))).toSorted()).toEqual(['..2', '..data', 'ca.crt', 'tls.crt', 'tls.key'])
    await node.unpublish(volume)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })
})

describe('defect 14: an unpublish of what is gone is an error', () => {
  test('a target that is gone, that is empty, and that never was are all OK', async () => {
    await using node = await TestNode.start()
    const [gone, empty, never] = [await node.volume(), await node.volume(), await node.volume()]
    await Promise.all([node.publish(gone), node.publish(empty)])
    await rm(gone.target)
    await rm(empty.target)
    await mkdir(empty.target)
    await Promise.all([gone, empty, never].map((volume) => node.unpublish(volume)))
    expect(await readdir(node.volumesFolder)).toEqual([])
    await expect(access(empty.target)).rejects.toThrow('ENOENT')
  })
})

describe('defect 19: a slow disk of one volume stops all', () => {
  test.each<keyof Mounter>(['mountPrivate', 'show', 'unmount'])(
    'while the %s of one volume takes its time, others are published, shown again, renewed and unpublished',
    async (slow) => {
      const gate = Promise.withResolvers<void>()
      let waits = 0
      const clock = new ManualClock()
      const stuck = new Set<string>()
      const mounter = gated((call, paths) => {
        if (call !== slow || !paths.some((path) => stuck.has(path))) return undefined
        waits++
        return gate.promise
      })
      await using node = await TestNode.start({ clock, mounter })
      const [slowOne, known, fresh] = [await node.volume(), await node.volume(), await node.volume()]
      await node.publish(known)
      if (slow === 'unmount') await node.publish(slowOne)
      stuck.add(slowOne.target).add(join(node.volumesFolder, slowOne.id))
      const call = slow === 'unmount' ? node.unpublish(slowOne) : node.publish(slowOne)
      await until('it takes its time', () => waits > 0)

      await node.publish(fresh)
      await node.publish(known)
      const before = await node.serial(known)
      clock.advance(700 * hour)
      await node.renewed(known, before)
      await node.unpublish(known)
      expect(await node.probe()).toBe(true)
      gate.resolve()
      await call
      expect(await node.read(fresh, 'tls.key')).toContain('PRIVATE KEY')
    },
  )
})

/**
 * Folders in the place of mounts, each call of which waits first for what `gate` gives.
 *
 * @param gate - told the call and its paths
 */
function gated(gate: (call: keyof Mounter, paths: readonly string[]) => Promise<void> | undefined): Mounter {
  return {
    description: privateDirectory.description,
    mountPrivate: async (directory, options) => {
      await gate('mountPrivate', [directory])
      return privateDirectory.mountPrivate(directory, options)
    },
    isPrivate: async (directory) => {
      await gate('isPrivate', [directory])
      return privateDirectory.isPrivate(directory)
    },
    show: async (source, target) => {
      await gate('show', [source, target])
      return privateDirectory.show(source, target)
    },
    shows: async (source, target) => {
      await gate('shows', [source, target])
      return privateDirectory.shows(source, target)
    },
    regain: async (source, target) => {
      await gate('regain', [source, target])
      return privateDirectory.regain(source, target)
    },
    unmount: async (path) => {
      await gate('unmount', [path])
      return privateDirectory.unmount(path)
    },
  }
}
