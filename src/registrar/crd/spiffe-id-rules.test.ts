import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { entryProblem } from '../../spire/entry-problem.ts'
import { aliasRoot, goodSpec, registrarNamespace, rules, serverId, trustDomain } from './fixtures/spiffe-ids.ts'
import { spiffeIdEntry } from './spiffe-id-entry.ts'
import type { SpiffeIdSpec } from './spiffe-id-resource.ts'
import { isLawful, summarize, violationsOf } from './spiffe-id-rules.ts'

function messages(spec: SpiffeIdSpec, namespace = 'shop', of = rules()): readonly string[] {
  return violationsOf({ namespace, spec }, of).map(({ message }) => message)
}

const alias = (changes: Partial<SpiffeIdSpec> = {}): SpiffeIdSpec => ({
  spiffeId: 'spiffe://example.org/rack/7',
  parentId: serverId,
  selector: { cluster: 'demo' },
  ...changes,
})

test('what a namespace may ask for breaks no rule', () => {
  expect(messages(goodSpec())).toEqual([])
  expect(messages(goodSpec({ parentId: aliasRoot }))).toEqual([])
  expect(messages(goodSpec({ parentId: 'spiffe://example.org/rack/7' }))).toEqual([])
})

describe('the rules of the former registrar, in its words', () => {
  test.each<[string, Partial<SpiffeIdSpec>, string]>([
    [
      'a parent of another trust domain',
      { parentId: 'spiffe://other.org/k8s-workload-registrar/demo/node/n1' },
      'spec.parentId must begin with spiffe://example.org',
    ],
    [
      'a SPIFFE ID of another trust domain',
      { spiffeId: 'spiffe://other.org/a' },
      'spec.spiffeId must begin with spiffe://example.org',
    ],
    ['a SPIFFE ID that is none', { spiffeId: '/ns/shop' }, 'spec.spiffeId must begin with spiffe://example.org'],
    [
      'the selectors of nodes',
      { selector: { namespace: 'shop', cluster: 'demo' } },
      'spec.Selector.Cluster and spec.Selector.AgentNodeUid can only be used by the k8s-workload-registrar',
    ],
    [
      'the selector of one node',
      { selector: { namespace: 'shop', agent_node_uid: 'n' } },
      'spec.Selector.Cluster and spec.Selector.AgentNodeUid can only be used by the k8s-workload-registrar',
    ],
    [
      'the namespace of others',
      { selector: { namespace: 'bank' } },
      'spec.Selector.Namespace must match namespace of resource',
    ],
    ['no namespace', { selector: { podName: 'web-0' } }, 'spec.Selector.Namespace must match namespace of resource'],
  ])('%s', (_what, changes, message) => {
    expect(messages(goodSpec(changes))).toEqual([message])
  })

  test('a DNS name that is none', () => {
    const [message] = messages(goodSpec({ dnsNames: ['web.shop.svc', 'a b'] }))
    expect(message).toMatch(/^invalid DNS name "a b": /)
  })
})

describe('rules beyond those', () => {
  test.each<[string, Partial<SpiffeIdSpec>, RegExp]>([
    [
      'a trust domain that only begins like the own one',
      { spiffeId: 'spiffe://example.orgevil/x' },
      /^spec\.spiffeId spiffe:\/\/example\.orgevil\/x is in the trust domain example\.orgevil, not in example\.org$/,
    ],
    [
      'an ID without a path',
      { spiffeId: 'spiffe://example.org' },
      /^spec\.spiffeId spiffe:\/\/example\.org has no path$/,
    ],
    [
      'an ID that is malformed',
      { spiffeId: 'spiffe://example.org/a//b' },
      /is no SPIFFE ID: path cannot contain empty/,
    ],
    ["SPIRE's own IDs", { spiffeId: 'spiffe://example.org/spire/agent/x' }, /is one of SPIRE's own IDs$/],
    ["the registrar's own ID", { spiffeId: 'spiffe://example.org/registrar' }, /is the registrar's own ID$/],
    ['the alias of a node', { spiffeId: `${aliasRoot}/n1` }, /belongs to node aliases$/],
    [
      'the alias of a node of another cluster',
      { spiffeId: 'spiffe://example.org/spire-k8s-registrar/other/node/n1' },
      /belongs to node aliases$/,
    ],
    ['the server as parent', { parentId: serverId }, /^spec\.parentId .* is no alias of nodes of this cluster/],
    [
      'an agent as parent',
      { parentId: 'spiffe://example.org/spire/agent/k8s_psat/demo/u' },
      /is no alias of nodes of this cluster/,
    ],
    [
      'a node of another cluster as parent',
      { parentId: 'spiffe://example.org/k8s-workload-registrar/other/node/n1' },
      /is no alias of nodes of this cluster/,
    ],
    ['something below a node as parent', { parentId: `${aliasRoot}/n1/x` }, /is no alias of nodes of this cluster/],
    [
      'a parent that only begins like the root',
      { parentId: `${aliasRoot}-x/n1` },
      /is no alias of nodes of this cluster/,
    ],
    ['downstream', { downstream: true }, /allow_downstream_namespaces$/],
    [
      'an empty selector',
      { selector: { namespace: 'shop', arbitrary: [''] } },
      /^spec\.selector\.arbitrary holds an empty text$/,
    ],
    [
      'more names than a certificate takes',
      { dnsNames: Array.from({ length: 257 }, (_, place) => `w${place}.shop.svc`) },
      /^spec\.dnsNames holds 257 names, and a certificate takes 256$/,
    ],
    [
      'selectors without end',
      { selector: { namespace: 'shop', arbitrary: ['x'.repeat(20_000)] } },
      /^spec\.selector has 20007 characters, and may have 16384$/,
    ],
  ])('%s', (_what, changes, message) => {
    const found = messages(goodSpec(changes))
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(message)
  })

  test('downstream is allowed where the configuration allows it', () => {
    const own = rules({ allowDownstreamNamespaces: ['shop'] })
    expect(messages(goodSpec({ downstream: true }), 'shop', own)).toEqual([])
  })

  test('allowed_ids limits IDs as it limits those of pods', () => {
    const own = rules({ allowedIds: [{ namespaces: 'shop', paths: ['/teams/{namespace}/*'] }] })
    expect(messages(goodSpec({ spiffeId: 'spiffe://example.org/teams/shop/web' }), 'shop', own)).toEqual([])
    const [message] = messages(goodSpec({ spiffeId: 'spiffe://example.org/teams/bank/web' }), 'shop', own)
    expect(message).toMatch(/^spec\.spiffeId .* allowed_ids allows in the namespace shop$/)
  })
})

describe("the registrar's own namespace", () => {
  test('may name aliases of nodes, under the root of its own aliases too', () => {
    expect(messages(alias(), registrarNamespace)).toEqual([])
    expect(messages(alias({ spiffeId: `${aliasRoot}/n1` }), registrarNamespace)).toEqual([])
    expect(messages(alias({ selector: { agent_node_uid: 'n' } }), registrarNamespace)).toEqual([])
  })

  test("may not name SPIRE's IDs, nor the registrar's", () => {
    expect(messages(alias({ spiffeId: serverId }), registrarNamespace)[0]).toMatch(/is one of SPIRE's own IDs$/)
    expect(messages(alias({ spiffeId: 'spiffe://example.org/registrar' }), registrarNamespace)[0]).toMatch(
      /is the registrar's own ID$/,
    )
  })

  test('is held to the rules of every other one for workloads', () => {
    const [message] = messages(goodSpec({ parentId: serverId, selector: { namespace: 'spire' } }), registrarNamespace)
    expect(message).toContain('is no alias of nodes')
  })
})

test('several broken rules are told as one, with the reason of the first', () => {
  const spec = goodSpec({ selector: { namespace: 'bank' }, downstream: true })
  const summary = summarize(violationsOf({ namespace: 'shop', spec }, rules()))
  expect(summary?.reason).toBe('NamespaceMismatch')
  expect(summary?.message).toMatch(/^spec\.Selector\.Namespace must match namespace of resource; spec\.downstream/)
  expect(summarize([])).toBeUndefined()
})

const segment = fc.oneof(
  fc.constantFrom(
    'ns',
    'shop',
    'sa',
    'web',
    'spire',
    'k8s-workload-registrar',
    'demo',
    'node',
    'n1',
    'registrar',
    '',
    '..',
  ),
  fc.string({ maxLength: 4 }),
)
const id = fc
  .tuple(
    fc.constantFrom(
      'spiffe://example.org',
      'spiffe://example.orgevil',
      'spiffe://other',
      '',
      'spiffe://example.org/ns/shop',
    ),
    fc.array(segment, { maxLength: 6 }),
  )
  .map(([start, segments]) => [start, ...segments].join('/'))
const text = fc.oneof(fc.constantFrom('shop', 'bank', 'demo', ''), fc.string({ maxLength: 4 }))
const selector = fc.record(
  {
    cluster: text,
    agent_node_uid: text,
    namespace: text,
    podName: text,
    podLabel: fc.dictionary(text, text, { maxKeys: 2 }),
    arbitrary: fc.array(text, { maxLength: 2 }),
  },
  { requiredKeys: [] },
)
const anySpec: fc.Arbitrary<SpiffeIdSpec> = fc.record(
  {
    spiffeId: fc.oneof(id, fc.constant(goodSpec().spiffeId)),
    parentId: fc.oneof(id, fc.constant(goodSpec().parentId)),
    selector: fc.oneof(selector, fc.constant(goodSpec().selector)),
    dnsNames: fc.array(fc.oneof(fc.constantFrom('web', '*.web', 'a..b'), fc.string({ maxLength: 4 })), {
      maxLength: 3,
    }),
    federatesWith: fc.array(fc.oneof(fc.constantFrom('other.org', ' other.org'), fc.string({ maxLength: 4 })), {
      maxLength: 2,
    }),
    downstream: fc.boolean(),
  },
  { requiredKeys: ['spiffeId', 'parentId', 'selector'] },
)

test('whatever breaks no rule is an entry that the server takes, and gives nobody what is not theirs', () => {
  let good = 0
  fc.assert(
    fc.property(anySpec, (spec) => {
      if (messages(spec).length > 0) return
      good += 1
      const entry = spiffeIdEntry(spec, { federated: undefined, serviceNames: ['web.shop.svc'] }).spec
      expect(entryProblem(entry, trustDomain)).toBeUndefined()
      expect(entry.selectors).toContainEqual({ type: 'k8s', value: 'ns:shop' })
      expect(entry.selectors.every(({ type }) => type === 'k8s')).toBe(true)
      expect(entry.spiffeId).not.toMatch(/^spiffe:\/\/example\.org\/(spire|registrar)(\/|$)/)
      expect(entry.spiffeId.startsWith(`${aliasRoot}/`)).toBe(false)
      expect(entry.downstream).toBe(false)
      expect(isLawful(entry, 'shop', rules())).toBe(true)
    }),
    { numRuns: 2000 },
  )
  expect(good).toBeGreaterThan(20)
})

test.each<[string, Partial<SpiffeIdSpec>, boolean]>([
  ['as it may be', {}, true],
  ["of another namespace's pods", { selector: { namespace: 'bank' } }, false],
  ['downstream', { downstream: true }, false],
  ["under the server's own ID", { parentId: serverId }, false],
  ['an alias', { selector: { cluster: 'demo' } }, false],
])('an entry %s is lawful: %s', (_what, changes, expected) => {
  const entry = spiffeIdEntry(goodSpec(changes), { federated: undefined, serviceNames: [] }).spec
  expect(isLawful(entry, 'shop', rules())).toBe(expected)
})
