import { expect, test } from 'vitest'
import type { EntrySpec } from './entry.ts'
import { entryProblem } from './entry-problem.ts'

const entry: EntrySpec = {
  spiffeId: 'spiffe://example.org/ns/shop/sa/web',
  parentId: 'spiffe://example.org/spire/server',
  selectors: [{ type: 'k8s', value: 'ns:shop' }],
  dnsNames: ['web-0', '*.shop.svc', 'xn--bcher-kva.example'],
  federatesWith: ['a.org'],
  downstream: false,
}

test('an entry that the server takes has no problem', () => {
  expect(entryProblem(entry, 'example.org')).toBeUndefined()
})

test.each<[Partial<EntrySpec>, string]>([
  [
    { parentId: 'spiffe://other.org/x' },
    'invalid parent ID: "spiffe://other.org/x" is not a member of trust domain "example.org"',
  ],
  [{ parentId: 'spiffe://example.org' }, 'invalid parent ID: path is empty'],
  [{ parentId: '' }, 'invalid parent ID: cannot be empty'],
  [
    { spiffeId: 'spiffe://example.orgevil/x' },
    'invalid spiffe ID: "spiffe://example.orgevil/x" is not a member of trust domain "example.org"',
  ],
  [{ spiffeId: 'spiffe://example.org/spire' }, 'invalid spiffe ID: the path "/spire" is in the reserved namespace'],
  [
    { spiffeId: 'spiffe://example.org/spire/agent/x' },
    'invalid spiffe ID: the path "/spire/agent/x" is in the reserved namespace',
  ],
  [{ spiffeId: 'spiffe://example.org/a//b' }, 'invalid spiffe ID: path cannot contain empty segments'],
  [{ selectors: [] }, 'selector list is empty'],
  [{ selectors: [{ type: '', value: 'x' }] }, 'missing selector type'],
  [{ selectors: [{ type: 'k8s:ns', value: 'x' }] }, "selector type contains ':'"],
  [{ selectors: [{ type: 'k8s', value: '' }] }, 'missing selector value'],
  [{ selectors: [...entry.selectors, ...entry.selectors] }, 'a selector is given twice'],
  [{ dnsNames: ['a', 'a'] }, 'a DNS name is given twice'],
  [{ dnsNames: [''] }, 'invalid DNS name: ""'],
  [{ dnsNames: ['--1.shop.pod'] }, 'invalid DNS name: "--1.shop.pod"'],
  [{ dnsNames: ['a.*.b'] }, 'invalid DNS name: "a.*.b"'],
  [{ dnsNames: ['a_b'] }, 'invalid DNS name: "a_b"'],
  [{ dnsNames: ['a.'] }, 'invalid DNS name: "a."'],
  [{ dnsNames: ['A'] }, 'invalid DNS name: "A"'],
  [{ dnsNames: ['a'.repeat(64)] }, `invalid DNS name: "${'a'.repeat(64)}"`],
  [
    { federatesWith: ['B.org'] },
    'invalid federated trust domain: trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores',
  ],
])('%j is refused', (changes, problem) => {
  expect(entryProblem({ ...entry, ...changes }, 'example.org')).toBe(problem)
})
