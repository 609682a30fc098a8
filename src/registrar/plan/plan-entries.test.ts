import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EntryStore, StoredEntry } from '../../../test/support/entry-store.ts'
import { MemoryEntries } from '../../../test/support/memory-entries.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import { keyOf, ownership, root, specOf, SyncWorld, type WorldObject } from '../sync/fixtures/sync-world.ts'
import { planEntries } from './plan-entries.ts'
import { hasChanges, type RegistrarPlan } from './registrar-plan.ts'

const keys = ['node/n0', 'node/n1', 'pod/shop/p0', 'pod/shop/p1', 'pod/shop/p2']

const object: fc.Arbitrary<WorldObject> = fc.record({
  uid: fc.constantFrom('u1', 'u2'),
  wants: fc.constantFrom('entry', 'entry', 'entry', 'none', 'problem'),
  variant: fc.nat({ max: 2 }),
})

/** What somebody has made before: for an object as it is or was, changed, copied, or somebody else's. */
interface Seed {
  readonly key: string
  readonly variant: number
  readonly how: 'same' | 'other id' | 'other names' | 'foreign' | 'admin' | 'orphan'
}

const seed: fc.Arbitrary<Seed> = fc.record({
  key: fc.constantFrom(...keys, 'pod/shop/gone', 'node/gone'),
  variant: fc.nat({ max: 2 }),
  how: fc.constantFrom('same', 'same', 'other id', 'other names', 'foreign', 'admin', 'orphan'),
})

function seeded(store: EntryStore, seeds: readonly Seed[]): void {
  for (const [place, { key, variant, how }] of seeds.entries()) {
    const spec = specOf(key, { uid: '', wants: 'entry', variant }, 0)
    const change: Readonly<Record<Seed['how'], Partial<EntrySpec & { readonly admin: boolean }>>> = {
      same: {},
      'other id': { spiffeId: `${spec.spiffeId}-other` },
      'other names': { dnsNames: ['other.example.org'] },
      foreign: { parentId: 'spiffe://example.org/elsewhere' },
      admin: { admin: true },
      orphan: { selectors: [{ type: 'unix', value: `uid:${place}` }], parentId: `${root}/n0` },
    }
    store.create({ ...spec, ...change[how], id: `seed-${place}` })
  }
}

function planOf(world: SyncWorld, maxCount = 1000): Promise<RegistrarPlan> {
  const { objects, clock } = world
  return planEntries(
    {
      entries: new MemoryEntries({ store: world.store, pageSize: 3 }),
      source: {
        keys: () => objects.keys(),
        render: (key) => world.render(key, objects.get(key)),
        keyOf,
        incarnation: (key) => objects.get(key)?.uid,
        rank: (key) => (key.startsWith('node/') ? 0 : 1),
      },
      ids: ownership.ids,
      fuse: { maxCount, maxFraction: 0 },
      clock,
    },
    new AbortController().signal,
  )
}

function apply({ store }: SyncWorld, { creates, updates, deletes }: RegistrarPlan): void {
  // Updates before creates: some of these find their identity free only then, which the registrar finds out by trying again.
  for (const { entry, spec, fields } of updates) {
    const change = Object.fromEntries(fields.map((field) => [field, spec[field]]))
    expect(store.update(entry.id, change).code).toBe(0)
  }
  for (const { entry } of deletes) expect(store.delete(entry.id).code).toBe(0)
  for (const { id, spec } of creates) expect(store.create({ ...spec, id }).code).toBe(0)
}

function contents({ store }: SyncWorld): readonly Partial<StoredEntry>[] {
  return store
    .all()
    .map(({ id, spiffeId, parentId, selectors, dnsNames, federatesWith, downstream, admin }) => ({
      id,
      spiffeId,
      parentId,
      selectors,
      dnsNames,
      federatesWith,
      downstream,
      admin,
    }))
    .toSorted((one, other) => (one.id < other.id ? -1 : 1))
}

test('what a plan says is what the registrar does, and then there is nothing left to do', async () => {
  const objects = fc.array(fc.tuple(fc.constantFrom(...keys), object), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(objects, fc.array(seed, { maxLength: 6 }), async (given, seeds) => {
      const [planned, synced] = [new SyncWorld(), new SyncWorld()]
      for (const world of [planned, synced]) {
        seeded(world.store, seeds)
        for (const [key, one] of given) world.objects.set(key, one)
      }
      const replica = synced.replica()
      for (const key of synced.objects.keys()) synced.deliver(replica, key)
      const foreign = JSON.stringify(contents(planned).filter(({ id = '' }) => isForeign(planned, id)))

      apply(planned, await planOf(planned))
      synced.lead(replica)
      await synced.pass(90_000, 3000)

      expect(contents(planned)).toEqual(contents(synced))
      expect(hasChanges(await planOf(planned))).toBe(false)
      expect(hasChanges(await planOf(synced))).toBe(false)
      expect(JSON.stringify(contents(planned).filter(({ id = '' }) => isForeign(planned, id)))).toBe(foreign)
      await synced.stop(replica)
    }),
    { numRuns: 150 },
  )
})

function isForeign({ store }: SyncWorld, id: string): boolean {
  const entry = store.get(id)
  return entry !== undefined && keyOf(entry) === undefined
}

const running = (variant = 0): WorldObject => ({ uid: 'u1', wants: 'entry', variant })

test('an entry of somebody else that says the same is a conflict, and stays as it is', async () => {
  const world = new SyncWorld()
  world.objects.set('pod/shop/p0', running())
  const spec = specOf('pod/shop/p0', running(), 0)
  world.store.create({ ...spec, id: 'theirs', admin: true })
  const plan = await planOf(world)
  expect(plan).toMatchObject({ creates: [], deletes: [], conflicts: [{ key: 'pod/shop/p0', by: { id: 'theirs' } }] })
  expect(plan.foreign.map(({ id }) => id)).toEqual(['theirs'])
})

test('an object whose rendering has a problem keeps what it has', async () => {
  const world = new SyncWorld()
  world.objects.set('pod/shop/p0', { ...running(), wants: 'problem' })
  seeded(world.store, [{ key: 'pod/shop/p0', variant: 0, how: 'same' }])
  const plan = await planOf(world)
  expect(hasChanges(plan)).toBe(false)
  expect(plan.problems).toMatchObject([{ problem: 'it cannot be rendered', entry: { id: 'seed-0' } }])
})

test('deletes count against the fuse by object, and creates do not', async () => {
  const world = new SyncWorld()
  world.objects.set('pod/shop/p0', running())
  seeded(world.store, [
    { key: 'pod/shop/gone', variant: 0, how: 'same' },
    { key: 'pod/shop/gone', variant: 1, how: 'same' },
    { key: 'pod/shop/gone', variant: 2, how: 'orphan' },
  ])
  expect((await planOf(world, 2)).fuse).toEqual({ deletes: 2, entries: 4, isHeld: false })
  expect((await planOf(world, 1)).fuse).toEqual({ deletes: 2, entries: 4, isHeld: true })
})
