import { isIP } from 'node:net'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatIpAddress, parseIpAddress } from './ip-address.ts'

test.each([
  ['10.0.0.1', '0a000001'],
  ['255.255.255.255', 'ffffffff'],
  ['::', '00'.repeat(16)],
  ['::1', `${'00'.repeat(15)}01`],
  ['1::', `0001${'00'.repeat(14)}`],
  ['2001:db8::1', `20010db8${'00'.repeat(11)}01`],
  ['2001:DB8:0:0:1:2:3:4', '20010db8000000000001000200030004'],
  ['::ffff:192.0.2.7', 'c0000207'],
  ['::ffff:c000:207', 'c0000207'],
  ['64:ff9b::192.0.2.7', `0064ff9b${'00'.repeat(8)}c0000207`],
])('%s has the bytes %s', (text, hex) => {
  expect(parseIpAddress(text)?.toHex()).toBe(hex)
})

test.each([
  '',
  '10.0.0',
  '10.0.0.01',
  '256.0.0.1',
  '10.0.0.0/8',
  'fe80::1%eth0',
  '1:2:3',
  '::1::',
  'a.example',
  ' ::1',
])('%j is no address', (text) => {
  expect(parseIpAddress(text)).toBeUndefined()
})

test.each([
  [`20010db8${'00'.repeat(11)}01`, '2001:db8::1'],
  ['20010db8000000010000000000000001', '2001:db8:0:1::1'],
  ['20010000000000010000000000000001', '2001:0:0:1::1'],
  ['20010000000000010000000000010001', '2001::1:0:0:1:1'],
  ['20010db8000100010001000100000001', '2001:db8:1:1:1:1:0:1'],
  ['00'.repeat(16), '::'],
])('%s is written %s', (hex, text) => {
  expect(formatIpAddress(Uint8Array.fromHex(hex))).toBe(text)
})

test('what is written has the same bytes again, except for IPv6 addresses that map IPv4 ones', () => {
  const groups = fc.array(fc.constantFrom(0, 0, 1, 255), { minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(fc.oneof(fc.array(fc.nat({ max: 255 }), { minLength: 4, maxLength: 4 }), groups), (numbers) => {
      const bytes = Uint8Array.from(numbers)
      const text = formatIpAddress(bytes)
      expect(isIP(text)).toBe(bytes.length === 4 ? 4 : 6)
      expect(parseIpAddress(text)).toEqual(bytes)
    }),
  )
})

test('every IPv6 text of fast-check is understood', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const bytes = parseIpAddress(text)
      expect(bytes).toBeDefined()
      expect(parseIpAddress(formatIpAddress(bytes ?? Uint8Array.of()))).toEqual(bytes)
    }),
  )
})

test('bytes of another length cannot be written', () => {
  expect(() => formatIpAddress(new Uint8Array(5))).toThrow(RangeError)
})
