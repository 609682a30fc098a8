import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { throwingOnly } from '../x509/throwing-only.ts'
import { CsvError, parseCsvList } from './csv-list.ts'

/** Outcomes of ReadAll of Go 1.26's encoding/csv. */
describe('reads as Go does', () => {
  test.each([
    ['a', ['a']],
    ['a,b', ['a', 'b']],
    ['Acme GmbH, Other', ['Acme GmbH', ' Other']],
    ['"Acme, Inc.",Other', ['Acme, Inc.', 'Other']],
    ['"say ""hi"""', ['say "hi"']],
    ['""', ['']],
    [',', ['', '']],
    ['a,,b,', ['a', '', 'b', '']],
    [' ', [' ']],
    ['"two\nlines",b', ['two\nlines', 'b']],
    ['"two\r\nlines"', ['two\nlines']],
    ['\n\r\na,b\n\n', ['a', 'b']],
    ['a\r', ['a']],
    ['a\rb', ['a\rb']],
    ['a\r\n', ['a']],
    ['"a"\r\n', ['a']],
    ['é,\u{1f600}', ['é', '\u{1f600}']],
    ["it's", ["it's"]],
  ])('%j', (text, values) => {
    expect(parseCsvList(text)).toEqual(values)
  })
})

describe('refuses as Go does, in its words', () => {
  test.each([
    ['a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'],
    ['a, "b, c"', 'parse error on line 1, column 4: bare " in non-quoted-field'],
    ['é,é"', 'parse error on line 1, column 6: bare " in non-quoted-field'],
    ['"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"a\n', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'],
    ['"a" ', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"a"b"', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['\n"a" b', 'parse error on line 2, column 3: extraneous or missing " in quoted-field'],
    ['"a\nb"c', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'],
    ['\n"a\nb', 'record on line 2; parse error on line 3, column 2: extraneous or missing " in quoted-field'],
    ['', 'no values found'],
    ['\n\r\n', 'no values found'],
  ])('%j', (text, message) => {
    expect(() => parseCsvList(text)).toThrow(new CsvError(message))
  })

  test('several lines', () => {
    expect(() => parseCsvList('a,b\nc')).toThrow(new CsvError('expected one line of values, got several'))
  })
})

test('what is quoted is read back', () => {
  const value = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\n', ' ', '\u{1f600}') })
  fc.assert(
    fc.property(fc.array(value, { minLength: 1 }), (values) => {
      const text = values.map((value) => `"${value.replaceAll('"', '""')}"`).join(',')
      expect(parseCsvList(text)).toEqual(values)
    }),
  )
})

test('text without quotes and line ends is split at its commas', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'é', "'", ',', '\t', ' '), minLength: 1 }), (text) => {
      expect(parseCsvList(text)).toEqual(text.split(','))
    }),
  )
})

test('any text is read or refused with an error of its own', () => {
  const text = fc.string({ unit: fc.oneof(fc.constantFrom('"', ',', '\n', '\r', ' ', 'a'), fc.string()) })
  fc.assert(
    fc.property(text, (text) => {
      const values = throwingOnly([CsvError], () => parseCsvList(text))
      expect(values ?? ['']).not.toEqual([])
    }),
    { numRuns: 1000 },
  )
})
