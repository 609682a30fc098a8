import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EntrySpec } from '../../spire/entry.ts'
import { describeDifference, differingFields } from './compare.ts'

const entry: EntrySpec = {
  spiffeId: 'spiffe://example.org/a',
  parentId: 'spiffe://example.org/n1',
  selectors: [
    { type: 'k8s', value: 'ns:a' },
    { type: 'k8s', value: 'pod-name:b' },
  ],
  dnsNames: ['a', 'b'],
  federatesWith: ['a.org', 'b.org'],
  downstream: false,
}

test('sets are the same in any order, and names are not', () => {
  const turned = { ...entry, selectors: entry.selectors.toReversed(), federatesWith: ['b.org', 'a.org'] }
  expect(describeDifference(entry, turned)).toEqual([])
  expect(describeDifference(entry, { ...entry, dnsNames: ['b', 'a'] })).toEqual(['dnsNames: in the order b a'])
})

test('each field that differs is told', () => {
  const other: EntrySpec = {
    spiffeId: 'spiffe://example.org/b',
    parentId: 'spiffe://example.org/n2',
    selectors: [{ type: 'k8s', value: 'ns:a' }],
    dnsNames: ['a', 'c'],
    federatesWith: ['a.org', 'b.org', 'c.org'],
    downstream: true,
  }
  expect(describeDifference(entry, other)).toEqual([
    'spiffeId: spiffe://example.org/a → spiffe://example.org/b',
    'parentId: spiffe://example.org/n1 → spiffe://example.org/n2',
    'selectors: -k8s:pod-name:b',
    'dnsNames: +c -b',
    'federatesWith: +c.org',
    'downstream: false → true',
  ])
})

const spec: fc.Arbitrary<EntrySpec> = fc.record({
  spiffeId: fc.constantFrom('a', 'b'),
  parentId: fc.constantFrom('a', 'b'),
  selectors: fc.uniqueArray(
    fc.record({ type: fc.constantFrom('k8s', 'k8s_psat'), value: fc.constantFrom('a:b', 'b') }),
    { selector: ({ type, value }) => `${type} ${value}`, maxLength: 3 },
  ),
  dnsNames: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
  federatesWith: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
  downstream: fc.boolean(),
})

test('an entry with its differing fields replaced is what is wanted', () => {
  fc.assert(
    fc.property(spec, spec, (one, other) => {
      const fields = differingFields(one, other)
      const mended = { ...one, ...Object.fromEntries(fields.map((field) => [field, other[field]])) }
      expect(differingFields(mended, other)).toEqual([])
      expect(describeDifference(one, other)).toHaveLength(fields.length)
      expect(differingFields(other, one)).toEqual(fields)
    }),
  )
})
