import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatCount, formatSpan, formatTime, paint, plural, wrap } from './look.ts'

test('a line is no longer than the width, but for a word that is', () => {
  const word = fc.stringMatching(/^[a-z]{1,30}$/)
  fc.assert(
    fc.property(fc.array(word), fc.integer({ min: 1, max: 40 }), (words, width) => {
      const lines = wrap(words.join(' '), width)
      expect(lines.join(' ')).toBe(words.join(' '))
      for (const line of lines) expect(line.length <= width || !line.includes(' ')).toBe(true)
    }),
  )
})

test('control characters of a manifest do not reach the terminal', () => {
  expect(wrap('a\u001b[31m\u0007b\r\nc', 80).join('')).toBe('a\ufffd[31m\ufffdb\ufffd\ufffdc')
})

test('text is only painted where colour is wanted', () => {
  expect(paint({ width: 80, colour: false }, 'red', 'x')).toBe('x')
  expect(paint({ width: 80, colour: true }, 'red', 'x')).toBe('\u001b[31mx\u001b[39m')
})

test('numbers, spans and times are written for people', () => {
  expect(formatCount(1234567)).toBe('1,234,567')
  expect([plural(1, 'pod'), plural(2, 'pod')]).toEqual(['1 pod', '2 pods'])
  expect([84.4, 1300, 20_000, 300_000, 7_200_000].map(formatSpan)).toEqual(['84 ms', '1.3 s', '20 s', '5 min', '2 h'])
  expect(formatTime({ width: 80, colour: false, timeZone: 'UTC' }, Date.UTC(2026, 0, 1, 23, 5, 9))).toBe('23:05:09')
})
