import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { IssuerUnavailableError } from '../../src/issuer/errors.ts'
import { TestNode } from '../support/node.ts'
import { until } from '../support/until.ts'

// What the driver promises of unpublish (docs/promises.md, 5), on its socket.

describe('promise 5, unpublish always works', () => {
  test('it is idempotent, and a volume that nobody knows is gone already', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    await node.unpublish(volume)
    await node.unpublish(volume)
    await node.unpublish(await node.volume())
    expect(await readdir(node.volumesFolder)).toEqual([])
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
  })

  test('without the API server it takes the volume away and answers OK', async () => {
    await using node = await TestNode.start({ obstacle: () => undefined })
    const volume = await node.volume()
    await node.publish(volume)
    node.issuer.discardError = new IssuerUnavailableError('the API server is away')
    await node.unpublish(volume)
    expect(await readdir(node.volumesFolder)).toEqual([])
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
  })

  test('after a reboot it takes away what the last boot has left', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    await node.stopDriver()
    const state = join(node.volumesFolder, volume.id, 'state.json')
    const record = JSON.parse(await readFile(state, 'utf8')) as Record<string, unknown>
    await writeFile(state, JSON.stringify({ ...record, bootId: 'another' }))
    await node.startDriver()
    await node.unpublish(volume)
    expect(await readdir(node.volumesFolder)).toEqual([])
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
  })

  test('when the target is gone, or even its folder, it goes on with the rest', async () => {
    await using node = await TestNode.start()
    const [one, other] = [await node.volume(), await node.volume()]
    await Promise.all([node.publish(one), node.publish(other)])
    await rm(one.target)
    await rm(other.podFolder, { recursive: true })
    await Promise.all([node.unpublish(one), node.unpublish(other)])
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('where there is only an empty target, that goes', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await mkdir(volume.target)
    await node.unpublish(volume)
    await expect(access(volume.target)).rejects.toThrow('ENOENT')
  })

  test('it ends an issuance in flight, leaves nothing, and has the request discarded', async () => {
    await using node = await TestNode.start()
    node.issuer.script = 'hold'
    const volume = await node.volume()
    const publish = node.publish(volume)
    publish.catch(() => {})
    await until('the request is stored', async () => (await node.stored()).includes('"handle":{'))
    await node.unpublish(volume)
    await expect(publish).rejects.toMatchObject({ code: status.UNAVAILABLE })
    expect(await readdir(node.volumesFolder)).toEqual([])
    expect(node.issuer.discarded).toEqual(node.issuer.requests.map(({ id }) => id))
  })

  test('whatever order publish and unpublish are called in at once, the last unpublish leaves nothing', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    for (let round = 0; round < 10; round++) {
      const calls = [node.publish(volume), node.unpublish(volume), node.publish(volume), node.unpublish(volume)]
      await Promise.allSettled(round % 2 === 0 ? calls : calls.toReversed())
      await node.unpublish(volume)
      expect(await readdir(node.volumesFolder)).toEqual([])
      await expect(access(volume.target)).rejects.toThrow('ENOENT')
    }
    expect(node.driver.inspect()).toEqual([])
    await until('every request is discarded', () => node.issuer.discarded.length === node.issuer.requests.length)
  })

  test('an id with path parts reaches nothing but its target', async () => {
    await using node = await TestNode.start()
    const live = await node.volume()
    await node.publish(live)
    for (const id of ['..', '../data', '.', `../volumes/${live.id}`]) {
      await node.unpublish({ id, target: join(node.folder, 'no', 'such') })
    }
    await expect(node.unpublish({ id: '', target: live.target })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    })
    expect(await node.read(live, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})
