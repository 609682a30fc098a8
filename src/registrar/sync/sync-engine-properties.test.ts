import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EntryFault } from '../../../test/support/memory-entries.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import { differingFields } from '../desired/compare.ts'
import {
  callError,
  keyOf,
  type Replica,
  root,
  specOf,
  SyncWorld,
  verifyInterval,
  type WorldObject,
} from './fixtures/sync-world.ts'

const keys = ['node/n0', 'node/n1', 'pod/shop/p0', 'pod/shop/p1', 'pod/shop/p2', 'pod/shop/p3']

const key = fc.constantFrom(...keys)
const replica = fc.nat({ max: 1 })
const status = fc.constantFrom(3, 4, 7, 8, 13, 14)

function failure({ code, done }: { readonly code: number; readonly done: number | undefined }): EntryFault {
  const error = callError(code)
  if (code === 3 || code === 7) return { error, carriedOut: 0 }
  return done === undefined ? { error } : { error, carriedOut: done }
}

const fault: fc.Arbitrary<EntryFault | 'stall'> = fc.oneof(
  fc.constant('stall' as const),
  // The call fails; how much of it was carried out before, nobody is told. A server that refuses carries nothing out.
  fc.record({ code: status, done: fc.option(fc.nat({ max: 4 }), { nil: undefined }) }).map(failure),
  fc.uniqueArray(fc.nat({ max: 4 }), { maxLength: 3 }).map((places) => ({ poison: new Set(places) })),
)

type Step =
  | { readonly do: 'object'; readonly key: string; readonly object: WorldObject | undefined }
  | { readonly do: 'deliver'; readonly replica: number; readonly key: string }
  | { readonly do: 'relist' | 'lead' | 'stop' | 'crash'; readonly replica: number }
  | { readonly do: 'configure' | 'release' }
  | { readonly do: 'pass'; readonly time: number }
  | { readonly do: 'fault'; readonly fault: EntryFault | 'stall' }
  /** Somebody else deletes, changes or copies one of the registrar's entries. */
  | {
      readonly do: 'meddle'
      readonly place: number
      readonly how: 'delete' | 'names' | 'id' | 'parent' | 'selectors' | 'copy'
    }
  /** Somebody makes an entry of their own for a pod. */
  | { readonly do: 'foreign'; readonly key: string; readonly variant: number; readonly isAdmin: boolean }

const object: fc.Arbitrary<WorldObject | undefined> = fc.option(
  fc.record({
    uid: fc.constantFrom('u1', 'u2', 'u3'),
    wants: fc.constantFrom('entry', 'entry', 'entry', 'none', 'problem'),
    variant: fc.nat({ max: 2 }),
  }),
  { nil: undefined, freq: 4 },
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('object' as const), key, object }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('deliver' as const), replica, key }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(50, 250, 2000, 700_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fault' as const), fault }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('relist' as const, 'lead' as const, 'stop' as const, 'crash' as const),
      replica,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('configure' as const, 'release' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('meddle' as const),
      place: fc.nat({ max: 9 }),
      how: fc.constantFrom(
        'delete' as const,
        'names' as const,
        'id' as const,
        'parent' as const,
        'selectors' as const,
        'copy' as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('foreign' as const),
      key,
      variant: fc.nat({ max: 2 }),
      isAdmin: fc.boolean(),
    }),
  },
)

function meddle(world: SyncWorld, { place, how }: Step & { do: 'meddle' }): void {
  const owned = world.store.all().filter((entry) => keyOf(entry) !== undefined)
  const entry = owned[place % Math.max(owned.length, 1)]
  if (entry === undefined) return
  const other = keys[place % keys.length] ?? ''
  if (how === 'delete') world.store.delete(entry.id)
  else if (how === 'copy')
    world.store.create({ ...entry, id: '', spiffeId: `${entry.spiffeId}-copy`, parentId: `${root}/n9` })
  else {
    const change = {
      names: { dnsNames: ['meddled.example.org'] },
      id: { spiffeId: 'spiffe://example.org/meddled' },
      parent: { parentId: `${root}/meddled` },
      selectors: { selectors: specOf(other, { uid: '', wants: 'entry', variant: 0 }, 0).selectors },
    }[how]
    world.store.update(entry.id, change)
  }
}

/** What a registrar must leave as it is: what others made, whatever the registrar thinks of it. */
function foreignOf(world: SyncWorld): string {
  const foreign = world.store.all().filter(({ hint }) => hint === 'theirs')
  return JSON.stringify(foreign, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

async function take(world: SyncWorld, replicas: readonly Replica[], step: Step): Promise<void> {
  const of = (place: number): Replica => replicas[place] as Replica
  switch (step.do) {
    case 'object':
      if (step.object === undefined) world.objects.delete(step.key)
      else world.objects.set(step.key, step.object)
      return
    case 'deliver':
      world.deliver(of(step.replica), step.key)
      return
    case 'relist':
      for (const key of keys) world.deliver(of(step.replica), key)
      return
    case 'lead':
      world.lead(of(step.replica))
      return
    case 'stop':
      await world.stop(of(step.replica))
      return
    case 'crash':
      await world.crash(of(step.replica))
      return
    case 'configure':
      world.configuration++
      for (const { engine } of replicas) engine.markAll()
      return
    case 'release':
      world.release()
      return
    case 'pass':
      await world.pass(Math.min(step.time, 2000))
      if (step.time > 2000) world.clock.advance(step.time)
      return
    case 'fault':
      world.faults.push(step.fault)
      return
    case 'meddle':
      meddle(world, step)
      return
    case 'foreign': {
      const spec = specOf(step.key, { uid: '', wants: 'entry', variant: step.variant }, world.configuration)
      // Of the same kind as a pod's own, or under a parent that is nobody's here.
      world.store.create(
        step.isAdmin
          ? { ...spec, admin: true, hint: 'theirs' }
          : {
              ...spec,
              hint: 'theirs',
              spiffeId: 'spiffe://example.org/theirs',
              parentId: 'spiffe://example.org/spire/agent/theirs',
            },
      )
    }
  }
}

/** Everybody sees everything, what could not be rendered can, nothing fails any more, and time passes. */
async function calmDown(world: SyncWorld, replicas: readonly Replica[]): Promise<void> {
  world.faults.length = 0
  world.release()
  for (const [key, object] of world.objects) {
    if (object.wants === 'problem') world.objects.set(key, { ...object, wants: 'entry' })
  }
  const [first, second] = replicas
  if (first !== undefined && replicas.every(({ leading }) => leading === undefined)) world.lead(first)
  // Two that lead and hold one entry for that of different objects would write it by turns for ever; their lease ends it.
  if (first?.leading !== undefined && second !== undefined) await world.stop(second)
  for (const replica of replicas) for (const key of keys) world.deliver(replica, key)
  for (let round = 0; round < 4; round++) {
    await world.pass(1500)
    world.clock.advance(verifyInterval)
  }
  await world.pass(1500)
}

/** What is not as it should be in the end, by key. */
function divergences(world: SyncWorld, unjudged: ReadonlySet<string> = new Set()): readonly string[] {
  const strays = world.store.all().filter((entry) => keyOf(entry)?.startsWith('entry/') === true)
  return [
    ...strays.map(({ id }) => `${id} belongs to nothing`),
    ...keys.filter((key) => !unjudged.has(key)).flatMap((key) => divergence(world, key) ?? []),
  ]
}

function divergence(world: SyncWorld, key: string): string | undefined {
  const rendering = world.render(key, world.objects.get(key))
  const owned = world.ownedBy(key)
  if (rendering.is === 'none')
    return owned.length === 0 ? undefined : `${key} has ${owned.length} entries and wants none`
  if (rendering.is !== 'entry') return undefined
  const [entry] = owned
  // The server holds one of a kind.
  if (entry === undefined) return isTaken(world, rendering.spec) ? undefined : `${key} has no entry`
  if (owned.length > 1) return `${key} has ${owned.length} entries`
  const fields = differingFields(entry, rendering.spec)
  return fields.length === 0 ? undefined : `${key} differs in ${fields.join()}`
}

/** Whether somebody else has an entry of the same SPIFFE ID, parent and selectors. */
function isTaken(world: SyncWorld, spec: EntrySpec): boolean {
  const { spiffeId, parentId, selectors } = spec
  return world.store
    .all()
    .filter((entry) => keyOf(entry) === undefined)
    .some((entry) => differingFields({ ...entry, spiffeId, parentId, selectors }, entry).length === 0)
}

test.each([true, false])(
  'any order of events, crashes, partial failures, unknown outcomes, lost watches and two leaders converges, and touches nothing foreign (client ids: %s)',
  async (takesClientIds) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
        const world = new SyncWorld({ takesClientIds })
        const replicas = [world.replica(), world.replica()]
        try {
          for (const [place, key] of keys.entries()) {
            world.objects.set(key, { uid: 'u0', wants: 'entry', variant: place % 3 })
            for (const replica of replicas) world.deliver(replica, key)
          }
          world.lead(replicas[0] as Replica)
          let foreign = foreignOf(world)
          const touched: Step[] = []
          for (const step of steps) {
            // Without an id that tells whose it is, it would be nobody's.
            if (!takesClientIds && step.do === 'meddle' && (step.how === 'id' || step.how === 'parent')) continue
            await take(world, replicas, step)
            const now = foreignOf(world)
            // Only others make entries of their own.
            if (step.do !== 'foreign' && now !== foreign) touched.push(step)
            foreign = now
          }
          await calmDown(world, replicas)
          expect(touched).toEqual([])
          expect(foreignOf(world)).toBe(foreign)
          expect(divergences(world)).toEqual([])
        } finally {
          world.release()
          for (const replica of replicas) await world.stop(replica)
        }
      }),
      { numRuns: Number(process.env['SYNC_RUNS'] ?? 150) },
    )
  },
  120_000,
)

const ownStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('object' as const), key, object }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(50, 250, 2000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('fault' as const), fault }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
)

test('a single registrar converges from events alone, without another listing, whatever becomes of its calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ownStep, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
      const world = new SyncWorld({ verifyInterval: 1e9 })
      const registrar = world.replica()
      try {
        world.lead(registrar)
        await world.settle()
        for (const step of steps) {
          await take(world, [registrar], step)
          if (step.do === 'object') world.deliver(registrar, step.key)
        }
        world.faults.length = 0
        world.release()
        const isProblem = keys.filter((key) => world.objects.get(key)?.wants === 'problem')
        // Longer than the longest wait between two attempts.
        for (let round = 0; round < 8; round++) {
          await world.pass(1500)
          world.clock.advance(450_000)
        }
        await world.pass(1500)
        expect(divergences(world, new Set(isProblem))).toEqual([])
        expect(world.entries.calls.filter(({ method }) => method === 'list').length).toBeLessThanOrEqual(1)
      } finally {
        world.release()
        await world.stop(registrar)
      }
    }),
    { numRuns: Number(process.env['SYNC_RUNS'] ?? 150) },
  )
}, 120_000)
