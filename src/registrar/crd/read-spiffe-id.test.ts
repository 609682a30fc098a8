import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { goodSpec, spiffeIdObject } from './fixtures/spiffe-ids.ts'
import { readSpec, readSpiffeId, selectorsOf } from './read-spiffe-id.ts'
import type { SpiffeIdObject } from './spiffe-id-resource.ts'

test('a SpiffeID is read with who made it', () => {
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'web-0', uid: 'p1', controller: true }
  const object = spiffeIdObject('web-0', {
    metadata: {
      namespace: 'shop',
      name: 'web-0',
      labels: { podUid: 'p1' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'n' }, owner],
      deletionTimestamp: '2026-11-22T10:00:00Z',
    },
    status: { entryId: 'e1' },
  })
  expect(readSpiffeId(object)).toMatchObject({
    namespace: 'shop',
    name: 'web-0',
    podUid: 'p1',
    controller: { kind: 'Pod', name: 'web-0', uid: 'p1' },
    terminating: true,
    spec: goodSpec(),
    status: { entryId: 'e1' },
  })
})

test('every mistake is told at once', () => {
  const spec = {
    spiffeId: 7,
    selector: { podName: {}, arbitrary: ['a', 1], podLabel: { app: true } },
    dnsNames: 'web',
    federatesWith: [null],
    downstream: 'yes',
  }
  expect(readSpec(spec)).toEqual({
    problems: [
      'spec.spiffeId must be a text',
      'spec.parentId is missing',
      'spec.selector.podName must be a text',
      'spec.selector.arbitrary must be a list of texts',
      'spec.selector.podLabel must be an object whose values are texts',
      'spec.dnsNames must be a list of texts',
      'spec.federatesWith must be a list of texts',
      'spec.downstream must be true or false',
    ],
  })
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a list', []],
  ['a text', 'spec'],
])('%s is no spec', (_what, spec) => {
  expect(readSpec(spec)).toEqual({ problems: ['spec is missing'] })
})

test('null is as good as nothing, and so is an empty selector', () => {
  const spec = { ...goodSpec(), dnsNames: null, selector: { namespace: 'shop', podName: '', cluster: null } }
  expect(readSpec(spec)).toEqual(goodSpec({ selector: { namespace: 'shop' } }))
})

test('whatever stands in an object, it is read without a crash', () => {
  fc.assert(
    fc.property(fc.anything(), fc.anything(), (spec, selector) => {
      const object: SpiffeIdObject = { metadata: {}, spec }
      expect(() => readSpiffeId(object)).not.toThrow()
      const read = readSpec({ spiffeId: 'a', parentId: 'b', selector })
      if (!('problems' in read)) selectorsOf(read.selector)
    }),
  )
})

test('selectors are those of the former registrar, in its order, each once', () => {
  const selectors = selectorsOf({
    cluster: 'demo',
    agent_node_uid: 'n',
    podLabel: { app: 'web', tier: 'front' },
    podName: 'web-0',
    podUid: 'u',
    namespace: 'shop',
    serviceAccount: 'web',
    containerName: 'main',
    containerImage: 'web:1',
    nodeName: 'n1',
    arbitrary: ['pod-owner:ReplicaSet:web', 'ns:shop'],
  })
  expect(selectors.map(({ type, value }) => `${type}:${value}`)).toEqual([
    'k8s_psat:cluster:demo',
    'k8s_psat:agent_node_uid:n',
    'k8s:pod-label:app:web',
    'k8s:pod-label:tier:front',
    'k8s:pod-name:web-0',
    'k8s:pod-uid:u',
    'k8s:ns:shop',
    'k8s:sa:web',
    'k8s:container-name:main',
    'k8s:container-image:web:1',
    'k8s:node-name:n1',
    'k8s:pod-owner:ReplicaSet:web',
  ])
})
