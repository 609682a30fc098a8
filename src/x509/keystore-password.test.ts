import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeKeystorePassword, KeystorePasswordError, keystorePasswordProblem } from './keystore-password.ts'

describe('a password is written in UTF-16, big endian', () => {
  test.each([
    ['', ''],
    ['ab', '00610062'],
    ['pä€', '007000e420ac'],
    ['\u{1f600}', 'd83dde00'],
  ])('%j', (password, expected) => {
    expect(encodeKeystorePassword(password).toHex()).toBe(expected)
  })

  test('also any other one that can be written', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (password) => {
        fc.pre(keystorePasswordProblem(password) === undefined)
        const bytes = Buffer.from(encodeKeystorePassword(password))
        expect(bytes.swap16().toString('utf16le')).toBe(password)
      }),
    )
  })
})

describe('a password is refused, and not quoted,', () => {
  test.each([
    ['with half a character', 'geheim\u{d800}', 'the password is not valid Unicode'],
    ['with a zero character', 'geheim\0', 'the password has a zero character, which ends it for most readers'],
  ])('%s', (_name, password, message) => {
    expect(keystorePasswordProblem(password)).toBe(message)
    expect(() => encodeKeystorePassword(password)).toThrow(new KeystorePasswordError(message))
  })
})
