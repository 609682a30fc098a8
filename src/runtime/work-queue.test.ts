import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock, settled } from '../kubernetes/fixtures/manual-clock.ts'
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts'

function queueOf(work: WorkQueueOptions['work'], more: Partial<WorkQueueOptions> = {}) {
  const clock = new ManualClock()
  const failures: string[] = []
  const queue = new WorkQueue({
    work,
    workers: 2,
    onFailure: (key) => void failures.push(key),
    clock,
    random: () => 0,
    ...more,
  })
  return { queue, clock, failures }
}

describe('a key', () => {
  test('that is added while it waits is worked on once', async () => {
    const done: string[] = []
    const { queue } = queueOf(async (key) => void done.push(key))
    for (const key of ['a', 'b', 'a', 'b', 'a']) queue.add(key)
    await settled()
    expect(done).toEqual(['a', 'b'])
  })

  test('that is added while it is worked on is worked on again, and never twice at once', async () => {
    const started: PromiseWithResolvers<void>[] = []
    const { queue } = queueOf(async () => {
      const gate = Promise.withResolvers<void>()
      started.push(gate)
      await gate.promise
      return undefined
    })
    queue.add('a')
    await settled()
    queue.add('a')
    queue.add('a')
    await settled()
    expect(started).toHaveLength(1)
    started[0]?.resolve()
    await settled()
    expect(started).toHaveLength(2)
    started[1]?.resolve()
    await settled()
    expect({ started: started.length, working: queue.working }).toEqual({ started: 2, working: 0 })
  })

  test('whose work fails is worked on again, each time later, and the failure is told', async () => {
    const times: number[] = []
    const { queue, clock, failures } = queueOf(async () => {
      times.push(clock.now())
      if (times.length < 4) throw new Error('no')
      return undefined
    })
    const start = clock.now()
    queue.add('a')
    await clock.advance(60_000)
    expect(times.map((time) => time - start)).toEqual([0, 20, 60, 140])
    expect(failures).toEqual(['a', 'a', 'a'])
  })

  test('whose work names a time is worked on then, or sooner where it is added', async () => {
    const times: number[] = []
    const { queue, clock } = queueOf(async () => {
      times.push(clock.now())
      return 1_000
    })
    const start = clock.now()
    queue.add('a')
    await clock.advance(1_500)
    queue.add('a')
    await clock.advance(999)
    expect(times.map((time) => time - start)).toEqual([0, 1_000, 1_500])
    await clock.advance(1)
    expect(times).toHaveLength(4)
  })

  test('that is forgotten is not worked on', async () => {
    const done: string[] = []
    const { queue, clock } = queueOf(async (key) => {
      done.push(key)
      return 100
    })
    queue.add('a')
    queue.forget('a')
    queue.add('b')
    await settled()
    queue.forget('b')
    await clock.advance(1_000)
    expect(done).toEqual(['b'])
  })
})

test('closing aborts what has begun, waits for it, and begins nothing more', async () => {
  const done: string[] = []
  const { queue, failures } = queueOf(async (key, signal) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    done.push(key)
    throw new Error('aborted')
  })
  for (const key of ['a', 'b', 'c']) queue.add(key)
  await settled()
  await queue.close()
  queue.add('d')
  await settled()
  expect({ done, failures }).toEqual({ done: ['a', 'b'], failures: [] })
})

test('whatever happens when, the last state of each key is worked on, within the number of workers', async () => {
  const step = fc.oneof(
    fc.record({ is: fc.constant('change' as const), key: fc.constantFrom('a', 'b', 'c', 'd', 'e') }),
    fc.record({ is: fc.constant('wait' as const), time: fc.nat(200) }),
    fc.constant({ is: 'finish' as const }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.array(fc.boolean(), { maxLength: 40 }),
      async (steps, fails) => {
        const wanted = new Map<string, number>()
        const reached = new Map<string, number>()
        const running = new Set<string>()
        const gates: (() => void)[] = []
        const outcomes = [...fails]
        const { queue, clock } = queueOf(async (key) => {
          expect(running.has(key)).toBe(false)
          running.add(key)
          expect(running.size).toBeLessThanOrEqual(2)
          const seen = wanted.get(key) ?? 0
          await new Promise<void>((resolve) => gates.push(resolve))
          running.delete(key)
          if (outcomes.pop() === true) throw new Error('no')
          reached.set(key, seen)
          return undefined
        })
        for (const one of steps) {
          if (one.is === 'change') {
            wanted.set(one.key, (wanted.get(one.key) ?? 0) + 1)
            queue.add(one.key)
          } else if (one.is === 'finish') gates.shift()?.()
          else await clock.advance(one.time)
          await settled()
        }
        for (let round = 0; round < 60; round++) {
          for (const gate of gates.splice(0)) gate()
          await clock.advance(60_000)
        }
        expect(reached).toEqual(wanted)
        await queue.close()
      },
    ),
    { numRuns: 60 },
  )
})
