import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { entryProblem } from '../../spire/entry-problem.ts'
import { parseSpiffeId } from '../../spire/spiffe-id.ts'
import type { CommonConfig, PlainIdentityConfig, RegistrarConfig } from '../config/registrar-config.ts'
import type { ObservedNode, ObservedPod, ServiceAddress } from '../observed.ts'
import { isAllowedId } from './allowed-ids.ts'
import { nodeEntry } from './alias-entry.ts'
import { crd, reconcile, webhook } from './fixtures/configurations.ts'
import { identityRules } from './identity-rules.ts'
import { podEntry } from './pod-entry.ts'

const trustDomain = 'example.org'
const ownId = `spiffe://${trustDomain}/admin/registrar`

/** What someone may write who wants an ID that is not theirs, and what just goes wrong. */
const value = fc.oneof(
  fc.constantFrom(
    'spire/server',
    'spire/agent/k8s_psat/demo/c0ffee',
    '/spire/server',
    './spire',
    'spire',
    'admin/registrar',
    'admin/./registrar',
    'k8s-workload-registrar/demo/node/n1',
    'k8s-workload-registrar/demo/webhook',
    'spire-k8s-registrar/demo/node',
    'mine/demo/node/n2',
    'spiffe://example.org/spire/server',
    'teams/shop/web',
    'ns/bank/sa/vault',
    '%73pire',
    '',
    'true',
  ),
  fc.string({ maxLength: 40 }),
  fc.stringMatching(/^[a-z./]{0,12}$/),
  fc
    .array(
      fc.constantFrom(
        'spire',
        'k8s-workload-registrar',
        'mine',
        'demo',
        'node',
        'webhook',
        'admin',
        'registrar',
        'x',
        '.',
        '',
      ),
      {
        maxLength: 5,
      },
    )
    .map((segments) => segments.join('/')),
)

const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,6}[a-z0-9])?$/)
const ip = fc.oneof(fc.constant(''), fc.ipV4(), fc.ipV6())

const pod: fc.Arbitrary<ObservedPod> = fc.record({
  namespace: fc.oneof(label, fc.constantFrom('shop', 'kube-system')),
  name: fc.oneof(
    label,
    fc.tuple(label, label).map((parts) => parts.join('.')),
    fc.constant('a'.repeat(253)),
  ),
  uid: fc.uuid(),
  labels: fc.dictionary(fc.constantFrom('id', 'other'), value),
  annotations: fc.dictionary(fc.constantFrom('id', 'spiffe.io/federatesWith'), value),
  createdAt: fc.nat(),
  terminating: fc.boolean(),
  phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
  nodeName: fc.oneof(fc.constant(''), label),
  serviceAccount: fc.oneof(fc.constant(''), label),
  hostname: fc.oneof(fc.constant(''), label),
  ip,
  mirror: fc.boolean(),
  ended: fc.boolean(),
})

const addresses: fc.Arbitrary<readonly ServiceAddress[]> = fc.array(
  fc.record({
    service: fc.oneof(label, fc.string({ maxLength: 70 })),
    ip,
    hostname: fc.oneof(fc.constant(''), label, fc.string()),
    ready: fc.boolean(),
    podUid: fc.constant(''),
  }),
  { maxLength: 4 },
)

const identity = fc.constantFrom<PlainIdentityConfig>(
  { by: 'service-account' },
  { by: 'label', key: 'id' },
  { by: 'annotation', key: 'id' },
)

const template = fc.constantFrom(
  '{{.Pod.Name}}',
  '{{.Pod.Namespace}}/{{.Pod.Name}}',
  'x/{{.Pod.Hostname}}',
  '{{if eq .Pod.Namespace "shop"}}spire/server{{else}}x{{end}}',
  '{{if .Pod.Hostname}}mine/{{.Pod.Name}}/node{{else}}y{{end}}',
  'admin/{{if eq .Pod.NodeName "xx"}}x{{else}}registrar{{end}}',
)

interface Shared extends Pick<CommonConfig, 'termination' | 'allowedIds'> {
  readonly identity: PlainIdentityConfig
}

const shared: fc.Arbitrary<Shared> = fc.record({
  identity,
  termination: fc.constantFrom('at_deletion', 'when_ended', 'when_gone'),
  allowedIds: fc.constantFrom(
    undefined,
    [{ namespaces: 'sh*p', paths: ['/teams/{namespace}/*', '/**'] }],
    [{ namespaces: '*', paths: ['/teams/{namespace}/*', '/x/**'] }],
  ),
})

function configOf(
  mode: RegistrarConfig['mode'],
  common: Shared,
  flag: boolean,
  text: string | undefined,
): RegistrarConfig {
  if (mode === 'reconcile') return { ...reconcile, ...common, podDnsNames: flag, controllerName: 'mine' }
  if (mode === 'webhook') return { ...webhook, ...common, nodeParents: flag }
  return {
    ...crd,
    ...common,
    ...(text !== undefined && { identity: { by: 'template', template: text, label: flag ? 'id' : undefined } }),
    dnsNameTemplates: ['{{.Pod.Name}}', '{{.Pod.Hostname}}.{{.Pod.Namespace}}', 'x.{{.Pod.NodeName}}'],
  }
}

const config = fc
  .tuple(fc.constantFrom('reconcile', 'webhook', 'crd'), shared, fc.boolean(), fc.option(template, { nil: undefined }))
  .map((parts) => configOf(...parts))

const bundles = fc.option(fc.constant(new Set(['a', 'b.org', 'true'])), { nil: undefined })

test('no pod gets an ID that is reserved, or one that allowed_ids does not allow, and the server takes every entry', () => {
  fc.assert(
    fc.property(config, pod, addresses, bundles, (given, of, services, known) => {
      const rules = identityRules(given, ownId)
      const rendering = podEntry(rules, of, { addresses: services, bundles: known })
      if (rendering.is !== 'entry') return
      const { spec } = rendering
      expect(entryProblem(spec, trustDomain)).toBeUndefined()
      const id = parseSpiffeId(spec.spiffeId)
      const path = 'path' in id ? id.path : ''
      expect(isReserved(path, given.mode)).toBe(false)
      const isLimited = given.identity.by !== 'service-account' && given.allowedIds !== undefined
      expect(!isLimited || isAllowedId(given.allowedIds, of.namespace, path)).toBe(true)
      expect(of.mirror && (given.identity.by === 'label' || given.identity.by === 'annotation')).toBe(false)
      expect(spec.parentId.startsWith(`spiffe://${trustDomain}${rules.aliasRoot}`)).toBe(true)
      expect(spec.federatesWith.filter((name) => known?.has(name) === false)).toEqual([])
      // Whoever shows these is this pod and no other.
      const named = given.mode === 'crd' ? `pod-uid:${of.uid}` : `pod-name:${of.name}`
      expect(spec.selectors.map((selector) => selector.value)).toEqual(
        expect.arrayContaining([`ns:${of.namespace}`, named]),
      )
    }),
    { numRuns: 3000 },
  )
})

test('what is rendered depends on nothing but what is given, and changes none of it', () => {
  fc.assert(
    fc.property(config, pod, addresses, bundles, (given, of, services, known) => {
      const frozen = deepFreeze(structuredClone({ of, services }))
      const first = podEntry(identityRules(deepFreeze(structuredClone(given)), ownId), frozen.of, {
        addresses: frozen.services,
        bundles: known,
      })
      const again = podEntry(identityRules(given, ownId), of, { addresses: services.toReversed(), bundles: known })
      expect(again).toEqual(first)
    }),
    { numRuns: 1500 },
  )
})

test('problems and notices are of a size that an event takes', () => {
  const long = fc.string({ minLength: 1000, maxLength: 3000 })
  fc.assert(
    fc.property(config, pod, long, (given, of, text) => {
      const of2 = {
        ...of,
        labels: { id: text },
        annotations: { id: text, 'spiffe.io/federatesWith': text.replaceAll('a', ',') },
      }
      const rendering = podEntry(identityRules(given, ownId), of2, { addresses: [], bundles: new Set() })
      const texts =
        rendering.is === 'entry' ? rendering.notices : [rendering.is === 'none' ? rendering.reason : rendering.problem]
      for (const said of texts) expect(said.length).toBeLessThan(4000)
    }),
  )
})

const node: fc.Arbitrary<ObservedNode> = fc.record({
  name: label,
  uid: fc.uuid(),
  annotations: fc.dictionary(fc.constant('spiffe.io/federatesWith'), value),
  terminating: fc.boolean(),
})

test('the server takes the alias of every node, which is the parent of its pods', () => {
  fc.assert(
    fc.property(config, node, pod, bundles, (given, of, its, known) => {
      const rules = identityRules(given, ownId)
      const rendering = nodeEntry(rules, of, known)
      if (rendering.is !== 'entry') return
      expect(entryProblem(rendering.spec, trustDomain)).toBeUndefined()
      const child = podEntry(rules, { ...its, nodeName: of.name }, { addresses: [], bundles: known })
      expect(child.is !== 'entry' || child.spec.parentId === rendering.spec.spiffeId).toBe(true)
    }),
  )
})

/** As people would put it. */
function isReserved(path: string, mode: RegistrarConfig['mode']): boolean {
  const [, first = '', , third = ''] = path.split('/')
  if (first === 'spire' || path === '/admin/registrar') return true
  const isRegistrar = [mode === 'reconcile' ? 'mine' : '', 'k8s-workload-registrar', 'spire-k8s-registrar'].includes(
    first,
  )
  return isRegistrar && (third === 'node' || (third === 'webhook' && first === 'k8s-workload-registrar'))
}

function deepFreeze<T>(given: T): T {
  if (typeof given === 'object' && given !== null)
    for (const inner of Object.values(Object.freeze(given))) deepFreeze(inner)
  return given
}
