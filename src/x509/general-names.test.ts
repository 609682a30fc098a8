import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DerError } from './der-reader.ts'
import { constructed, encode, ia5String, oid, primitive, sequence, utf8String } from './der-writer.ts'
import {
  decodeGeneralNames,
  encodeGeneralNames,
  formatNames,
  GeneralNameError,
  hasNames,
  missingNames,
  noNames,
} from './general-names.ts'
import { formatIpAddress, parseIpAddress } from './ip-address.ts'
import { throwingOnly } from './throwing-only.ts'

const text = fc.string({ unit: 'binary-ascii', minLength: 1 })
const names = fc.record({
  dns: fc.array(text),
  ip: fc.array(fc.oneof(fc.ipV4(), fc.ipV6())),
  uri: fc.array(text),
  email: fc.array(text),
})

test('what is written is read back, with addresses in their canonical text', () => {
  fc.assert(
    fc.property(names, (names) => {
      const ip = names.ip.map((address) => formatIpAddress(parseIpAddress(address) ?? Uint8Array.of()))
      expect(decodeGeneralNames(encodeGeneralNames(names))).toEqual({ names: { ...names, ip }, unknown: [] })
    }),
  )
})

test('any bytes are read or refused with an error of their own', () => {
  const mutated = fc
    .tuple(names.map(encodeGeneralNames), fc.nat(), fc.nat({ max: 255 }))
    .map(([der, place, byte]) => der.with(place % der.length, byte))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), mutated), (der) => {
      expect(() => throwingOnly([DerError, GeneralNameError], () => decodeGeneralNames(der))).not.toThrow()
    }),
    { numRuns: 500 },
  )
})

test('the order is that of Go, and a mapped IPv4 address takes 4 bytes', () => {
  const der = encodeGeneralNames({ dns: ['a'], ip: ['::ffff:192.0.2.7'], uri: ['x:y'], email: ['b@c'] })
  const parts = ['820161', '8103624063', '8704c0000207', '8603783a79']
  expect(der.toHex()).toBe(`3013${parts.join('')}`)
})

describe('refuses to write', () => {
  test.each([
    [
      'a DNS name outside ASCII',
      { dns: ['bücher.example'] },
      'DNS name "bücher.example" has characters outside ASCII: write the host in its xn-- form',
    ],
    [
      'a URI outside ASCII',
      { uri: ['spiffe://a/ü'] },
      'URI "spiffe://a/ü" has characters outside ASCII: percent-encode it',
    ],
    ['an empty name', { dns: [''] }, 'the DNS name is empty'],
    ['an empty e-mail address', { email: [''] }, 'the e-mail address is empty'],
    ['what is no address', { ip: ['10.0.0.300'] }, '"10.0.0.300" is not an IP address'],
  ])('%s', (_name, part, message) => {
    expect(() => encodeGeneralNames({ ...noNames, ...part })).toThrow(new GeneralNameError(message))
  })
})

describe('an other name', () => {
  const principal = { oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'wéb@example.org' }
  const asked = { ...noNames, otherNames: [principal] }

  test('is written behind all others, as cert-manager does', () => {
    const der = encodeGeneralNames({ ...asked, uri: ['x:y'] })
    expect(der.toHex()).toBe(`30278603783a79a020060a2b060104018237140203a0120c1077c3a962406578616d706c652e6f7267`)
    expect(decodeGeneralNames(der)).toEqual({ names: { ...asked, uri: ['x:y'] }, unknown: [] })
  })

  const others = fc.array(
    fc.record({
      oid: fc.constantFrom('1.2.3', '2.999.4', '2.25.329800735698586629295641978511506172918'),
      utf8Value: fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed()),
    }),
    { minLength: 1 },
  )

  test('is read back, whatever it is', () => {
    fc.assert(
      fc.property(others, (otherNames) => {
        const names = { ...noNames, otherNames }
        expect(decodeGeneralNames(encodeGeneralNames(names))).toEqual({ names, unknown: [] })
      }),
    )
  })

  test('of any bytes is read or refused with an error of its own', () => {
    fc.assert(
      fc.property(others, fc.nat(), fc.nat({ max: 255 }), (otherNames, place, byte) => {
        const der = encodeGeneralNames({ ...noNames, otherNames })
        const changed = der.with(place % der.length, byte)
        expect(() => throwingOnly([DerError, GeneralNameError], () => decodeGeneralNames(changed))).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })

  test('is a name like any other', () => {
    expect(hasNames(asked)).toBe(true)
    const label = 'otherName:1.3.6.1.4.1.311.20.2.3;UTF8:wéb@example.org'
    expect(formatNames(asked)).toEqual([label])
    expect(missingNames(asked, noNames)).toEqual([label])
    expect(missingNames(asked, { ...noNames, otherNames: [{ ...principal, utf8Value: 'WÉB@example.org' }] })).toEqual([
      label,
    ])
    expect(missingNames(asked, asked)).toEqual([])
  })

  test.each([
    ['without a number', { oid: 'upn', utf8Value: 'x' }, '"upn" is not the object identifier of an other name'],
    ['without a value', { oid: '1.2.3', utf8Value: '' }, 'the other name 1.2.3 is empty'],
    ['of half a character', { oid: '1.2.3', utf8Value: '\u{d800}' }, 'the other name 1.2.3 is not valid Unicode'],
  ])('%s is refused', (_name, other, message) => {
    expect(() => encodeGeneralNames({ ...noNames, otherNames: [other] })).toThrow(new GeneralNameError(message))
  })

  test.each([
    ['text of another type', constructed(0, ia5String('x'))],
    ['no text', constructed(0, utf8String(''))],
    ['two texts', constructed(0, utf8String('x'), utf8String('y'))],
    ['a text in another place', constructed(1, utf8String('x'))],
  ])('with %s is unknown', (_name, value) => {
    const der = encode(sequence(constructed(0, oid('1.2.3'), value)))
    expect(decodeGeneralNames(der)).toEqual({ names: noNames, unknown: ['otherName 1.2.3'] })
  })
})

test('other kinds, and names without content, are listed as unknown', () => {
  const other = constructed(0, oid('1.3.6.1.4.1.311.20.2.3'), constructed(0, sequence()))
  const der = encode(
    sequence(other, constructed(4, sequence()), primitive(8, Uint8Array.of(42)), primitive(2, Uint8Array.of())),
  )
  expect(decodeGeneralNames(der)).toEqual({
    names: noNames,
    unknown: ['otherName 1.3.6.1.4.1.311.20.2.3', 'directoryName', 'registeredID', 'empty dNSName'],
  })
})

test('refuses to read addresses of an odd length and names outside ASCII', () => {
  expect(() => decodeGeneralNames(encode(sequence(primitive(7, new Uint8Array(5)))))).toThrow(
    'an IP address has 5 bytes',
  )
  expect(() => decodeGeneralNames(encode(sequence(primitive(2, Uint8Array.of(0xe9)))))).toThrow('outside ASCII')
})

test('names compare as RFC 5280 wants', () => {
  const given = {
    dns: ['WEB.example'],
    ip: ['2001:db8::1', '::ffff:10.0.0.1'],
    uri: ['spiffe://td/a'],
    email: ['Web@EXAMPLE.org'],
  }
  const same = {
    dns: ['web.EXAMPLE'],
    ip: ['2001:DB8:0::1', '10.0.0.1'],
    uri: ['spiffe://td/a'],
    email: ['Web@example.org'],
  }
  expect(missingNames(same, given)).toEqual([])
  const other = { dns: ['www.example'], ip: ['10.0.0.2'], uri: ['spiffe://td/A'], email: ['web@example.org'] }
  expect(missingNames(other, given)).toEqual([
    'DNS:www.example',
    'IP:10.0.0.2',
    'URI:spiffe://td/A',
    'email:web@example.org',
  ])
  expect(missingNames({ ...noNames, uri: ['web.example'] }, given)).toEqual(['URI:web.example'])
})

test('nothing is missing of what is there, and everything where nothing is', () => {
  fc.assert(
    fc.property(names, (names) => {
      expect(missingNames(names, names)).toEqual([])
      expect(missingNames(names, noNames)).toEqual(formatNames(names))
      expect(hasNames(names)).toBe(formatNames(names).length > 0)
    }),
  )
})
