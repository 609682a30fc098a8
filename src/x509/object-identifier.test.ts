import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readDer, readOid } from './der-reader.ts'
import { encode, oid } from './der-writer.ts'
import { isObjectIdentifier } from './object-identifier.ts'

test('every object identifier can be written and is read back', () => {
  const arc = fc.bigInt({ min: 0n, max: 2n ** 128n })
  const first = fc.oneof(
    fc.tuple(fc.constantFrom(0n, 1n), fc.bigInt({ min: 0n, max: 39n })),
    fc.tuple(fc.constant(2n), arc),
  )
  fc.assert(
    fc.property(first, fc.array(arc, { maxLength: 5 }), (first, arcs) => {
      const dotted = [...first, ...arcs].join('.')
      expect(isObjectIdentifier(dotted)).toBe(true)
      expect(readOid(readDer(encode(oid(dotted))))).toBe(dotted)
    }),
  )
})

describe('is none', () => {
  test.each([
    '',
    '1',
    '.',
    '1.',
    '.1',
    '1.2.',
    '1..2',
    '3.1',
    '1.40',
    '0.40',
    '1.02',
    '1.2.03',
    '1.2.x',
    '1.2 ',
    ' 1.2',
  ])('%j', (text) => {
    expect(isObjectIdentifier(text)).toBe(false)
  })

  test('one that is too long', () => {
    expect(isObjectIdentifier(`2.${'9'.repeat(39)}`)).toBe(true)
    expect(isObjectIdentifier(`2.${'9'.repeat(40)}`)).toBe(false)
    expect(isObjectIdentifier(`1.2${'.3'.repeat(62)}`)).toBe(true)
    expect(isObjectIdentifier(`1.2${'.3'.repeat(63)}`)).toBe(false)
  })
})
