import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEntries } from './read-entries.ts'

const read = (value: unknown) => readEntries({ name: 'entries.json', text: JSON.stringify(value) })

const entry = {
  id: '1f2e',
  spiffe_id: { trust_domain: 'example.org', path: '/web' },
  parent_id: { trust_domain: 'example.org', path: '/spire/server' },
  selectors: [{ type: 'k8s', value: 'ns:shop' }],
  x509_svid_ttl: 0,
  federates_with: ['a.org'],
  hint: '',
  admin: false,
  created_at: '1795000000',
  downstream: false,
  expires_at: '0',
  dns_names: ['b', 'a'],
  revision_number: '7',
  store_svid: false,
  jwt_svid_ttl: 0,
}

test('an entry is read as the command line of SPIRE prints it', () => {
  expect(read({ entries: [entry], next_page_token: '' })).toEqual({
    problems: [],
    entries: [
      {
        id: '1f2e',
        spiffeId: 'spiffe://example.org/web',
        parentId: 'spiffe://example.org/spire/server',
        selectors: [{ type: 'k8s', value: 'ns:shop' }],
        dnsNames: ['b', 'a'],
        federatesWith: ['a.org'],
        downstream: false,
        admin: false,
        revision: 7n,
      },
    ],
  })
})

test('a server without entries prints none', () => {
  expect(read({ entries: [], next_page_token: '' })).toEqual({ entries: [], problems: [] })
  expect(read({ next_page_token: '' })).toEqual({ entries: [], problems: [] })
})

test.each([
  [{ ...entry, id: '' }, 'entries[0] has no id'],
  [{ ...entry, spiffe_id: 'spiffe://example.org/web' }, 'entries[0] has no spiffe_id or no parent_id'],
  [{ ...entry, selectors: ['k8s:ns:shop'] }, 'entries[0] has no selectors'],
  [{ ...entry, dns_names: 'a' }, 'entries[0] has dns_names or federates_with that are no lists of texts'],
  [null, 'entries[0] is no object'],
])('%j is refused', (wrong, message) => {
  expect(read({ entries: [wrong] }).problems).toEqual([{ location: { source: 'entries.json' }, message }])
})

test('what is printed for people is not taken', () => {
  const text = 'Found 1 entry\nEntry ID : 1f2e'
  expect(readEntries({ name: 'e', text }).problems[0]?.message).toContain('-output json')
})

test('whatever a file holds, it is read or refused', () => {
  const any = fc.anything({ key: fc.constantFrom(...Object.keys(entry), 'entries', 'trust_domain', 'path') })
  fc.assert(
    fc.property(any, (value) => {
      const text = JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one)) ?? ''
      const { entries, problems } = readEntries({ name: 'e', text })
      expect(entries.length > 0 && problems.length > 0 && entries.some(({ id }) => id === '')).toBe(false)
    }),
  )
})
