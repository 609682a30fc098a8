import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DistinguishedNameError, parseDistinguishedName } from './distinguished-name.ts'
import { encodeName, formatName, type NameAttribute, type Subject } from './name.ts'
import { throwingOnly } from './throwing-only.ts'

describe('reads the examples of RFC 4514 §4', () => {
  test.each<[string, readonly (readonly string[])[]]>([
    ['UID=jsmith,DC=example,DC=net', [['DC=net'], ['DC=example'], ['UID=jsmith']]],
    ['OU=Sales+CN=J.  Smith,DC=example,DC=net', [['DC=net'], ['DC=example'], ['OU=Sales', 'CN=J.  Smith']]],
    ['CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net', [['DC=net'], ['DC=example'], ['CN=James "Jim" Smith, III']]],
    ['CN=Before\\0dAfter,DC=example,DC=net', [['DC=net'], ['DC=example'], ['CN=Before\rAfter']]],
    ['1.3.6.1.4.1.1466.0=#04024869', [['1.3.6.1.4.1.1466.0=Hi']]],
    ['CN=Lu\\C4\\8Di\\C4\\87', [['CN=Lučić']]],
  ])('%s', (text, levels) => {
    expect(shown(parseDistinguishedName(text))).toEqual(levels)
  })
})

function shown(subject: Subject): string[][] {
  return subject.map((level) => level.map(({ type, value }) => `${type}=${value}`))
}

/** The DER that cert-manager 1.21 makes of a literal subject (UnmarshalSubjectStringToRDNSequence and asn1.Marshal). */
describe('names what cert-manager names', () => {
  test.each([
    [
      'CN=web,OU=b+OU=a,O=Acme\\, Inc.,C=DE',
      '3046310b30090603550406130244453113301106035504' +
        '0a130a41636d652c20496e632e3114300806035504' +
        '0b1301613008060355040b130162310c300a06035504031303776562',
    ],
    [
      'CN=*.example;SERIALNUMBER=42,UID=é',
      '303531123010060a0992268993f22c6401010c02c3a9310b3009060355040513023432' +
        '3112301006035504030c092a2e6578616d706c65',
    ],
    ['1.3.6.1.4.1.1466.0=#04024869', '30123110300e06082b060104018b3a0013024869'],
    ['CN=Lu\\C4\\8Di\\C4\\87', '30123110300e06035504030c074c75c48d69c487'],
  ])('%s', (text, der) => {
    expect(encodeName(parseDistinguishedName(text)).toHex()).toBe(der)
  })
})

describe('takes as go-ldap does', () => {
  test.each<[string, string, readonly (readonly string[])[]]>([
    ['spaces around types and values', ' CN = a b  , O = c ', [['O=c'], ['CN=a b']]],
    ['escaped spaces at the ends', 'CN=\\ a\\ ,O=b\\20', [['O=b '], ['CN= a ']]],
    ['a space behind an escaped backslash', 'CN=a\\\\ ', [['CN=a\\']]],
    ['semicolons for commas', 'CN=a;O=b', [['O=b'], ['CN=a']]],
    ['an equals sign in a value', 'CN=a=b', [['CN=a=b']]],
    ['a hash inside a value, or behind a space', 'CN=a#b,O= #c', [['O=#c'], ['CN=a#b']]],
    ['all that may be escaped', 'CN=\\ \\"\\#\\+\\,\\;\\<\\=\\>\\\\', [['CN= "#+,;<=>\\']]],
    ['the value of a UTF8String', 'CN=#0C02C3A9', [['CN=é']]],
    ['several values of a level', 'OU=a+OU=b+CN=c', [['OU=a', 'OU=b', 'CN=c']]],
    ['a line end in a value', 'CN=a\nb', [['CN=a\nb']]],
    [
      'every type',
      'C=1,O=2,OU=3,CN=4,SERIALNUMBER=5,L=6,ST=7,STREET=8,DC=9,UID=10',
      [['UID=10'], ['DC=9'], ['STREET=8'], ['ST=7'], ['L=6'], ['serialNumber=5'], ['CN=4'], ['OU=3'], ['O=2'], ['C=1']],
    ],
  ])('%s', (_name, text, levels) => {
    expect(shown(parseDistinguishedName(text))).toEqual(levels)
  })
})

test('types are read in any case, and those that have a name by their number, too', () => {
  expect(shown(parseDistinguishedName('cn=a,2.5.4.10=b,serialnumber=c,1.2.3=d'))).toEqual([
    ['1.2.3=d'],
    ['serialNumber=c'],
    ['O=b'],
    ['CN=a'],
  ])
})

test('the value of a BMPString is read, which to cert-manager is a text with zeros', () => {
  expect(shown(parseDistinguishedName('CN=#1E0400E920AC'))).toEqual([['CN=é€']])
})

test.each(['', ' ', '\n'])('%j is the empty name', (text) => {
  expect(parseDistinguishedName(text)).toEqual([])
})

const types = ['C', 'O', 'OU', 'CN', 'serialNumber', 'L', 'ST', 'STREET', 'postalCode', 'DC', 'UID', 'SN', '1.2.3.4']
const attribute: fc.Arbitrary<NameAttribute> = fc.record({
  type: fc.constantFrom(...types),
  value: fc
    .string({
      unit: fc.oneof(
        fc.constantFrom(' ', ',', '+', '"', '\\', '<', ';', '=', '#', '\0', '\n'),
        fc.string({ unit: 'binary' }),
      ),
      minLength: 1,
    })
    .filter((text) => text !== '' && text.isWellFormed()),
})
const subject = fc.array(fc.array(attribute, { minLength: 1, maxLength: 3 }), { maxLength: 5 })

test('what people are shown is read back', () => {
  fc.assert(
    fc.property(subject, (subject) => {
      expect(parseDistinguishedName(formatName(subject))).toEqual(subject)
    }),
    { numRuns: 500 },
  )
})

test('any text is read or refused with an error of its own, and what is read is shown so that it is read again', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'CN=',
      'O=',
      '1.2.3=',
      ' ',
      ',',
      '+',
      ';',
      '\\',
      '\\,',
      '\\41',
      '\\C3',
      '=',
      '#',
      '#0c0141',
      '"',
      '<',
    ),
    fc.string({ unit: 'binary' }),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const subject = throwingOnly([DistinguishedNameError], () => parseDistinguishedName(pieces.join(''))) ?? []
      expect(parseDistinguishedName(formatName(subject))).toEqual(subject)
    }),
    { numRuns: 2000 },
  )
})

describe('refuses', () => {
  const form = 'write a comma, plus or semicolon inside a value with a backslash before it'
  const known =
    'expected C, O, OU, L, ST, STREET, postalCode, CN, serialNumber, DC, UID, SN, GN, title, emailAddress ' +
    'or a dotted object identifier'
  test.each([
    ['text without a type', 'web', `expected a type, "=" and a value at its beginning; ${form}`],
    ['a comma that is not escaped', 'O=Acme, Inc.', `expected a type, "=" and a value behind "O=Acme,"; ${form}`],
    ['a comma at the end', 'CN=a,', `expected a type, "=" and a value behind "CN=a,"; ${form}`],
    ['an escaped type', '\\43N=a', `expected a type, "=" and a value at its beginning; ${form}`],
    ['a backslash at the end', 'CN=a\\', 'it ends with a backslash that escapes nothing'],
    ['a type that nobody knows', 'CNN=a', `"CNN" is no attribute type: ${known}`],
    ['a type that JavaScript objects know', 'constructor=a', `"constructor" is no attribute type: ${known}`],
    ['no type', '=a', `"" is no attribute type: ${known}`],
    ['a broken object identifier', '1.02=a', `"1.02" is no attribute type: ${known}`],
    ['an object identifier outside the three trees', '123.544=a', `"123.544" is no attribute type: ${known}`],
    ['an empty value', 'CN=,O=a', 'CN is empty'],
    ['an empty value by its encoding', 'CN=#0c00', 'CN is empty'],
    ['a quote', 'O="Acme"', 'O has a "\\"" that needs a backslash before it'],
    ['an angle bracket', 'CN=a<b', 'CN has a "<" that needs a backslash before it'],
    ['a zero character', 'CN=a\0', 'CN has a "\\u0000" that needs a backslash before it'],
    [
      'a backslash before an ordinary character',
      'CN=a\\x',
      'CN has a backslash before "x", which is neither a special character nor two hexadecimal digits',
    ],
    [
      'a backslash before one hexadecimal digit',
      'CN=\\4',
      'CN has a backslash before "4", which is neither a special character nor two hexadecimal digits',
    ],
    ['bytes that are not UTF-8', 'CN=\\C3', 'CN is not UTF-8'],
    ['an OCTET STRING that is not UTF-8', 'CN=#0401C3', 'CN is not UTF-8'],
    ['half a byte', 'CN=#0c014', 'CN begins with "#", and what follows is not pairs of hexadecimal digits'],
    ['nothing behind a hash', 'CN=#', 'CN begins with "#", and what follows is not pairs of hexadecimal digits'],
    [
      'an encoding that is cut off',
      'CN=#0c0241',
      'CN begins with "#", and what follows is no DER: a value of 2 bytes is cut off after 1',
    ],
    ['bytes behind an encoding', 'CN=#0c014100', 'CN begins with "#", and what follows is no DER: 1 bytes too many'],
    ['an encoding of no text', 'CN=#020105', 'CN begins with "#", and what follows is no text'],
    ['half a character by its encoding', 'CN=#1e02d800', 'CN begins with "#", and what follows is no text'],
    ['half a character', 'CN=\u{d800}', 'it is not valid Unicode'],
    ['a text beyond any name', `CN=${'a'.repeat(16_384)}`, 'it is over 16384 characters long'],
  ])('%s', (_name, text, message) => {
    expect(() => parseDistinguishedName(text)).toThrow(new DistinguishedNameError(message))
  })
})

test('a long text is quoted only in part', () => {
  expect(() => parseDistinguishedName(`${'x'.repeat(10_000)}=a`)).toThrow(/^"x{256}…" is no attribute type/)
})
