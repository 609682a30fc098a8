import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { median, percentile, slope } from './statistics.ts'

// To Object.is, -0 is less than 0 and yet as great.
const number = fc.double({ min: -1e6, max: 1e6, noNaN: true }).filter((value) => !Object.is(value, -0))
const numbers = fc.array(number, { minLength: 1 })

describe('percentile', () => {
  test('the median of an even count lies between the two in the middle', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  test('the 95th of 21 evenly spread values is the 20th', () => {
    expect(
      percentile(
        Array.from({ length: 21 }, (_, index) => index),
        95,
      ),
    ).toBe(19)
  })

  test('of nothing is not a number', () => {
    expect(percentile([], 50)).toBeNaN()
  })

  test('lies between the least and the greatest, which are the 0th and the 100th, and grows with its share', () => {
    fc.assert(
      fc.property(numbers, fc.nat(100), fc.nat(100), (samples, one, other) => {
        expect(percentile(samples, 0)).toBe(Math.min(...samples))
        expect(percentile(samples, 100)).toBe(Math.max(...samples))
        const [low, high] = [Math.min(one, other), Math.max(one, other)]
        expect(percentile(samples, low)).toBeLessThanOrEqual(percentile(samples, high) + 1e-6)
      }),
    )
  })

  test('does not depend on the order of the samples, and leaves them as they were', () => {
    fc.assert(
      fc.property(numbers, fc.nat(100), (samples, share) => {
        const before = [...samples]
        expect(percentile([...samples].reverse(), share)).toBe(percentile(samples, share))
        expect(samples).toEqual(before)
      }),
    )
  })
})

describe('slope', () => {
  test('of points on a line is that of the line', () => {
    const points = [1, 2, 5, 9].map((x) => ({ x, y: 3 * x - 7 }))
    expect(slope(points)).toBeCloseTo(3)
  })

  test('of one point is not a number', () => {
    expect(slope([{ x: 1, y: 1 }])).toBeNaN()
  })
})
