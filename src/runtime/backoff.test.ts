import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffDelay } from './backoff.ts'

const bare = { first: 1000, cap: 60_000, jitter: 0 }

test('the wait doubles up to its cap', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backoffDelay(failures, bare))
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
})

test('another factor grows otherwise, and a factor of 1 not at all', () => {
  expect(backoffDelay(3, { ...bare, factor: 3 })).toBe(9000)
  expect(backoffDelay(50, { ...bare, factor: 1 })).toBe(1000)
})

test('jitter only adds, up to half where nothing is said', () => {
  const options = { first: 1000, cap: 60_000 }
  expect(backoffDelay(1, { ...options, random: () => 0 })).toBe(1000)
  expect(backoffDelay(1, { ...options, random: () => 0.5 })).toBe(1250)
  expect(backoffDelay(9, { ...options, random: () => 0.5 })).toBe(75_000)
  expect(backoffDelay(1, { ...options, jitter: 1, random: () => 0.5 })).toBe(1500)
})

test('whatever the numbers, a wait is finite, at least the first, and at most the cap and its jitter', () => {
  const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.integer({ min: 1, max: 1e6 }),
      fc.nat(1e7),
      unit,
      unit,
      (failures, first, more, jitter, random) => {
        const cap = first + more
        const wait = backoffDelay(failures, { first, cap, jitter, random: () => random })
        expect(wait).toBeGreaterThanOrEqual(first)
        expect(wait).toBeLessThanOrEqual(cap * (1 + jitter))
      },
    ),
  )
})

test('without a source of randomness two waits differ', () => {
  const waits = Array.from({ length: 20 }, () => backoffDelay(1, { first: 1000, cap: 1000 }))
  expect(new Set(waits).size).toBeGreaterThan(1)
})
