import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineSplitter, LineTooLongError } from './json-lines.ts'

/** Cuts bytes at the given places, as the network does. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...sorted, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : sorted[index - 1], end))
}

test('the lines are the same wherever the chunks are cut, also inside characters', () => {
  fc.assert(
    fc.property(fc.array(fc.json()), fc.array(fc.nat()), (values, places) => {
      const bytes = Buffer.from(values.map((value) => `${value}\n`).join(''))
      const splitter = new LineSplitter(1 << 20)
      const lines = cut(bytes, places).flatMap((chunk) => splitter.push(chunk))
      expect(lines.map(String)).toEqual(values)
      expect(splitter.pending).toBe(0)
    }),
  )
})

test('an unfinished line is not given out and is counted', () => {
  const splitter = new LineSplitter(100)
  expect(splitter.push(Buffer.from('{"a":1}\n{"b"')).map(String)).toEqual(['{"a":1}'])
  expect(splitter.pending).toBe(4)
  expect(splitter.push(Buffer.from(':2}\n')).map(String)).toEqual(['{"b":2}'])
  expect(splitter.pending).toBe(0)
})

test('blank lines are left out', () => {
  expect(new LineSplitter(100).push(Buffer.from('\n\na\n\n')).map(String)).toEqual(['a'])
})

test('a line that is too long is refused before it is complete', () => {
  const splitter = new LineSplitter(8)
  splitter.push(Buffer.from('12345678'))
  expect(() => splitter.push(Buffer.from('9'))).toThrow(LineTooLongError)
})

test('lines of the greatest length pass, any number of them in one chunk', () => {
  expect(new LineSplitter(4).push(Buffer.from('1234\n5678\n'))).toHaveLength(2)
})
