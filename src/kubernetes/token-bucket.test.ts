import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock, settled } from './fixtures/manual-clock.ts'
import { rateLimit, refilled } from './token-bucket.ts'

const never = new AbortController().signal

/** When each of a number of calls that come at once may go, in milliseconds from now. */
async function turns(calls: number, qps: number, burst: number): Promise<number[]> {
  const clock = new ManualClock()
  const start = clock.now()
  const turn = rateLimit(qps, burst, clock)
  const times: number[] = []
  for (let call = 0; call < calls; call += 1) void turn(never).then(() => times.push(clock.now() - start))
  await clock.advance((calls / qps) * 1000 + 1)
  return times
}

test('a burst goes at once, the rest at the rate', async () => {
  expect(await turns(6, 10, 3)).toEqual([0, 0, 0, 100, 200, 300])
})

test('in no stretch of time go more calls than burst and rate allow', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 10 }),
      async (calls, qps, burst) => {
        const times = await turns(calls, qps, burst)
        expect(times).toHaveLength(calls)
        for (const [first, from] of times.entries()) {
          for (const [last, to] of times.entries()) {
            if (last < first) continue
            expect(last - first + 1).toBeLessThanOrEqual(burst + ((to - from) / 1000) * qps + 1e-3)
          }
        }
      },
    ),
    { numRuns: 30 },
  )
})

test('no rate, no wait', async () => {
  const turn = rateLimit(0, 0, new ManualClock())
  const turns = Promise.all(Array.from({ length: 1000 }, () => turn(never)))
  await expect(turns).resolves.toHaveLength(1000)
})

test('who aborts while waiting gives the turn back', async () => {
  const clock = new ManualClock()
  const turn = rateLimit(1, 1, clock)
  await turn(never)
  const impatient = new AbortController()
  const second = turn(impatient.signal)
  impatient.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  let went = false
  void turn(never).then(() => {
    went = true
  })
  await clock.advance(999)
  expect(went).toBe(false)
  await clock.advance(2)
  await settled()
  expect(went).toBe(true)
})

test('a clock that goes back refills nothing and takes nothing', () => {
  const size = { capacity: 5, refill: 1 }
  expect(refilled({ tokens: 2, at: 10_000 }, 4_000, size)).toEqual({ tokens: 2, at: 4_000 })
  expect(refilled({ tokens: 2, at: 10_000 }, 11_000, size)).toEqual({ tokens: 3, at: 11_000 })
  expect(refilled({ tokens: 2, at: 10_000 }, 99_000, size)).toEqual({ tokens: 5, at: 99_000 })
})
