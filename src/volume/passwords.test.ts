import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { attributeNames, attributePrefix, kubeletKeys } from './attributes.ts'
import { passwordsIn, passwordsOf, sanitizeContext, withPasswords } from './passwords.ts'

const p12 = `${attributePrefix}pkcs12-password`
const p12Alias = `${attributePrefix}keystore-pkcs12-password`
const p12Enable = `${attributePrefix}pkcs12-enable`
const jks = `${attributePrefix}jks-password`
const jksEnable = `${attributePrefix}jks-enable`

test('the secrets of a publish give the passwords of their names, and nothing else', () => {
  const secrets = { 'pkcs12-password': 'a', 'jks-password': 'b', 'issuer-name': 'evil', [p12]: 'c' }
  expect(passwordsOf(secrets)).toEqual({ [p12]: 'a', [jks]: 'b' })
  expect(passwordsOf({ 'pkcs12-password': '' })).toEqual({})
  expect(passwordsOf({})).toEqual({})
})

test('a context has its passwords under either spelling', () => {
  expect(passwordsIn({ [p12]: 'a', [jks]: 'b', [p12Enable]: 'true' })).toEqual({ [p12]: 'a', [jks]: 'b' })
  expect(passwordsIn({ [p12Alias]: 'a' })).toEqual({ [p12]: 'a' })
  expect(passwordsIn({ [p12]: '', [p12Alias]: 'a' })).toEqual({ [p12]: 'a' })
})

test('passwords that are given go before those of the context, whatever their spelling', () => {
  const context = { [p12Enable]: 'true', [p12Alias]: 'old', other: 'x' }
  expect(withPasswords(context, { [p12]: 'new' })).toEqual({ [p12Enable]: 'true', [p12]: 'new', other: 'x' })
  expect(withPasswords(context, {})).toEqual(context)
})

test('a password for a keystore that a volume does not ask for is left out: a Secret may serve several volumes', () => {
  const given = { [p12]: 'a', [jks]: 'b' }
  expect(withPasswords({ [jksEnable]: 'true' }, given)).toEqual({ [jksEnable]: 'true', [jks]: 'b' })
  expect(withPasswords({ [`${attributePrefix}keystore-pkcs12-enable`]: 'true' }, given)).toMatchObject({ [p12]: 'a' })
  expect(withPasswords({ [p12Enable]: '' }, given)).toEqual({ [p12Enable]: '' })
})

test('what was taken out of a context is what is needed to put it together again', () => {
  const keys = fc.constantFrom(p12, p12Alias, p12Enable, jks, jksEnable, `${attributePrefix}common-name`, 'a/b')
  fc.assert(
    fc.property(fc.dictionary(keys, fc.string({ minLength: 1 })), (context) => {
      fc.pre(context[p12] === undefined || context[p12Alias] === undefined)
      fc.pre(context[p12Enable] !== undefined && context[jksEnable] !== undefined)
      const restored = withPasswords(sanitizeContext(context), passwordsIn(context))
      expect(passwordsIn(restored)).toEqual(passwordsIn(context))
      expect(sanitizeContext(restored)).toEqual(sanitizeContext(context))
    }),
  )
})

test('an attribute whose name is misspelt is not stored: it may be a password', () => {
  const context = { [`${attributePrefix}pkcs12-pasword`]: 'hunter2', [`${attributePrefix}jks-secret`]: 'hunter2' }
  expect(sanitizeContext(context)).toEqual({})
})

test('every attribute that is no password is stored', () => {
  const known = attributeNames.filter((name) => !name.endsWith('password'))
  const context = Object.fromEntries(known.map((name) => [attributePrefix + name, 'x']))
  expect(sanitizeContext(context)).toEqual(context)
})

test('what is stored of a context holds no token and no password', () => {
  const context = {
    [kubeletKeys.podName]: 'web-0',
    [kubeletKeys.tokens]: '{"":{"token":"eyJ","expirationTimestamp":"2026-01-01T00:00:00Z"}}',
    [`${attributePrefix}issuer-name`]: 'ca',
    [`${attributePrefix}pkcs12-password`]: 'hunter2',
    [`${attributePrefix}keystore-pkcs12-password`]: 'hunter2',
    [`${attributePrefix}PKCS12-Password`]: 'hunter2',
    'venafi.cert-manager.io/custom-fields': '[]',
  }
  expect(sanitizeContext(context)).toEqual({
    [kubeletKeys.podName]: 'web-0',
    [`${attributePrefix}issuer-name`]: 'ca',
    'venafi.cert-manager.io/custom-fields': '[]',
  })
})

test('what is stored of a context loses nothing else, and changes nothing', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), (context) => {
      const stored = sanitizeContext({ ...context, [kubeletKeys.tokens]: 'secret' })
      const kept = Object.entries(context).filter(([key]) => !/password/i.test(key) && !key.startsWith(attributePrefix))
      expect(Object.entries(stored)).toEqual(kept)
    }),
  )
})
