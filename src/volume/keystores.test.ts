import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AttributeReader, attributeAliases, attributeNames, attributePrefix, kubeletKeys } from './attributes.ts'
import { readKeystores, revealPassword } from './keystores.ts'
import { sanitizeContext } from './passwords.ts'
import { parseVolumeSpec } from './spec.ts'

function read(attributes: Readonly<Record<string, string>>) {
  const reader = new AttributeReader(
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [attributePrefix + name, value])),
  )
  const { pkcs12, jks } = readKeystores(reader)
  return {
    pkcs12: pkcs12 && { ...pkcs12, password: revealPassword(pkcs12.password) },
    jks: jks && { ...jks, password: revealPassword(jks.password) },
    problems: reader.problems.map(({ attribute, message }) => `${attribute.replace(attributePrefix, '')}: ${message}`),
  }
}

test('no keystore is made that nobody asks for', () => {
  expect(read({})).toEqual({ pkcs12: undefined, jks: undefined, problems: [] })
})

test('a PKCS#12 keystore has the Go driver’s profile unless another is named', () => {
  expect(read({ 'pkcs12-enable': 'true', 'pkcs12-password': 'pässword' })).toEqual({
    pkcs12: { password: 'pässword', profile: 'LegacyRC2' },
    jks: undefined,
    problems: [],
  })
  const modern = { 'pkcs12-enable': 'true', 'pkcs12-password': 'p', 'pkcs12-profile': 'modern2023' }
  expect(read(modern).pkcs12).toEqual({ password: 'p', profile: 'Modern2023' })
})

test('a JKS keystore has cert-manager’s alias unless another is named', () => {
  expect(read({ 'jks-enable': 'true', 'jks-password': 'p' }).jks).toEqual({ password: 'p', alias: 'certificate' })
  expect(read({ 'jks-enable': 'true', 'jks-password': 'p', 'jks-alias': 'Web' }).jks).toMatchObject({ alias: 'Web' })
})

test('what is disabled needs no password, and what is given with it does no harm', () => {
  expect(read({ 'pkcs12-enable': 'false', 'jks-enable': 'false', 'pkcs12-password': 'p', 'jks-alias': 'ca' })).toEqual({
    pkcs12: undefined,
    jks: undefined,
    problems: [],
  })
})

test.each([
  [{ 'pkcs12-filename': 'a.p12' }, 'pkcs12-filename', 'pkcs12'],
  [{ 'pkcs12-password': 'hunter2' }, 'pkcs12-password', 'pkcs12'],
  [{ 'keystore-pkcs12-password': 'hunter2' }, 'pkcs12-password', 'pkcs12'],
  [{ 'pkcs12-enable': '', 'pkcs12-password': 'hunter2' }, 'pkcs12-password', 'pkcs12'],
  [{ 'pkcs12-profile': 'Modern2023' }, 'pkcs12-profile', 'pkcs12'],
  [{ 'jks-password': 'hunter2' }, 'jks-password', 'jks'],
  [{ 'jks-truststore-filename': 'a' }, 'jks-truststore-filename', 'jks'],
])('%j without its keystore is refused, and no password is quoted', (attributes, name, store) => {
  expect(read(attributes).problems).toEqual([
    `${name}: is without effect: set csi.cert-manager.io/${store}-enable to "true" or leave it out`,
  ])
})

test.each(['pkcs12', 'jks'])('a %s keystore needs a password, which a Secret may give', (store) => {
  expect(read({ [`${store}-enable`]: 'true' }).problems).toEqual([
    `${store}-password: required: a password as this attribute, or under ${store}-password in the Secret that nodePublishSecretRef names`,
  ])
})

test.each(['yes', 'True', '1'])('a keystore that is enabled by %j is refused', (value) => {
  expect(read({ 'pkcs12-enable': value, 'pkcs12-password': 'p' }).problems).toEqual([
    `pkcs12-enable: invalid value "${value}": must be "true" or "false"`,
  ])
})

test('a password that no keystore can be locked with is refused and not quoted', () => {
  const { problems } = read({ 'pkcs12-enable': 'true', 'pkcs12-password': 'hunter2\0' })
  expect(problems).toEqual(['pkcs12-password: the password has a zero character, which ends it for most readers'])
})

test.each(['ca', 'CA', 'ca-1'])('the alias %s is that of a certificate to trust', (alias) => {
  expect(read({ 'jks-enable': 'true', 'jks-password': 'p', 'jks-alias': alias }).problems).toEqual([
    `jks-alias: invalid value "${alias}": it names a certificate to trust`,
  ])
})

test('a profile that there is not is refused with those there are', () => {
  const attributes = { 'pkcs12-enable': 'true', 'pkcs12-password': 'p', 'pkcs12-profile': 'Modern' }
  expect(read(attributes).problems).toEqual([
    'pkcs12-profile: unsupported value "Modern": supported values are "LegacyRC2", "LegacyDES", "Modern2023", "Modern2026"',
  ])
})

test('a password stands in no problem, no warning, no stored context and no print of the volume, whatever else is given', () => {
  const password = 'hunter2-hunter2'
  const names = fc.constantFrom(...attributeNames, ...attributeAliases.keys(), 'pkcs12-pasword', 'unknown')
  const values = fc.oneof(
    fc.constantFrom(
      'true',
      'false',
      '',
      'RSA',
      'ECDSA',
      '$POD_NAME',
      '$X',
      'a,b',
      '1h',
      '25%',
      'ca',
      '/',
      'any',
      'DER',
    ),
    fc.string(),
  )
  const secrets = fc.subarray(['pkcs12-password', 'keystore-pkcs12-password', 'jks-password', 'pkcs12-pasword'], {
    minLength: 1,
  })
  const enabled = fc.subarray(['pkcs12-enable', 'jks-enable', 'keystore-pkcs12-enable'])
  fc.assert(
    fc.property(fc.dictionary(names, values), enabled, secrets, fc.constantFrom('', '\0', '\u{1f600}'), (...given) => {
      const [attributes, asked, passwords, end] = given
      const context: Record<string, string> = {
        [kubeletKeys.ephemeral]: 'true',
        [kubeletKeys.podName]: 'web-0',
        [kubeletKeys.podNamespace]: 'sandbox',
        [kubeletKeys.podUid]: 'u',
        [`${attributePrefix}issuer-name`]: 'ca',
      }
      for (const [name, value] of Object.entries(attributes)) context[attributePrefix + name] = value
      for (const name of asked) context[attributePrefix + name] = 'true'
      for (const name of passwords) context[attributePrefix + name] = password + end
      const result = parseVolumeSpec(context)
      const prints = [JSON.stringify(result), inspect(result, { depth: null, showHidden: true })]
      for (const print of [...prints, JSON.stringify(sanitizeContext(context))]) expect(print).not.toContain('hunter2')
    }),
    { numRuns: 1000 },
  )
})
