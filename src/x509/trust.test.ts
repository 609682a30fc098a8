import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CertificateError, readCertificates } from './certificate.ts'
import { now, testAuthority, testLeaf, newKey, hour } from './test-pki.ts'
import { isTrusted, joinBundles } from './trust.ts'

const [one, other] = [testAuthority('one'), testAuthority('other')]
const [onePem, otherPem] = [one.certificate.pem, other.certificate.pem]
const leaf = testLeaf(one, newKey())

test('bundles are joined in their order, each certificate once, without what stands between', () => {
  expect(joinBundles([`# comment\n${onePem}`, `${otherPem}\r\n${onePem}`])).toBe(onePem + otherPem)
})

test.each([[[]], [['']], [['# nothing here\n']]])('%j hold no trust', (texts) => {
  expect(joinBundles(texts)).toBeUndefined()
})

test('a bundle with a key, or with half a certificate, is refused as a whole', () => {
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  expect(() => joinBundles([onePem, key])).toThrow(CertificateError)
  expect(() => joinBundles([onePem, otherPem.slice(0, 200)])).toThrow(CertificateError)
})

test('joining holds every certificate once, and joining again changes nothing', () => {
  const pems = [onePem, otherPem, leaf.pem]
  fc.assert(
    fc.property(fc.array(fc.array(fc.constantFrom(...pems)), { minLength: 1 }), (lists) => {
      const texts = lists.map((list) => list.join(''))
      const joined = joinBundles(texts)
      const found = joined === undefined ? [] : readCertificates(joined).map(({ pem }) => pem)
      expect(new Set(found)).toEqual(new Set(lists.flat()))
      expect(found).toHaveLength(new Set(lists.flat()).size)
      expect(joinBundles([joined ?? ''])).toBe(joined)
    }),
  )
})

test('a chain is trusted by a bundle that holds its root, also over an intermediate, and by no other', () => {
  const intermediate = testAuthority('below', { parent: one })
  const below = testLeaf(intermediate, newKey())
  expect(isTrusted(leaf.pem, otherPem + onePem, now)).toBe(true)
  expect(isTrusted(leaf.pem, otherPem, now)).toBe(false)
  expect(isTrusted(below.pem + intermediate.certificate.pem, onePem, now)).toBe(true)
  expect(isTrusted(below.pem, onePem, now)).toBe(false)
})

test('a leaf that has ended is still one of its root', () => {
  expect(isTrusted(leaf.pem, onePem, now + 2 * hour)).toBe(true)
})

test('a certificate that nobody can read does not spoil a bundle', () => {
  const odd = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n'
  expect(isTrusted(leaf.pem, odd + onePem, now)).toBe(true)
})

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (chain, bundle) => {
      expect(isTrusted(chain, onePem, now)).toBe(false)
      expect(isTrusted(leaf.pem, bundle, now)).toBe(false)
    }),
  )
})
