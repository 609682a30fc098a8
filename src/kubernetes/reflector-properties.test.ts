import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock, settled } from './fixtures/manual-clock.ts'
import { type Fault, ObjectStore } from './fixtures/object-store.ts'
import type { KubernetesObject } from './object.ts'
import { Reflector } from './reflector.ts'
import { configMaps } from './resource.ts'

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ is: fc.constant('none' as const) }),
  fc.record({
    is: fc.constant('refused' as const),
    status: fc.constantFrom(400, 401, 403, 404, 410, 422, 429, 500, 503, 504),
  }),
  fc.record({ is: fc.constant('unreachable' as const) }),
  fc.record({ is: fc.constantFrom('ends' as const, 'breaks' as const, 'expires' as const), after: fc.nat(4) }),
)

const name = fc.constantFrom('a', 'b', 'c', 'd')

const step = fc.oneof(
  fc.record({ is: fc.constant('put' as const), name }),
  fc.record({ is: fc.constant('remove' as const), name }),
  fc.record({ is: fc.constant('compact' as const) }),
  fc.record({ is: fc.constant('pause' as const), milliseconds: fc.nat(20_000) }),
)

const plan = fc.record({
  steps: fc.array(step, { maxLength: 60 }),
  faults: fc.array(fault, { maxLength: 40 }),
  streamingList: fc.boolean(),
  pageSize: fc.integer({ min: 1, max: 3 }),
})

function identity({ metadata }: KubernetesObject): string {
  return `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`
}

/** A reflector over a store, and how often it has asked for something. */
function reflect(faults: () => Fault) {
  const clock = new ManualClock()
  const seen = { requests: 0, troubles: 0 }
  const store = new ObjectStore(() => {
    seen.requests += 1
    return faults()
  })
  const reflector = new Reflector<KubernetesObject, string>({
    client: store.client,
    resource: configMaps,
    clock,
    random: () => 0.5,
    transform: identity,
    onTrouble: () => {
      seen.troubles += 1
    },
  })
  return { clock, seen, store, reflector }
}

test.each<Fault>([
  { is: 'ends', after: 0 },
  { is: 'breaks', after: 0 },
  { is: 'expires', after: 0 },
  { is: 'unreachable' },
  { is: 'refused', status: 403 },
  { is: 'refused', status: 410 },
])('a server that always does the same (%o) is asked less and less', async (fault) => {
  const { clock, seen, reflector } = reflect(() => fault)
  await clock.advance(600_000)
  const before = seen.requests
  await clock.advance(600_000)
  expect(seen.requests - before).toBeGreaterThan(10)
  expect(seen.requests - before).toBeLessThan(150)
  await reflector.close()
})

test('trouble after a long time of peace is met with a short wait', async () => {
  let fault: Fault = { is: 'unreachable' }
  const { clock, seen, reflector, store } = reflect(() => fault)
  await clock.advance(600_000)
  fault = { is: 'none' }
  await clock.advance(60_000)
  store.put('a')
  await settled()
  fault = { is: 'refused', status: 500 }
  store.put('b')
  store.compact()
  const before = seen.requests
  await clock.advance(2_000)
  expect(seen.requests - before).toBeGreaterThan(1)
  await reflector.close()
})

test('a watch that the server does not end is ended soon after its time, and resumed', async () => {
  const { clock, seen, reflector } = reflect(() => ({ is: 'none' }))
  await reflector.synced
  await clock.advance(500_000)
  expect(seen).toEqual({ requests: 1, troubles: 0 })
  await clock.advance(100_000)
  expect(seen.requests).toBe(2)
  await reflector.close()
})

test('whatever goes wrong, in the end the reflector holds what there is, and has told each change in its order', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ steps, faults, streamingList, pageSize }) => {
      const clock = new ManualClock()
      const pending = [...faults]
      const store = new ObjectStore(() => pending.shift() ?? { is: 'none' })
      const known = new Map<string, string>()
      const wrong: string[] = []
      const reflector = new Reflector<KubernetesObject, string>({
        client: store.client,
        resource: configMaps,
        clock,
        random: () => 0.5,
        streamingList,
        pageSize,
        transform: identity,
        handler: {
          added({ metadata }, kept) {
            if (known.has(metadata.name ?? '')) wrong.push(`added twice: ${kept}`)
            known.set(metadata.name ?? '', kept)
          },
          modified({ metadata }, kept, before) {
            if (known.get(metadata.name ?? '') !== before) wrong.push(`modified from ${before}, which was not there`)
            if (kept === before) wrong.push(`told twice: ${kept}`)
            known.set(metadata.name ?? '', kept)
          },
          deleted(kept) {
            const [name = ''] = kept.split(' ')
            if (known.get(name) !== kept) wrong.push(`deleted ${kept}, which was not there`)
            known.delete(name)
          },
        },
      })
      for (const action of steps) {
        if (action.is === 'put') store.put(action.name)
        if (action.is === 'remove') store.remove(action.name)
        if (action.is === 'compact') store.compact()
        if (action.is === 'pause') await clock.advance(action.milliseconds)
        else await settled()
      }
      pending.length = 0
      await clock.advance(60_000)
      const truth = [...store.objects.values()].map(identity).sort()
      expect(wrong).toEqual([])
      expect([...reflector.values()].sort()).toEqual(truth)
      expect([...known.values()].sort()).toEqual(truth)
      expect(reflector.hasSynced).toBe(true)
      await reflector.close()
      store.put('after the end')
      await clock.advance(60_000)
      expect(known.has('after the end')).toBe(false)
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 300 },
  )
}, 60_000)
