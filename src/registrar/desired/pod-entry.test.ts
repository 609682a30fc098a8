import { describe, expect, test } from 'vitest'
import type { EntrySpec } from '../../spire/entry.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import type { ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import { address, crd, node, pod, reconcile, webhook } from './fixtures/configurations.ts'
import { clusterEntry, nodeEntry } from './alias-entry.ts'
import { identityRules } from './identity-rules.ts'
import { podEntry, type Surroundings } from './pod-entry.ts'

const nothing: Surroundings = { addresses: [], bundles: new Set() }

function render(config: RegistrarConfig, changes: Partial<ObservedPod> = {}, around = nothing): Rendering {
  return podEntry(identityRules(config, 'spiffe://example.org/admin'), { ...pod, ...changes }, around)
}

function spec(config: RegistrarConfig, changes: Partial<ObservedPod> = {}, around = nothing): EntrySpec {
  const rendering = render(config, changes, around)
  if (rendering.is !== 'entry') throw new Error(JSON.stringify(rendering))
  return rendering.spec
}

const labelled = { ...reconcile, identity: { by: 'label', key: 'spiffe-id' } } as const
const annotated = { ...reconcile, identity: { by: 'annotation', key: 'spiffe.io/id' } } as const

describe('the entry of a pod', () => {
  test('in reconcile mode asks for its name, under the alias of its node', () => {
    expect(render(reconcile)).toEqual({
      is: 'entry',
      notices: [],
      spec: {
        spiffeId: 'spiffe://example.org/ns/shop/sa/web',
        parentId: 'spiffe://example.org/spire-k8s-registrar/demo/node/n1',
        selectors: [
          { type: 'k8s', value: 'ns:shop' },
          { type: 'k8s', value: 'pod-name:web-0' },
        ],
        dnsNames: [],
        federatesWith: [],
        downstream: false,
      },
    })
  })

  test('in crd mode asks for its UID, and has its name as its common name and those of its services', () => {
    expect(
      spec(crd, {}, { ...nothing, addresses: [address, { ...address, service: 'api' }, { ...address, ip: '::1' }] }),
    ).toEqual({
      spiffeId: 'spiffe://example.org/ns/shop/sa/web',
      parentId: 'spiffe://example.org/k8s-workload-registrar/demo/node/n1',
      selectors: [
        { type: 'k8s', value: 'pod-uid:b6c3b0e4' },
        { type: 'k8s', value: 'ns:shop' },
        { type: 'k8s', value: 'node-name:n1' },
      ],
      dnsNames: ['web-0', 'api.shop.svc', 'web.shop.svc'],
      federatesWith: [],
      downstream: false,
    })
  })

  test('in webhook mode has the alias of the cluster as its parent, and needs no node', () => {
    expect(spec(webhook, { nodeName: '' })).toMatchObject({
      parentId: 'spiffe://example.org/k8s-workload-registrar/demo/node',
      selectors: [{ value: 'ns:shop' }, { value: 'pod-name:web-0' }],
      dnsNames: [],
    })
  })

  test('in webhook mode with node parents waits for its node', () => {
    const config = { ...webhook, nodeParents: true }
    expect(render(config, { nodeName: '' })).toEqual({ is: 'none', reason: 'it has no node yet' })
    expect(spec(config).parentId).toBe('spiffe://example.org/k8s-workload-registrar/demo/node/n1')
  })

  test.each([
    ['kube-system', reconcile, { namespace: 'kube-system' }, 'its namespace kube-system is disabled'],
    ['no node', reconcile, { nodeName: '' }, 'it has no node yet'],
    ['no label', labelled, {}, 'it has no label spiffe-id'],
    ['no annotation', annotated, {}, 'it has no annotation spiffe.io/id'],
    ['no service account', reconcile, { serviceAccount: '' }, 'it has no service account'],
    [
      'a static pod',
      labelled,
      { labels: { 'spiffe-id': 'admin' }, mirror: true },
      'it is a static pod, and its node would choose its label spiffe-id',
    ],
  ] as const)('is none for %s', (_, config, changes, reason) => {
    expect(render(config, changes)).toEqual({ is: 'none', reason })
  })
})

describe('an ID from a label or annotation', () => {
  const from = (value: string, config: RegistrarConfig = annotated): Rendering =>
    render(config, { annotations: { 'spiffe.io/id': value }, labels: { 'spiffe-id': value } })

  test.each([
    labelled,
    annotated,
    { ...webhook, identity: annotated.identity },
    { ...crd, identity: annotated.identity },
  ])('may have many segments ($mode, $identity.by)', (config) => {
    const rendering = from('production/example-workload', config)
    expect(rendering.is === 'entry' && rendering.spec.spiffeId).toBe('spiffe://example.org/production/example-workload')
  })

  test.each([
    ['', 'annotation spiffe.io/id is empty: it must be the path of a SPIFFE ID'],
    ['/a', 'annotation spiffe.io/id is "/a": path cannot contain empty segments'],
    ['a/', 'annotation spiffe.io/id is "a/": path cannot have a trailing slash'],
    [
      'a b',
      'annotation spiffe.io/id is "a b": path segment characters are limited to letters, numbers, dots, dashes, and underscores',
    ],
    ['../spire', 'annotation spiffe.io/id is "../spire": path cannot contain dot segments'],
    ['spire/server', `annotation spiffe.io/id is "spire/server": the ID /spire/server is one of SPIRE's own IDs`],
    ['admin', `annotation spiffe.io/id is "admin": the ID /admin is the registrar's own ID`],
    [
      'k8s-workload-registrar/other/node/n2',
      'annotation spiffe.io/id is "k8s-workload-registrar/other/node/n2": the ID /k8s-workload-registrar/other/node/n2 belongs to node aliases',
    ],
    [
      'spire-k8s-registrar/other/node',
      'annotation spiffe.io/id is "spire-k8s-registrar/other/node": the ID /spire-k8s-registrar/other/node belongs to node aliases',
    ],
  ])('%j is a problem', (value, problem) => {
    expect(from(value)).toEqual({ is: 'problem', problem })
  })

  test('of a name that objects have by nature is no value', () => {
    const config = { ...reconcile, identity: { by: 'label', key: 'constructor' } } as const
    expect(render(config)).toEqual({ is: 'none', reason: 'it has no label constructor' })
  })

  test('is one that allowed_ids allows', () => {
    const allowedIds = [{ namespaces: 'sh*', paths: ['/teams/{namespace}/**'] }]
    const config = { ...annotated, allowedIds }
    expect(from('teams/shop/web', config).is).toBe('entry')
    expect(from('teams/bank/web', config)).toMatchObject({
      is: 'problem',
      problem: expect.stringContaining('is not one that allowed_ids allows in the namespace shop'),
    })
    expect(spec({ ...reconcile, allowedIds }).spiffeId).toBe('spiffe://example.org/ns/shop/sa/web')
  })
})

describe('an ID from a template', () => {
  const templated = (template: string, more: Partial<typeof crd> = {}): RegistrarConfig => ({
    ...crd,
    identity: { by: 'template', template, label: undefined },
    ...more,
  })

  test('has what the pod and the context say', () => {
    const config = templated('region/{{.Context.Region}}/pod_name/{{.Pod.Name}}', { context: { Region: 'eu' } })
    expect(spec(config).spiffeId).toBe('spiffe://example.org/region/eu/pod_name/web-0')
  })

  test.each([
    ['{{.Pod.Name', 'parsing identity template: line 1: unclosed action'],
    ['{{.Pod.pod_name}}', "executing identity template: line 1: can't evaluate field pod_name"],
    ['{{.Context.Region}}', 'executing identity template: line 1: there is no value for the key "Region"'],
    ['/ns/{{.Pod.Namespace}}', 'validating identity template: "/ns/xx": path cannot contain empty segments'],
    ['ns/{{.Pod.Namespace}}/', 'validating identity template: "ns/xx/": path cannot have a trailing slash'],
    ['ns//x', 'validating identity template: "ns//x": path cannot contain empty segments'],
    [
      'spiffe://example.org/x',
      'validating identity template: "spiffe://example.org/x": path segment characters are limited',
    ],
  ])('%s is refused at start', (template, message) => {
    expect(() => identityRules(templated(template))).toThrow(message)
  })

  test('that has none for one pod is a problem of that pod', () => {
    expect(render(templated('host/{{.Pod.Hostname}}'))).toEqual({
      is: 'problem',
      problem: 'validating identity template: "host/": path cannot have a trailing slash',
    })
  })

  test('is for pods whose label says so', () => {
    const config = { ...crd, identity: { by: 'template', template: 'x/{{.Pod.Name}}', label: 'spiffe' } } as const
    for (const value of ['true', 'True', 'TRUE']) expect(render(config, { labels: { spiffe: value } }).is).toBe('entry')
    for (const labels of [{}, { spiffe: 'false' }, { spiffe: '' }]) {
      expect(render(config, { labels })).toEqual({ is: 'none', reason: 'its label spiffe is not "true"' })
    }
  })
})

describe('the end of an identity', () => {
  const outcomes = (changes: Partial<ObservedPod>): unknown =>
    (['at_deletion', 'when_ended', 'when_gone'] as const).map(
      (termination) => render({ ...reconcile, termination }, changes).is,
    )

  test('comes with deletion, with the end of the containers, or once the pod is gone', () => {
    expect(outcomes({ terminating: true })).toEqual(['none', 'entry', 'entry'])
    expect(outcomes({ terminating: true, ended: true })).toEqual(['none', 'none', 'entry'])
  })

  test('comes with completion', () => {
    expect(outcomes({ phase: 'Succeeded', ended: true })).toEqual(['none', 'none', 'none'])
    expect(outcomes({ phase: 'Failed', ended: true })).toEqual(['none', 'none', 'none'])
  })
})

describe('federation', () => {
  const federated = (value: string, bundles: ReadonlySet<string> | undefined): Rendering =>
    render(reconcile, { annotations: { 'spiffe.io/federatesWith': value } }, { addresses: [], bundles })

  test('is with those that the server has a bundle of, each once', () => {
    expect(federated(' b.org, a.org ,,b.org,example.org', new Set(['a.org', 'b.org']))).toMatchObject({
      spec: { federatesWith: ['b.org', 'a.org'] },
      notices: [],
    })
  })

  test('leaves out what is missing or malformed, and the identity stays', () => {
    expect(federated('a.org,B.org,c.org', new Set(['a.org']))).toMatchObject({
      is: 'entry',
      spec: { federatesWith: ['a.org'] },
      notices: [
        'annotation spiffe.io/federatesWith: "B.org" cannot be the name of a trust domain',
        'annotation spiffe.io/federatesWith: the SPIRE server has no bundle of "c.org"',
      ],
    })
    expect(federated('', new Set())).toMatchObject({ spec: { federatesWith: [] }, notices: [] })
  })

  test('is with all that are named where bundles do not matter', () => {
    expect(federated('a.org', undefined)).toMatchObject({ spec: { federatesWith: ['a.org'] } })
  })
})

describe('the alias of a node', () => {
  const alias = (config: RegistrarConfig, changes: Partial<typeof node> = {}): Rendering =>
    nodeEntry(identityRules(config), { ...node, ...changes }, new Set(['a.org']))

  test('in reconcile mode is known by name, and federates as its annotation says', () => {
    expect(alias(reconcile, { annotations: { 'spiffe.io/federatesWith': 'a.org' } })).toEqual({
      is: 'entry',
      notices: [],
      spec: {
        spiffeId: 'spiffe://example.org/spire-k8s-registrar/demo/node/n1',
        parentId: 'spiffe://example.org/spire/server',
        selectors: [
          { type: 'k8s_psat', value: 'agent_node_name:n1' },
          { type: 'k8s_psat', value: 'cluster:demo' },
        ],
        dnsNames: [],
        federatesWith: ['a.org'],
        downstream: false,
      },
    })
  })

  test('in crd mode is known by UID', () => {
    expect(alias(crd, { annotations: { 'spiffe.io/federatesWith': 'a.org' } })).toMatchObject({
      spec: {
        spiffeId: 'spiffe://example.org/k8s-workload-registrar/demo/node/n1',
        selectors: [{ value: 'agent_node_uid:c0ffee' }, { value: 'cluster:demo' }],
        federatesWith: [],
      },
    })
  })

  test('stays while the node is drained, except where identities end at deletion', () => {
    expect(alias(reconcile, { terminating: true }).is).toBe('entry')
    expect(alias({ ...reconcile, termination: 'at_deletion' }, { terminating: true })).toEqual({
      is: 'none',
      reason: 'it is being deleted',
    })
  })

  test('of the whole cluster stands for all nodes in webhook mode', () => {
    expect(alias(webhook).is).toBe('none')
    expect(clusterEntry(identityRules(webhook))).toMatchObject({
      spiffeId: 'spiffe://example.org/k8s-workload-registrar/demo/node',
      parentId: 'spiffe://example.org/spire/server',
      selectors: [{ type: 'k8s_psat', value: 'cluster:demo' }],
    })
  })
})
