import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { attributeAliases, AttributeReader, attributeNames, attributePrefix, wholeNumber } from './attributes.ts'

function readerOf(attributes: Readonly<Record<string, string>>): AttributeReader {
  return new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
}

test('an empty attribute is an absent one', () => {
  const reader = readerOf({ 'common-name': '', 'is-ca': '', 'dns-names': '', 'key-algorithm': '' })
  expect(reader.text('common-name')).toBeUndefined()
  expect(reader.text('issuer-name')).toBeUndefined()
  expect(reader.flag('is-ca')).toBe(false)
  expect(reader.list('dns-names')).toEqual([])
  expect(reader.choice('key-algorithm', ['RSA', 'ECDSA'], 'RSA')).toBe('RSA')
  expect(reader.problems).toEqual([])
})

test('a name without the prefix is not an attribute, whatever objects have by nature', () => {
  const reader = new AttributeReader({ 'common-name': 'x' })
  expect(reader.text('common-name')).toBeUndefined()
})

test.each([
  ['true', true],
  ['false', false],
])('the flag %j is %j', (value, expected) => {
  const reader = readerOf({ 'is-ca': value })
  expect(reader.flag('is-ca')).toBe(expected)
  expect(reader.problems).toEqual([])
})

test.each(['True', 'TRUE', 't', '1', 'yes', ' true', 'true '])('the flag %j is refused', (value) => {
  const reader = readerOf({ 'is-ca': value })
  reader.flag('is-ca')
  expect(reader.problems).toEqual([
    {
      attribute: 'csi.cert-manager.io/is-ca',
      message: `invalid value ${JSON.stringify(value)}: must be "true" or "false"`,
    },
  ])
})

test.each([
  ['RSA', 'RSA'],
  ['rsa', 'RSA'],
  ['ecdsa', 'ECDSA'],
  ['ed25519', 'Ed25519'],
  ['ED25519', 'Ed25519'],
])('the choice %j is %j', (value, expected) => {
  const reader = readerOf({ 'key-algorithm': value })
  expect(reader.choice('key-algorithm', ['RSA', 'ECDSA', 'Ed25519'], undefined)).toBe(expected)
  expect(reader.problems).toEqual([])
})

test('a choice that there is not is refused with what there is', () => {
  const reader = readerOf({ 'key-algorithm': 'DSA' })
  expect(reader.choice('key-algorithm', ['RSA', 'ECDSA'], 'RSA')).toBe('RSA')
  expect(reader.problems).toEqual([
    {
      attribute: 'csi.cert-manager.io/key-algorithm',
      message: 'unsupported value "DSA": supported values are "RSA", "ECDSA"',
    },
  ])
})

test.each([
  ['a', ['a']],
  ['a,b', ['a', 'b']],
  [' a , b ', ['a', 'b']],
  ['a,', ['a']],
  [',,a,,', ['a']],
  [' , ,', []],
  ['digital signature,key encipherment', ['digital signature', 'key encipherment']],
])('the list %j has the items %j', (value, items) => {
  expect(readerOf({ 'dns-names': value }).list('dns-names')).toEqual(items)
})

test('a list of any items has those items, trimmed, without the empty ones', () => {
  const item = fc.string().map((text) => text.replaceAll(',', ';'))
  fc.assert(
    fc.property(fc.array(item), (items) => {
      const expected = items.map((text) => text.trim()).filter((text) => text !== '')
      expect(readerOf({ 'dns-names': items.join(',') }).list('dns-names')).toEqual(expected)
    }),
  )
})

test('no attribute is named twice', () => {
  expect(new Set(attributeNames).size).toBe(attributeNames.length)
})

test('another spelling is heard, with the advice to write the first one', () => {
  const reader = readerOf({ 'keystore-pkcs12-enable': 'true', 'keystore-pkcs12-filename': '' })
  expect(reader.text('pkcs12-enable')).toBe('true')
  expect(reader.flag('pkcs12-enable')).toBe(true)
  expect(reader.text('pkcs12-filename')).toBeUndefined()
  expect(reader.problems).toEqual([])
  expect(reader.warnings).toEqual([
    {
      attribute: 'csi.cert-manager.io/keystore-pkcs12-enable',
      message: 'another spelling of csi.cert-manager.io/pkcs12-enable: better write that',
    },
  ])
})

test('both spellings may say the same, and must not say different things; neither is quoted', () => {
  expect(readerOf({ 'pkcs12-password': 'hunter2', 'keystore-pkcs12-password': 'hunter2' }).problems).toEqual([])
  const { problems } = readerOf({ 'pkcs12-password': 'hunter2', 'keystore-pkcs12-password': 'hunter3' })
  expect(problems).toEqual([
    {
      attribute: 'csi.cert-manager.io/pkcs12-password',
      message: 'differs from csi.cert-manager.io/keystore-pkcs12-password, which means the same: leave that one out',
    },
  ])
})

test('no alias is an attribute, and each stands for one', () => {
  for (const [alias, name] of attributeAliases) {
    expect(attributeNames).not.toContain(alias)
    expect(attributeNames).toContain(name)
  }
})

test.each([
  ['0', 0],
  ['+5', 5],
  ['007', 7],
  ['-1', undefined],
  ['1.0', undefined],
  ['1e3', undefined],
  ['', undefined],
  [' 1', undefined],
  ['9'.repeat(16), undefined],
])('%j as a whole number is %j', (text, number) => {
  expect(wholeNumber(text)).toBe(number)
})
