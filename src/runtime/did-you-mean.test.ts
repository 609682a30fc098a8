import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { didYouMean } from './did-you-mean.ts'

/** Names as a volume's attributes have them: some near to one another, some far. */
const names = [
  'issuer-name',
  'issuer-kind',
  'issuer-group',
  'common-name',
  'dns-names',
  'ip-sans',
  'uri-sans',
  'duration',
  'is-ca',
  'key-usages',
  'ca-file',
  'certificate-file',
  'privatekey-file',
  'fs-group',
  'renew-before',
  'reuse-private-key',
]

test.each([
  ['dns-name', 'dns-names'],
  ['dnsnames', 'dns-names'],
  ['DNS-Names', 'dns-names'],
  ['dns_names', 'dns-names'],
  ['dsn-names', 'dns-names'],
  ['issuername', 'issuer-name'],
  ['issuer-kid', 'issuer-kind'],
  ['privatekeyfile', 'privatekey-file'],
  ['renewbefore', 'renew-before'],
  ['uri-san', 'uri-sans'],
  ['is-cA', 'is-ca'],
])('%j was meant as %j', (name, meant) => {
  expect(didYouMean(name, names)).toBe(meant)
})

test.each(['', 'x', 'tls', 'revision-limit', 'venafi-zone', 'passphrase'])('%j is like none', (name) => {
  expect(didYouMean(name, names)).toBeUndefined()
})

test('of two names as near, the first one is meant', () => {
  expect(didYouMean('cat', ['bat', 'rat'])).toBe('bat')
  expect(didYouMean('rat', ['bat', 'rat'])).toBe('rat')
})

test('a known name is meant by itself, also with one letter left out, doubled, changed or swapped with its neighbour', () => {
  const typo = fc.constantFrom(
    (name: string, at: number) => name.slice(0, at) + name.slice(at + 1),
    (name: string, at: number) => name.slice(0, at + 1) + name.slice(at),
    (name: string, at: number) => `${name.slice(0, at)}#${name.slice(at + 1)}`,
    (name: string, at: number) => name.slice(0, at) + (name[at + 1] ?? '') + (name[at] ?? '') + name.slice(at + 2),
  )
  fc.assert(
    fc.property(fc.constantFrom(...names), typo, fc.nat(4), (name, change, at) => {
      expect(didYouMean(name, names)).toBe(name)
      expect(didYouMean(change(name, at), names)).toBeDefined()
      expect(didYouMean(change(name, at), [name])).toBe(name)
    }),
  )
})

test('what is meant is a known name, and no more than a third of it differs in length', () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.string({ minLength: 1 })), (name, known) => {
      const meant = didYouMean(name, known)
      if (meant === undefined) return
      expect(known).toContain(meant)
      expect(Math.abs(meant.length - name.toLowerCase().length)).toBeLessThanOrEqual(Math.max(1, meant.length / 3))
    }),
  )
})

test('a name of a million letters is compared with none', () => {
  expect(didYouMean('a'.repeat(1_000_000), names)).toBeUndefined()
})
