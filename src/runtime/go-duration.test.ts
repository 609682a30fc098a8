import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DurationError, formatGoDuration, parseGoDuration } from './go-duration.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
/** The longest duration: 63 bits of nanoseconds. */
const limit = 2 ** 63 / 1e6

test.each([
  ['0', 0],
  ['+0', 0],
  ['-0', 0],
  ['0s', 0],
  ['5s', 5 * second],
  ['30s', 30 * second],
  ['1478s', 1478 * second],
  ['-5s', -5 * second],
  ['+5s', 5 * second],
  ['5.0s', 5 * second],
  ['5.s', 5 * second],
  ['.5s', 0.5 * second],
  ['-.5s', -0.5 * second],
  ['2.3s', 2300],
  ['10ns', 1e-5],
  ['11us', 0.011],
  ['12µs', 0.012],
  ['12\u03bcs', 0.012],
  ['13ms', 13],
  ['14s', 14 * second],
  ['15m', 15 * minute],
  ['16h', 16 * hour],
  ['3h30m', 3.5 * hour],
  ['10.5s4m', 4 * minute + 10.5 * second],
  ['-2m3.4s', -(2 * minute + 3.4 * second)],
  ['1h2m3s4ms5us6ns', hour + 2 * minute + 3 * second + 4.005006],
  ['39h9m14.425s', 39 * hour + 9 * minute + 14.425 * second],
  ['0.5ns0.5ns', 0],
  ['0.100000000000000000000h', 0.1 * hour],
  ['0.830103483285477580700h', 2988372.539827],
  ['0.3333333333333333333h', hour / 3],
  ['9007199254.740993s', Number('9007199254740.993')],
  ['9223372036854775807ns', limit],
  ['-9223372036854775808ns', -limit],
  ['0009223372036854775807ns', limit],
  ['2562047h47m16.854775807s', limit],
])('the duration %j is %d milliseconds, as in Go', (text, milliseconds) => {
  expect(parseGoDuration(text)).toBe(milliseconds)
})

test.each([
  ['', 'invalid duration ""'],
  ['3', 'missing unit in duration "3"'],
  ['1h3', 'missing unit in duration "1h3"'],
  ['1..2s', 'missing unit in duration "1..2s"'],
  ['-', 'invalid duration "-"'],
  ['s', 'invalid duration "s"'],
  ['.', 'invalid duration "."'],
  ['-.', 'invalid duration "-."'],
  ['.s', 'invalid duration ".s"'],
  ['+.s', 'invalid duration "+.s"'],
  ['--5s', 'invalid duration "--5s"'],
  [' 5s', 'invalid duration " 5s"'],
  ['1e3s', 'unknown unit "e" in duration "1e3s"'],
  ['5d', 'unknown unit "d" in duration "5d"'],
  ['1S', 'unknown unit "S" in duration "1S"'],
  ['1h 5m', 'unknown unit "h " in duration "1h 5m"'],
  ['1constructor', 'unknown unit "constructor" in duration "1constructor"'],
  ['1x"\\', String.raw`unknown unit "x\"\\" in duration "1x\"\\"`],
  ['3\u0000', String.raw`unknown unit "\x00" in duration "3\x00"`],
  ['1é\n', String.raw`unknown unit "\xc3\xa9\x0a" in duration "1\xc3\xa9\x0a"`],
  ['9223372036854775808ns', 'invalid duration "9223372036854775808ns"'],
  ['9223372036854775.808us', 'invalid duration "9223372036854775.808us"'],
  ['-9223372036854775809ns', 'invalid duration "-9223372036854775809ns"'],
  ['-9223372036854775808ns1ns', 'invalid duration "-9223372036854775808ns1ns"'],
  ['99999999999999999999', 'invalid duration "99999999999999999999"'],
  ['3000000h', 'invalid duration "3000000h"'],
])('%j is no duration, in the words of Go', (text, message) => {
  expect(() => parseGoDuration(text)).toThrow(new DurationError(`time: ${message}`))
})

test.each([
  [0, '0s'],
  [1e-6, '1ns'],
  [0.0011, '1.1µs'],
  [2.2, '2.2ms'],
  [3300, '3.3s'],
  [5 * minute, '5m0s'],
  [5 * minute + 1, '5m0.001s'],
  [minute + 1e-6, '1m0.000000001s'],
  [5 * hour + 6 * minute + 7001, '5h6m7.001s'],
  [hour / 3, '20m0s'],
  [720 * hour, '720h0m0s'],
  [8760 * hour, '8760h0m0s'],
])('%d milliseconds are written as Go writes them', (milliseconds, text) => {
  expect(formatGoDuration(milliseconds)).toBe(text)
})

test('what is written is read as the same, to the nanosecond where milliseconds in floating point hold it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e15 }), (nanoseconds) => {
      const milliseconds = nanoseconds / 1e6
      expect(Math.round(parseGoDuration(formatGoDuration(milliseconds)) * 1e6)).toBe(Math.round(milliseconds * 1e6))
    }),
  )
})

test('parts add up in any order, and a sign turns all of them', () => {
  const part = fc.tuple(
    fc.integer({ min: 0, max: 1000 }),
    fc.constantFrom(['ms', 1] as const, ['s', second] as const, ['m', minute] as const, ['h', hour] as const),
  )
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const text = parts.map(([count, [unit]]) => `${count}${unit}`).join('')
      const sum = parts.reduce((total, [count, [, scale]]) => total + count * scale, 0)
      expect(parseGoDuration(text)).toBe(sum)
      expect(parseGoDuration(`-${text}`)).toBe(sum === 0 ? 0 : -sum)
    }),
  )
})

test('every text is a finite duration or a DurationError', () => {
  const pieces = fc.constantFrom('0', '9', '17', '.', '-', '+', 'ns', 'us', 'µs', 'ms', 's', 'm', 'h', 'd', ' ', '"')
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 12 }).map((found) => found.join('')),
  )
  const read = (text: string): number => {
    try {
      return parseGoDuration(text)
    } catch (error) {
      if (error instanceof DurationError) return 0
      throw error
    }
  }
  fc.assert(
    fc.property(texts, (text) => {
      expect(Number.isFinite(read(text))).toBe(true)
    }),
  )
})

test('a number with a hundred thousand digits is refused, or read, without computing with all of them', () => {
  const digits = '1'.repeat(100_000)
  expect(() => parseGoDuration(`${digits}s`)).toThrow(DurationError)
  expect(parseGoDuration(`${'0'.repeat(100_000)}7s`)).toBe(7 * second)
  expect(parseGoDuration(`0.5${'0'.repeat(100_000)}s`)).toBe(0.5 * second)
})
