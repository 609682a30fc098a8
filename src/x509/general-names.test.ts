import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DerError } from './der-reader.ts'
import { constructed, encode, oid, primitive, sequence, utf8String } from './der-writer.ts'
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

test('other kinds, and names without content, are listed as unknown', () => {
  const other = constructed(0, oid('1.3.6.1.4.1.311.20.2.3'), constructed(0, utf8String('user@example.org')))
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
