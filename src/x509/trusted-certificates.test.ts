import { expect, test } from 'vitest'
import { testAuthority } from './test-pki.ts'
import { readTrustedCertificates, rememberingTrusted } from './trusted-certificates.ts'

const bundles = Array.from({ length: 9 }, (_, index) => testAuthority(`CA ${index}`).certificate.pem) as [
  string,
  ...string[],
]

test('a bundle that is asked for again is not read again', () => {
  const read = rememberingTrusted()
  const [first] = bundles
  const trusted = read(first)
  expect(trusted).toEqual(readTrustedCertificates(first))
  expect(read(first)).toBe(trusted)
})

test('a bundle that cannot be read gives its problem each time', () => {
  const read = rememberingTrusted()
  for (let time = 0; time < 2; time++)
    expect(read('nothing').problem).toBe('the CA given holds no certificate that can be read')
})

test('only the bundles that were used last are kept', () => {
  const read = rememberingTrusted()
  const [first, second, ...others] = bundles as [string, string, ...string[]]
  const [of1, of2] = [read(first), read(second)]
  for (const bundle of others) {
    read(bundle)
    expect(read(first)).toBe(of1)
  }
  expect(read(second)).not.toBe(of2)
  expect(read(second)).toEqual(of2)
})
