import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock, settled } from '../../kubernetes/fixtures/manual-clock.ts'
import { type Outcome, RequestQueue } from './request-queue.ts'

test('a key is worked on by one at a time, and always once more with its latest state', async () => {
  const commands = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('offer' as const), key: fc.integer({ min: 0, max: 3 }) }),
      fc.record({
        do: fc.constant('end' as const),
        key: fc.integer({ min: 0, max: 3 }),
        outcome: fc.constantFrom<Outcome>('done', 'again'),
      }),
      fc.constant({ do: 'wake' as const }),
      fc.constant({ do: 'wait' as const }),
    ),
    { maxLength: 60 },
  )
  await fc.assert(
    fc.asyncProperty(commands, async (steps) => {
      const clock = new ManualClock()
      const running = new Map<string, { readonly version: number; readonly end: (outcome: Outcome) => void }>()
      const latest = new Map<string, number>()
      const seen = new Map<string, number>()
      const queue = new RequestQueue<{ key: string; version: number }>({
        clock,
        random: () => 0,
        slots: 2,
        work: ({ key, version }) => {
          expect(running.has(key), 'one worker').toBe(false)
          expect(running.size, 'slots').toBeLessThan(2)
          expect(version, 'the latest').toBe(latest.get(key))
          seen.set(key, version)
          return new Promise((resolve) => running.set(key, { version, end: resolve }))
        },
      })
      const end = async (key: string, outcome: Outcome): Promise<void> => {
        const worker = running.get(key)
        running.delete(key)
        worker?.end(outcome)
        await settled()
      }
      for (const [version, step] of steps.entries()) {
        if (step.do === 'offer') {
          latest.set(String(step.key), version)
          queue.offer(String(step.key), { key: String(step.key), version })
        } else if (step.do === 'end') await end(String(step.key), step.outcome)
        else if (step.do === 'wake') queue.wake()
        else await clock.advance(60_000)
        await settled()
      }
      while (running.size > 0) for (const key of running.keys()) await end(key, 'done')
      expect(seen).toEqual(latest)
      await clock.advance(600_000)
      await settled()
      while (running.size > 0) for (const key of running.keys()) await end(key, 'done')
      expect(queue.size).toBe(0)
      await queue.close()
    }),
  )
})

test('what cannot be done yet is tried again, and at once when it is woken', async () => {
  const clock = new ManualClock()
  let looks = 0
  const queue = new RequestQueue<string>({
    clock,
    random: () => 0,
    work: () => {
      looks += 1
      return Promise.resolve('again')
    },
  })
  queue.offer('a', 'a')
  await settled()
  expect(looks).toBe(1)
  await clock.advance(1_000)
  await settled()
  expect(looks).toBe(2)
  queue.wake()
  await settled()
  expect(looks).toBe(3)
  queue.forget('a')
  await clock.advance(600_000)
  await settled()
  expect([looks, queue.size]).toEqual([3, 0])
})
