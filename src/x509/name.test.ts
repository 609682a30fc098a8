import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DerError } from './der-reader.ts'
import { type DerBlock, encode, integer, oid, sequence, setOf, utf8String } from './der-writer.ts'
import { buildSubject, commonNameOf, decodeName, encodeName, formatName, NameError, type Subject } from './name.ts'
import { throwingOnly } from './throwing-only.ts'

const attribute = fc.record({
  type: fc.constantFrom('C', 'O', 'OU', 'L', 'ST', 'STREET', 'CN', 'serialNumber', 'UID', '1.3.6.1.4.1.5.6.7'),
  value: fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed()),
})
const subject = fc.array(fc.array(attribute, { minLength: 1, maxLength: 3 }), { maxLength: 5 })

/** The order of attributes within one level is not kept. */
function sorted(subject: Subject): Subject {
  const key = ({ type, value }: Subject[number][number]): string => `${type}=${value}`
  return subject.map((attributes) => attributes.toSorted((left, right) => (key(left) < key(right) ? -1 : 1)))
}

test('what is written is read back', () => {
  fc.assert(
    fc.property(subject, (subject) => {
      const decoded = decodeName(encodeName(subject))
      expect(sorted(decoded.subject)).toEqual(sorted(subject))
      expect(decoded.unknown).toEqual([])
    }),
  )
})

test('what is read is written with the same bytes again', () => {
  fc.assert(
    fc.property(subject, (subject) => {
      const der = encodeName(subject)
      expect(encodeName(decodeName(der).subject)).toEqual(der)
    }),
  )
})

test('any bytes are read or refused with a DerError', () => {
  const mutated = fc
    .tuple(subject.map(encodeName), fc.nat(), fc.nat({ max: 255 }))
    .map(([der, place, byte]) => der.with(place % der.length, byte))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), mutated), (der) => {
      throwingOnly([DerError], () => {
        expect(formatName(decodeName(der).subject)).not.toMatch(/[\p{Cc}]/u)
      })
    }),
  )
})

test('a subject has the order of Go, with several values of a type on one level', () => {
  const subject = buildSubject({
    serialNumber: '7',
    commonName: 'web',
    organizations: ['Zeta', 'Acme'],
    organizationalUnits: ['Team'],
    countries: ['DE'],
    localities: ['Köln'],
    provinces: ['NRW'],
    streetAddresses: ['Weg 1'],
    postalCodes: ['50667'],
  })
  expect(subject.map((level) => level.map(({ type, value }) => `${type}=${value}`))).toEqual([
    ['C=DE'],
    ['ST=NRW'],
    ['L=Köln'],
    ['STREET=Weg 1'],
    ['postalCode=50667'],
    ['O=Zeta', 'O=Acme'],
    ['OU=Team'],
    ['CN=web'],
    ['serialNumber=7'],
  ])
  expect(buildSubject({})).toEqual([])
  expect(buildSubject({ commonName: '', organizations: [] })).toEqual([])
})

test('values of one level are sorted by their bytes', () => {
  const der = encodeName([['Zeta', 'Acme, Inc.'].map((value) => ({ type: 'O', value }))])
  expect(formatName(decodeName(der).subject)).toBe(String.raw`O=Zeta+O=Acme\, Inc.`)
})

describe('writes', () => {
  test.each([
    ['printable text as PrintableString', 'CN', "a-Z 0'()+,-./:=?", 0x13],
    ['an asterisk as UTF8String, as Go does', 'CN', '*.example', 0x0c],
    ['an ampersand as UTF8String, as Go does', 'O', 'A & B', 0x0c],
    ['other letters as UTF8String', 'L', 'Köln', 0x0c],
    ['a domain component as IA5String', 'DC', 'example', 0x16],
    ['an e-mail address as IA5String', 'emailAddress', 'a@b', 0x16],
    ['a domain component by its number as IA5String', '0.9.2342.19200300.100.1.25', 'example', 0x16],
  ])('%s', (_name, type, value, tag) => {
    const text = new TextEncoder().encode(value)
    expect(encodeName([[{ type, value }]]).subarray(-text.length - 2)).toEqual(Uint8Array.of(tag, text.length, ...text))
  })
})

describe('refuses', () => {
  test.each([
    ['a type that nobody knows', 'CNN', 'x', '"CNN" is no attribute type'],
    ['a type that JavaScript objects know', 'constructor', 'x', '"constructor" is no attribute type'],
    ['a broken object identifier', '2.5.04', 'x', '"2.5.04" is no attribute type'],
    ['an object identifier outside the three trees', '3.1', 'x', '"3.1" is no attribute type'],
    ['a first arc without room for the second', '1.40', 'x', '"1.40" is no attribute type'],
    ['an empty value', 'CN', '', 'CN is empty'],
    ['half a character', 'CN', '\u{d800}', 'CN is not valid Unicode'],
    ['a domain component outside ASCII', 'DC', 'köln', 'DC "köln" has characters outside ASCII'],
  ])('%s', (_name, type, value, message) => {
    expect(() => encodeName([[{ type, value }]])).toThrow(new NameError(message))
  })
})

describe('is formatted', () => {
  test.each([
    [
      'most specific level first',
      [[{ type: 'O', value: 'Example' }], [{ type: 'CN', value: 'web' }]],
      'CN=web,O=Example',
    ],
    [
      'with special characters escaped',
      [[{ type: 'CN', value: 'a,b+c"d\\e<f>g;h=i' }]],
      String.raw`CN=a\,b\+c\"d\\e\<f\>g\;h=i`,
    ],
    ['with outer spaces escaped', [[{ type: 'CN', value: ' a b ' }]], String.raw`CN=\ a b\ `],
    ['with a single space escaped once', [[{ type: 'CN', value: ' ' }]], String.raw`CN=\ `],
    ['with a leading hash escaped', [[{ type: 'CN', value: '#1' }]], String.raw`CN=\#1`],
    ['on one line', [[{ type: 'CN', value: 'a\nCN=b\u{202e}' }]], String.raw`CN=a\0aCN=b\e2\80\ae`],
    ['as nothing, if it is empty', [], ''],
  ] as const)('%s', (_name, subject, text) => {
    expect(formatName(subject)).toBe(text)
  })
})

test('what is no current text is listed as unknown', () => {
  const name = (value: DerBlock): Uint8Array => encode(sequence(setOf(sequence(oid('2.5.4.3'), value))))
  expect(decodeName(name(integer(5)))).toEqual({
    subject: [[{ type: 'CN', value: '#020105' }]],
    unknown: ['CN that is no text'],
  })
  expect(decodeName(name(utf8String(''))).unknown).toEqual(['CN that is empty'])
  const teletex = encodeName([[{ type: 'CN', value: 'x' }]])
  teletex[teletex.length - 3] = 0x14
  expect(decodeName(teletex)).toEqual({
    subject: [[{ type: 'CN', value: 'x' }]],
    unknown: ['CN in an outdated string type'],
  })
})

test('the common name is the most specific one', () => {
  expect(commonNameOf([[{ type: 'CN', value: 'outer' }], [{ type: 'CN', value: 'inner' }]])).toBe('inner')
  expect(commonNameOf([[{ type: 'O', value: 'x' }]])).toBeUndefined()
})
