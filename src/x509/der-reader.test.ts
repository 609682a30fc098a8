import * as asn1 from 'asn1js'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkCanonical } from './canonical-der.ts'
import {
  children,
  DerError,
  readBitString,
  readBoolean,
  readDer,
  readOid,
  readSmallInteger,
  readText,
  tag,
} from './der-reader.ts'
import {
  bitString,
  boolean,
  constructed,
  type DerBlock,
  encode,
  encoded,
  ia5String,
  integer,
  nullValue,
  octetString,
  oid,
  positiveInteger,
  primitive,
  printableString,
  sequence,
  setOf,
  time,
  utf8String,
} from './der-writer.ts'
import { throwingOnly } from './throwing-only.ts'

const dotted = fc
  .tuple(fc.integer({ min: 0, max: 2 }), fc.nat({ max: 39 }), fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 8 }))
  .map(([root, second, rest]) => [root, second, ...rest].join('.'))
const bytes = fc.uint8Array({ maxLength: 200 })

const { value: anyValue } = fc.letrec<{ value: DerBlock; leaf: DerBlock }>((tie) => ({
  leaf: fc.oneof(
    fc.boolean().map(boolean),
    fc.nat({ max: 2 ** 31 - 1 }).map(integer),
    dotted.map(oid),
    bytes.map(octetString),
    bytes.map((content) => bitString(content)),
    fc.string({ unit: 'binary' }).map(utf8String),
    fc.constant(null).map(nullValue),
    bytes.map((content) => primitive(2, content)),
  ),
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 4 }).map((values) => sequence(...values)),
    fc.array(tie('value'), { maxLength: 4 }).map((values) => setOf(...values)),
    tie('value').map((value) => constructed(0, value)),
  ),
}))

test('everything that is written is canonical, and asn1js, which others wrote, writes the same for it', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const der = encode(value)
      checkCanonical(readDer(der))
      expect(asn1.fromBER(der).offset).toBe(der.length)
      expect(rewritten(der)).toEqual(der)
    }),
    { numRuns: 1000 },
  )
})

test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 24])(
  'a content of %i bytes has the shortest length',
  (length) => {
    const der = encode(octetString(new Uint8Array(length)))
    expect(readDer(der).content).toHaveLength(length)
    expect(rewritten(der)).toEqual(der)
  },
)

test.each([0, 1, 127, 128, 255, 256, 32_767, 32_768, 2 ** 31 - 1])(
  'the number %i is written as asn1js writes it',
  (value) => {
    expect(encode(integer(value))).toEqual(new Uint8Array(new asn1.Integer({ value }).toBER()))
  },
)

test('any bytes are read or refused with a DerError', () => {
  const mutated = fc
    .tuple(anyValue.map(encode), fc.nat(), fc.nat({ max: 255 }))
    .map(([der, place, byte]) => der.with(place % der.length, byte))
  fc.assert(
    fc.property(fc.oneof(bytes, mutated), (der) => {
      expect(() => throwingOnly([DerError], () => checkCanonical(readDer(der)))).not.toThrow()
    }),
    { numRuns: 1000 },
  )
})

test('what is canonical for this reader is the one encoding that asn1js writes for it', () => {
  const mutated = fc
    .tuple(anyValue.map(encode), fc.nat(), fc.nat({ max: 255 }))
    .map(([der, place, byte]) => der.with(place % der.length, byte))
  fc.assert(
    fc.property(mutated, (der) => {
      try {
        checkCanonical(readDer(der))
      } catch {
        return
      }
      expect(rewritten(der) ?? der).toEqual(der)
    }),
    { numRuns: 1000 },
  )
})

test.each([
  ['a relative object identifier that is not minimal', [13, 2, 128, 0]],
  ['a relative object identifier that is cut off', [13, 1, 129]],
  ['a relative object identifier without anything', [13, 0]],
  ['an enumerated number that is not minimal', [10, 2, 0, 1]],
])('%s is not canonical', (_name, bytes) => {
  expect(() => checkCanonical(readDer(Uint8Array.from(bytes)))).toThrow(DerError)
})

/** What asn1js makes of the bytes; undefined for types that it has rules of its own for, such as times. */
function rewritten(der: Uint8Array): Uint8Array | undefined {
  try {
    const { offset, result } = asn1.fromBER(der)
    return offset === der.length ? new Uint8Array(result.toBER()) : undefined
  } catch {
    return undefined
  }
}

test('numbers, booleans, object identifiers and bits are read as they were written', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 1 }), fc.boolean(), dotted, bytes, (number, flag, id, content) => {
      expect(readSmallInteger(readDer(encode(integer(number))))).toBe(number)
      expect(readBoolean(readDer(encode(boolean(flag))))).toBe(flag)
      expect(readOid(readDer(encode(oid(id))))).toBe(id)
      expect(readBitString(readDer(encode(bitString(content))))).toEqual({ bytes: content, unusedBits: 0 })
    }),
  )
})

test('a value that is already encoded goes in byte for byte', () => {
  fc.assert(
    fc.property(fc.array(anyValue.map(encode), { maxLength: 5 }), (values) => {
      expect(children(readDer(encode(sequence(...values.map(encoded))))).map(({ raw }) => raw)).toEqual(values)
    }),
  )
})

describe('reads text in', () => {
  test.each([
    ['UTF8String', encode(utf8String('Köln')), 'Köln'],
    ['PrintableString', encode(printableString('Acme, Inc.')), 'Acme, Inc.'],
    ['IA5String', encode(ia5String('a@b')), 'a@b'],
    ['TeletexString', Uint8Array.of(tag.teletexString, 2, 0x4b, 0xf6), 'Kö'],
    ['BMPString', Uint8Array.of(tag.bmpString, 4, 0, 0x4b, 0, 0xf6), 'Kö'],
  ])('%s', (_type, der, text) => {
    expect(readText(readDer(der))).toBe(text)
  })

  test('no other type', () => {
    expect(readText(readDer(encode(integer(1))))).toBeUndefined()
    expect(readText(readDer(Uint8Array.of(tag.universalString, 4, 0, 0, 0, 0x4b)))).toBeUndefined()
  })
})

test('times change from UTCTime to GeneralizedTime with the year 2050', () => {
  const text = (when: string): string => new TextDecoder().decode(encode(time(Date.parse(when))).subarray(2))
  expect(text('2049-12-31T23:59:59Z')).toBe('491231235959Z')
  expect(text('2050-01-01T00:00:00Z')).toBe('20500101000000Z')
})

test('a serial number keeps its bytes', () => {
  const magnitude = Uint8Array.from({ length: 16 }, (_, index) => 0x7f - index)
  expect(encode(positiveInteger(magnitude))).toEqual(Uint8Array.of(2, 16, ...magnitude))
})

describe('refuses', () => {
  test.each([
    ['an indefinite length', '308005000000', 'a length is indefinite'],
    ['a length in more bytes than needed', '30810100', 'a length is not minimal'],
    ['a length with a leading zero', `30820080${'00'.repeat(128)}`, 'a length is not minimal'],
    ['a length of 5 bytes', '30850000000001', 'a length is over 4 bytes'],
    ['trailing bytes', '050000', '1 bytes too many'],
    ['a value that is cut off', '3003020101'.slice(0, 8), 'a value of 3 bytes is cut off after 2'],
    ['a cut inside a value', '3002020101', '1 bytes too many'],
    ['nothing', '', 'the bytes end inside a value'],
    ['end-of-contents', '0000', 'end-of-contents is not DER'],
    ['high tag numbers', '1f8100', 'tag numbers over 30 are not used by X.509'],
    ['a boolean of 01', '010101', 'a boolean is neither 00 nor FF'],
    ['an integer with a leading zero', '02020001', 'an integer is not minimal'],
    ['a negative integer with a leading FF', '0202ff80', 'an integer is not minimal'],
    ['an empty integer', '0200', 'an integer is empty'],
    ['a null with content', '050100', 'a null is not empty'],
    ['stray bits', '030207ff', 'a bit string has stray bits'],
    ['unused bits without a byte', '030101', 'a bit string is cut off'],
    ['more than seven unused bits', '03020800', 'a bit string is cut off'],
    ['an object identifier with a padded arc', '06032a8001', 'an object identifier is not minimal'],
    ['an object identifier that ends inside an arc', '06022a81', 'an object identifier is cut off'],
    ['an object identifier of 129 bytes', `068181${'01'.repeat(129)}`, 'an object identifier is too long'],
    ['a set that is not sorted', '3106020102020101', 'a set is not sorted'],
    ['a string in pieces', '2c030c0141', 'tag 0x2c is built the wrong way'],
    ['a primitive sequence', '1000', 'tag 0x10 is built the wrong way'],
    ['broken UTF-8', '0c01ff', 'a UTF8String is not UTF-8'],
    ['an IA5String outside ASCII', '1601e9', 'a string has characters outside ASCII'],
    ['half a BMPString character', '1e0141', 'a BMPString is cut off'],
    ['values nested 40 deep', nested(40), 'values are nested too deep'],
  ])('%s', (_name, hex, message) => {
    expect(() => checkCanonical(readDer(Uint8Array.fromHex(hex)))).toThrow(new DerError(message))
  })

  test('small integers that are negative or long', () => {
    expect(() => readSmallInteger(readDer(Uint8Array.fromHex('0201ff')))).toThrow(DerError)
    expect(() => readSmallInteger(readDer(Uint8Array.fromHex('02050100000000')))).toThrow(DerError)
  })

  test('children of a primitive value', () => {
    expect(() => children(readDer(Uint8Array.fromHex('0400')))).toThrow('tag 0x04 holds no values')
  })
})

function nested(depth: number): string {
  return encode(Array.from({ length: depth }).reduce<DerBlock>((inner) => sequence(inner), nullValue())).toHex()
}
