import { Registry } from 'prom-client'
import { afterEach, describe, expect, test } from 'vitest'
import { differingFields } from '../desired/compare.ts'
import { isOwnEntryId } from './entry-id.ts'
import {
  callError,
  ownership,
  type Replica,
  root,
  specOf,
  SyncWorld,
  verifyInterval,
  type WorldObject,
} from './fixtures/sync-world.ts'
import { createSyncMetrics } from './sync-metrics.ts'

const opened: { readonly world: SyncWorld; readonly replica: Replica }[] = []

afterEach(async () => {
  for (const { world, replica } of opened.splice(0)) {
    world.release()
    await world.stop(replica)
  }
})

/** A registrar that leads, and has read what the server has. */
async function leading(
  options: ConstructorParameters<typeof SyncWorld>[0] = {},
  prepare: (world: SyncWorld, replica: Replica) => void = () => {},
): Promise<{ readonly world: SyncWorld; readonly replica: Replica }> {
  const world = new SyncWorld(options)
  const replica = world.replica()
  opened.push({ world, replica })
  prepare(world, replica)
  world.lead(replica)
  await world.settle()
  return { world, replica }
}

const web: WorldObject = { uid: 'u1', wants: 'entry', variant: 0 }

function show(world: SyncWorld, replica: Replica, key: string, object: WorldObject | undefined = web): void {
  if (object === undefined) world.objects.delete(key)
  else world.objects.set(key, object)
  world.deliver(replica, key)
}

function remove(world: SyncWorld, replica: Replica, key: string): void {
  world.objects.delete(key)
  world.deliver(replica, key)
}

const writes = ({ entries }: SyncWorld) => entries.calls.filter(({ method }) => method !== 'list')

describe('batches', () => {
  test('a single pod is served as soon as it comes, and those that come behind it share the next call', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    world.clock.advance(2)
    await world.settle()
    expect(writes(world)).toEqual([{ method: 'create', items: 1 }])
    show(world, replica, 'pod/shop/next')
    world.clock.advance(43)
    show(world, replica, 'pod/shop/last')
    await world.settle()
    expect(writes(world).length).toBe(1)
    world.clock.advance(1)
    await world.settle()
    expect(writes(world)).toEqual([
      { method: 'create', items: 1 },
      { method: 'create', items: 2 },
    ])
    expect(world.ownedBy('pod/shop/web').every(({ id }) => isOwnEntryId(ownership.ids, id))).toBe(true)
  })

  test('a pod without a node costs no call, and its wait for one delays nothing', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web', { ...web, wants: 'none' })
    world.clock.advance(2)
    await world.settle()
    show(world, replica, 'pod/shop/web')
    world.clock.advance(2)
    await world.settle()
    expect(writes(world)).toEqual([{ method: 'create', items: 1 }])
  })

  test('fifty pods a second, evenly spaced, are at most twenty-five calls a second', async () => {
    const { world, replica } = await leading()
    for (let pod = 0; pod < 100; pod++) {
      show(world, replica, `pod/shop/web-${pod}`)
      await world.settle()
      world.clock.advance(20)
    }
    await world.pass(100, 20)
    expect(world.store.size).toBe(100)
    expect(writes(world).length).toBeLessThanOrEqual(50)
  })

  test('a few pods that come together do not wait for a deployment', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    world.clock.advance(2)
    await world.settle()
    for (let pod = 0; pod < 12; pod++) show(world, replica, `pod/shop/web-${pod}`)
    world.clock.advance(44)
    await world.settle()
    expect(world.store.size).toBe(13)
  })

  test('five hundred pods within two seconds are at most fifteen calls', async () => {
    const { world, replica } = await leading()
    for (let pod = 0; pod < 500; pod++) {
      show(world, replica, `pod/shop/web-${pod}`)
      await world.settle()
      world.clock.advance(4)
    }
    await world.pass(500, 20)
    expect(world.store.size).toBe(500)
    expect(writes(world).length).toBeLessThanOrEqual(15)
  })

  test('a deployment that an API server takes a while for is still few calls, and what comes after it is served at once', async () => {
    const { world, replica } = await leading()
    for (let pod = 0; pod < 500; pod++) {
      show(world, replica, `pod/shop/web-${pod}`)
      await world.settle()
      // It begins fast, and slows down.
      world.clock.advance(pod < 100 ? 4 : 8)
    }
    await world.pass(1000, 20)
    expect(world.store.size).toBe(500)
    expect(writes(world).length).toBeLessThanOrEqual(24)
    show(world, replica, 'pod/shop/next')
    world.clock.advance(2)
    await world.settle()
    expect(world.store.size).toBe(501)
  })

  test('the first synchronisation goes in full batches without waiting, parents first', async () => {
    const { world } = await leading({}, (world, replica) => {
      for (let pod = 0; pod < 1190; pod++) show(world, replica, `pod/shop/web-${pod}`)
      for (let node = 0; node < 10; node++) show(world, replica, `node/n${node}`)
    })
    await world.pass(50, 50)
    expect(writes(world).map(({ items }) => items)).toEqual([500, 500, 200])
    expect(
      world.store
        .all()
        .slice(0, 10)
        .every(({ spiffeId }) => spiffeId.startsWith(`${root}/n`)),
    ).toBe(true)
  })

  test('an item that spoils a whole call is found by halving, and the others are created', async () => {
    const { world, replica } = await leading()
    const create = world.entries.create.bind(world.entries)
    world.entries.create = async (entries, signal) => {
      if (entries.some(({ selectors }) => selectors.some(({ value }) => value === 'pod-name:bad'))) throw callError(3)
      return await create(entries, signal)
    }
    for (const name of ['a', 'b', 'bad', 'c', 'd']) show(world, replica, `pod/shop/${name}`)
    await world.pass(500)
    expect(world.store.size).toBe(4)
    expect(world.outcomes.get('pod/shop/bad')).toMatchObject({ is: 'failed', status: 3 })
  })
})

describe('changes', () => {
  test('an update writes the changed fields only, in place', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [before] = world.ownedBy('pod/shop/web')
    world.store.update(before?.id ?? '', { hint: 'by hand' })
    show(world, replica, 'pod/shop/web', { ...web, variant: 2 })
    await world.pass(500)
    const [after] = world.store.all()
    expect(after).toMatchObject({ id: before?.id, hint: 'by hand', revision: 2n })
    expect(writes(world)).toEqual([
      { method: 'create', items: 1 },
      { method: 'update', items: 1 },
    ])
  })

  test('a successor of the same name takes the entry over, without a gap', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web-0')
    await world.pass(500)
    remove(world, replica, 'pod/shop/web-0')
    show(world, replica, 'pod/shop/web-0', { ...web, uid: 'u2' })
    await world.pass(2000)
    expect(writes(world)).toEqual([{ method: 'create', items: 1 }])
  })

  test('what the registrar before this one made is adopted: nothing is deleted and made again', async () => {
    const { world } = await leading({}, (world, replica) => {
      for (const name of ['a', 'b', 'c']) {
        show(world, replica, `pod/shop/${name}`)
        world.store.create({ ...specOf(`pod/shop/${name}`, web, 0), ...(name === 'c' && { dnsNames: [] }) })
      }
    })
    const ids = world.store.all().map(({ id }) => id)
    await world.pass(2000)
    expect(world.store.all().map(({ id }) => id)).toEqual(ids)
    expect(writes(world)).toEqual([{ method: 'update', items: 1 }])
  })

  test('an object whose rendering has a problem keeps its last good entry', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    show(world, replica, 'pod/shop/web', { ...web, wants: 'problem', variant: 2 })
    await world.pass(500)
    world.clock.advance(verifyInterval)
    await world.pass(500)
    expect(writes(world)).toHaveLength(1)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({
      is: 'problem',
      entry: { spiffeId: specOf('pod/shop/web', web, 0).spiffeId },
    })
    expect(replica.engine.figures.troubled.get('problem')).toBe(1)
  })

  test('a renamed object takes over the entry of the one that is gone', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    // As if the name did not show in the entry.
    const [entry] = world.ownedBy('pod/shop/web')
    const render = world.render.bind(world)
    world.render = (key, object) =>
      key === 'pod/shop/renamed' && object !== undefined
        ? { is: 'entry', spec: specOf('pod/shop/web', object, 0), notices: [] }
        : render(key, object)
    remove(world, replica, 'pod/shop/web')
    show(world, replica, 'pod/shop/renamed')
    await world.pass(2000)
    expect(world.store.all().map(({ id }) => id)).toEqual([entry?.id])
    expect(writes(world).map(({ method }) => method)).not.toContain('delete')
  })
})

describe('deletes', () => {
  test('nothing is deleted that a look at the object itself does not show to be gone', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    // The watch says so, wrongly.
    replica.seen.delete('pod/shop/web')
    replica.engine.mark('pod/shop/web')
    await world.pass(60_000, 1000)
    expect(world.store.size).toBe(1)
    remove(world, replica, 'pod/shop/web')
    await world.pass(2000)
    expect(world.store.size).toBe(0)
  })

  test('a new entry of the same object has another id than the one that was deleted', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [first] = world.store.all()
    show(world, replica, 'pod/shop/web', { ...web, wants: 'none' })
    await world.pass(2000)
    expect(world.store.size).toBe(0)
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [second] = world.store.all()
    expect(second?.id).toBeDefined()
    expect(second?.id).not.toBe(first?.id)
  })

  test('more deletes than the fuse allows are held back and told, until fewer are wanted', async () => {
    const { world, replica } = await leading({ fuse: { maxCount: 2, maxFraction: 0.1 } })
    const keys = Array.from({ length: 10 }, (_, pod) => `pod/shop/web-${pod}`)
    for (const key of keys) show(world, replica, key)
    await world.pass(1000)
    for (const key of keys.slice(0, 5)) remove(world, replica, key)
    await world.pass(30_000, 1000)
    expect(world.store.size).toBe(10)
    expect(replica.engine.problems()).toEqual([expect.stringContaining('5 of 10 entries would be deleted at once')])
    expect(replica.engine.figures).toMatchObject({ isFuseTripped: true, waitingDeletes: 5 })
    for (const key of keys.slice(0, 3)) show(world, replica, key)
    await world.pass(1000)
    expect(replica.engine.problems()).toEqual([])
    expect(world.store.size).toBe(8)
  })

  test('deletes that come one after the other count together', async () => {
    const { world, replica } = await leading({ fuse: { maxCount: 2, maxFraction: 0.1 } })
    const keys = Array.from({ length: 6 }, (_, pod) => `pod/shop/web-${pod}`)
    for (const key of keys) show(world, replica, key)
    await world.pass(1000)
    for (const key of keys.slice(0, 4)) {
      remove(world, replica, key)
      await world.pass(500)
    }
    expect(world.store.size).toBe(4)
    await world.pass(12_000, 1000)
    expect(world.store.size).toBe(2)
  })

  test('a person can confirm them', async () => {
    const { world, replica } = await leading({ fuse: { maxCount: 2, maxFraction: 0.1 }, areDeletesConfirmed: true })
    for (let pod = 0; pod < 10; pod++) show(world, replica, `pod/shop/web-${pod}`)
    await world.pass(1000)
    for (let pod = 0; pod < 10; pod++) remove(world, replica, `pod/shop/web-${pod}`)
    await world.pass(2000)
    expect(world.store.size).toBe(0)
  })
})

describe('what the server says', () => {
  test("somebody else's entry of the same kind is a conflict, and is not touched", async () => {
    const { world, replica } = await leading({}, (world) => {
      world.store.create({ ...specOf('pod/shop/web', web, 0), admin: true })
    })
    const before = world.store.all()
    show(world, replica, 'pod/shop/web')
    await world.pass(5000)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'conflict', by: { id: before[0]?.id } })
    expect(world.store.all()).toEqual(before)
    world.store.delete(before[0]?.id ?? '')
    await world.pass(30_000, 1000)
    expect(world.ownedBy('pod/shop/web')).toHaveLength(1)
  })

  test('an entry that becomes an administrator is left alone from the next verification on', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [entry] = world.store.all()
    world.store.update(entry?.id ?? '', { admin: true })
    world.clock.advance(verifyInterval)
    await world.pass(500)
    const made = world.store.get(entry?.id ?? '')
    show(world, replica, 'pod/shop/web', { ...web, variant: 2 })
    await world.pass(2000)
    remove(world, replica, 'pod/shop/web')
    await world.pass(2000)
    expect(world.store.all()).toEqual([made])
  })

  test('a create to which no answer came is sent again, and is one entry', async () => {
    const { world, replica } = await leading()
    world.faults.push({ error: callError(14) })
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    expect(replica.engine.problems()).toEqual([expect.stringContaining('UNAVAILABLE')])
    await world.pass(2000)
    expect(world.store.size).toBe(1)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'registered' })
    expect(replica.engine.problems()).toEqual([])
  })

  test('a create to which no answer came is taken back where the object is gone meanwhile', async () => {
    const { world, replica } = await leading()
    world.faults.push({ error: callError(4) })
    show(world, replica, 'pod/shop/web')
    await world.pass(100, 50)
    remove(world, replica, 'pod/shop/web')
    await world.pass(5000)
    expect(world.store.size).toBe(0)
  })

  test('a create to which no answer came, of an object that has changed since, ends as the object is', async () => {
    const { world, replica } = await leading()
    world.faults.push({ error: callError(4) })
    show(world, replica, 'pod/shop/web')
    await world.pass(100, 50)
    const changed = { ...web, variant: 2 }
    show(world, replica, 'pod/shop/web', changed)
    await world.pass(5000)
    expect(world.store.all().map((entry) => differingFields(entry, specOf('pod/shop/web', changed, 0)))).toEqual([[]])
  })

  test('what an answer that was too long has created is known, though the parts of its batch fail after', async () => {
    const { world, replica } = await leading({ verifyInterval: 1e9 })
    world.faults.push({ error: callError(8) }, { poison: new Set([0]) }, { poison: new Set([0]) })
    show(world, replica, 'pod/shop/a')
    show(world, replica, 'pod/shop/b')
    await world.pass(50, 50)
    expect(world.store.size).toBe(2)
    remove(world, replica, 'pod/shop/a')
    remove(world, replica, 'pod/shop/b')
    await world.pass(2000)
    expect(world.store.size).toBe(0)
  })

  test('an item that fails is tried again by itself, later and later', async () => {
    const { world, replica } = await leading()
    world.faults.push({ poison: new Set([0]) }, { poison: new Set([0]) })
    show(world, replica, 'pod/shop/web')
    await world.pass(100, 50)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'failed', status: 13 })
    await world.pass(5000)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'registered' })
  })

  test('an object whose change is refused is told with the entry that it has meanwhile, as is one whose entry waits to go', async () => {
    const { world, replica } = await leading({ fuse: { maxCount: 0, maxFraction: 0 } })
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [{ id } = { id: '' }] = world.store.all()
    world.faults.push({ poison: new Set([0]) })
    show(world, replica, 'pod/shop/web', { ...web, variant: 2 })
    await world.pass(50, 50)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'failed', entry: { id } })
    remove(world, replica, 'pod/shop/web')
    await world.pass(2000)
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'ending', entry: { id } })
  })

  test('a server that makes its own ids is served as well', async () => {
    const { world, replica } = await leading({ takesClientIds: false })
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    show(world, replica, 'pod/shop/web', { ...web, variant: 1 })
    await world.pass(500)
    expect(world.ownedBy('pod/shop/web')).toMatchObject([{ parentId: `${root}/n1`, revision: 1n }])
  })
})

describe('verification', () => {
  test('what others deleted, changed and doubled is repaired within one interval, with one listing', async () => {
    const { world, replica } = await leading()
    for (const name of ['a', 'b', 'c', 'd']) show(world, replica, `pod/shop/${name}`)
    await world.pass(500)
    const [gone, changed, doubled] = world.store.all()
    if (gone === undefined || changed === undefined || doubled === undefined) throw new Error('nothing was created')
    world.store.delete(gone.id)
    world.store.update(changed.id, { dnsNames: [] })
    world.store.create({ ...doubled, id: '', spiffeId: 'spiffe://example.org/other' })
    const listed = world.entries.calls.filter(({ method }) => method === 'list').length
    world.clock.advance(verifyInterval)
    await world.pass(2000)
    for (const name of ['a', 'b', 'c', 'd']) {
      const owned = world.ownedBy(`pod/shop/${name}`)
      expect(owned.map((entry) => differingFields(entry, specOf(`pod/shop/${name}`, web, 0)))).toEqual([[]])
    }
    expect(world.store.get(doubled.id)).toBeDefined()
    // Pages of three.
    expect(world.entries.calls.filter(({ method }) => method === 'list').length - listed).toBe(3)
  })

  test('an object that loses a double of its entry is registered all the while', async () => {
    const { world, replica } = await leading()
    show(world, replica, 'pod/shop/web')
    await world.pass(500)
    const [entry] = world.store.all()
    if (entry === undefined) throw new Error('nothing was created')
    world.store.create({ ...entry, id: '', spiffeId: 'spiffe://example.org/other' })
    world.clock.advance(verifyInterval)
    await world.pass(2000)
    expect(world.store.all()).toEqual([entry])
    expect(world.outcomes.get('pod/shop/web')).toMatchObject({ is: 'registered', entry: { id: entry.id } })
  })

  test('what is written while a listing is on its way is newer than the listing', async () => {
    const { world, replica } = await leading()
    for (const name of ['a', 'b', 'c', 'd']) show(world, replica, `pod/shop/${name}`)
    await world.pass(500)
    // The server has read its last page, and the answer takes its time.
    world.lateAnswer = 1
    world.clock.advance(verifyInterval)
    await world.settle()
    show(world, replica, 'pod/shop/d', { ...web, variant: 2 })
    await world.pass(1000)
    const before = writes(world).length
    world.release()
    await world.pass(2000)
    expect(writes(world)).toHaveLength(before)
    remove(world, replica, 'pod/shop/d')
    await world.pass(2000)
    expect(world.store.size).toBe(3)
  })

  test('what is being written while the server lists is no drift', async () => {
    const registry = new Registry()
    const { world, replica } = await leading({ metrics: createSyncMetrics(registry) })
    show(world, replica, 'pod/shop/a')
    await world.pass(500)
    // The server has done what it was asked to do, and its answer takes its time.
    world.lateAnswer = 0
    show(world, replica, 'pod/shop/b')
    await world.pass(500)
    expect(world.store.size).toBe(2)
    const listed = world.entries.calls.length
    world.clock.advance(verifyInterval)
    await world.pass(500)
    expect(world.entries.calls.slice(listed).map(({ method }) => method)).toContain('list')
    world.release()
    await world.pass(500)
    expect((await registry.getSingleMetric('podpass_registrar_drift_total')?.get())?.values).toEqual([
      expect.objectContaining({ labels: { kind: 'missing' }, value: 0 }),
      expect.objectContaining({ labels: { kind: 'changed' }, value: 0 }),
      expect.objectContaining({ labels: { kind: 'unknown' }, value: 0 }),
    ])
  })

  test('what is written while the server lists is not taken for missing', async () => {
    const { world, replica } = await leading()
    for (const name of ['a', 'b', 'c', 'd']) show(world, replica, `pod/shop/${name}`)
    await world.pass(500)
    // The second page is held up; a pod that belongs on the first comes meanwhile, and one that was on it changes.
    world.faults.push({}, 'stall')
    world.clock.advance(verifyInterval)
    await world.settle()
    show(world, replica, 'pod/shop/a', { ...web, variant: 2 })
    show(world, replica, 'pod/shop/e')
    remove(world, replica, 'pod/shop/d')
    await world.pass(1000)
    const before = world.store.all()
    world.release()
    await world.pass(2000)
    expect(world.store.all()).toEqual(before)
    expect(writes(world).map(({ method }) => method)).toEqual(['create', 'create', 'update', 'delete'])
  })
})

test('whoever has lost the lead writes nothing any more, and a new leader reads first', async () => {
  const { world, replica } = await leading()
  show(world, replica, 'pod/shop/web')
  await world.pass(500)
  await world.stop(replica)
  remove(world, replica, 'pod/shop/web')
  show(world, replica, 'pod/shop/other')
  await world.pass(2000)
  expect(writes(world)).toHaveLength(1)
  const successor = world.replica()
  for (const key of world.objects.keys()) world.deliver(successor, key)
  world.lead(successor)
  await world.pass(2000)
  await world.stop(successor)
  expect(world.store.all().map(({ selectors }) => selectors[1]?.value)).toEqual(['pod-name:other'])
  expect(world.entries.calls.slice(-5).map(({ method }) => method)).toEqual([
    'create',
    'list',
    'list',
    'create',
    'delete',
  ])
})
