import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { aliasRoot, observedPod, serverId, spiffeId } from './fixtures/spiffe-ids.ts'
import {
  generatedObject,
  type GeneratedSpiffeId,
  generatedStep,
  nodeSpiffeId,
  podSpiffeId,
} from './generated-spiffe-id.ts'
import { readSpiffeId, type SpiffeIdResource } from './read-spiffe-id.ts'
import type { SpiffeIdSpec } from './spiffe-id-resource.ts'

const pod = observedPod('web-0')
const identity = {
  spiffeId: 'spiffe://example.org/ns/shop/sa/web',
  parentId: `${aliasRoot}/n1`,
  dnsNames: ['web-0'],
  federatesWith: ['other.org'],
}
const wanted = podSpiffeId(pod, identity)

/** What the API server holds once it was created. */
function stored(generated: GeneratedSpiffeId, changes: object = {}): SpiffeIdResource {
  const { metadata, spec } = generatedObject(generated)
  return readSpiffeId({ metadata: { ...metadata, uid: 's1', ...changes }, spec })
}

test("a pod's SpiffeID is as the former registrar makes it, with its finalizer from the start", () => {
  expect(generatedStep('Pod', pod.uid, wanted, undefined)).toEqual({
    is: 'create',
    object: {
      metadata: {
        namespace: 'shop',
        name: 'web-0',
        labels: { podUid: 'pod-uid-of-web-0' },
        ownerReferences: [
          {
            apiVersion: 'v1',
            kind: 'Pod',
            name: 'web-0',
            uid: 'pod-uid-of-web-0',
            controller: true,
            blockOwnerDeletion: false,
          },
        ],
        finalizers: ['finalizers.spiffeid.spiffe.io'],
      },
      spec: {
        spiffeId: 'spiffe://example.org/ns/shop/sa/web',
        parentId: `${aliasRoot}/n1`,
        selector: { podUid: 'pod-uid-of-web-0', namespace: 'shop', nodeName: 'n1' },
        dnsNames: ['web-0'],
        federatesWith: ['other.org'],
      },
    },
  })
})

test("a node's SpiffeID is in the registrar's namespace", () => {
  const node = { name: 'n1', uid: 'node-uid', annotations: {}, terminating: false }
  const alias = nodeSpiffeId(node, 'spire', 'demo', { spiffeId: `${aliasRoot}/n1`, parentId: serverId })
  expect(generatedObject(alias)).toMatchObject({
    metadata: { namespace: 'spire', name: 'n1', labels: { nodeUid: 'node-uid' } },
    spec: { parentId: serverId, selector: { cluster: 'demo', agent_node_uid: 'node-uid' } },
  })
  expect(generatedStep('Node', 'node-uid', alias, stored(alias))).toEqual({ is: 'nothing' })
  // Its node was made anew.
  expect(generatedStep('Node', 'other-uid', alias, stored(alias))).toEqual({ is: 'delete', uid: 's1' })
})

test('one that is as it should be is left alone', () => {
  expect(generatedStep('Pod', pod.uid, wanted, stored(wanted))).toEqual({ is: 'nothing' })
  expect(generatedStep('Pod', pod.uid, undefined, undefined)).toEqual({ is: 'nothing' })
})

test.each<[string, Partial<SpiffeIdSpec>]>([
  ['another ID', { spiffeId: 'spiffe://example.org/other' }],
  ['another parent', { parentId: `${aliasRoot}/n2` }],
  ['other names', { dnsNames: ['web-0', 'web.shop.svc'] }],
  ['no names', { dnsNames: [] }],
  ['other federation', { federatesWith: [] }],
  ['a selector more', { selector: { ...wanted.spec.selector, podName: 'web-0' } }],
  ['downstream', { downstream: true }],
])('one with %s is changed to what it should be', (_what, changes) => {
  const existing = stored({ ...wanted, spec: { ...wanted.spec, ...changes } })
  const step = generatedStep('Pod', pod.uid, wanted, existing)
  expect(step.is).toBe('change')
  if (step.is !== 'change') return
  const patched = merged({ ...wanted.spec, ...changes }, (step.patch as { spec: object }).spec)
  expect(readSpiffeId({ metadata: {}, spec: patched }).spec).toEqual(wanted.spec)
})

test('one of a former pod of the name, or that is not wanted any more, goes', () => {
  expect(generatedStep('Pod', 'another', wanted, stored(wanted))).toEqual({ is: 'delete', uid: 's1' })
  expect(generatedStep('Pod', pod.uid, undefined, stored(wanted))).toEqual({ is: 'delete', uid: 's1' })
})

test('one that is going is waited for', () => {
  const going = stored(wanted, { deletionTimestamp: 'x' })
  expect(generatedStep('Pod', 'another', wanted, going)).toEqual({ is: 'nothing' })
})

test('one that a person made, or of another object, is never touched', () => {
  expect(generatedStep('Pod', pod.uid, wanted, spiffeId('web-0'))).toEqual({
    is: 'conflict',
    message: 'there is a SpiffeID shop/web-0 which was not made for it; it stays as it is',
  })
  expect(generatedStep('Pod', pod.uid, undefined, spiffeId('web-0'))).toEqual({ is: 'nothing' })
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'web-0', uid: 'n', controller: true }
  expect(generatedStep('Pod', pod.uid, wanted, stored(wanted, { ownerReferences: [owner] }))).toMatchObject({
    is: 'conflict',
    message: expect.stringContaining('which belongs to the Node web-0') as string,
  })
})

test('a merge patch of whatever there is leads to what is wanted', () => {
  const field = fc.option(fc.constantFrom('a', 'b'), { nil: undefined })
  const before = fc.record({
    spiffeId: fc.constantFrom(wanted.spec.spiffeId, 'x'),
    parentId: fc.constantFrom(wanted.spec.parentId, 'y'),
    selector: fc.record({ podUid: field, podName: field, cluster: field, namespace: field }),
    dnsNames: fc.option(fc.array(fc.constantFrom('web-0', 'z'), { maxLength: 2 }), { nil: undefined }),
    downstream: fc.option(fc.boolean(), { nil: undefined }),
  })
  fc.assert(
    fc.property(before, (spec) => {
      const plain = JSON.parse(JSON.stringify(spec)) as Record<string, unknown>
      const { metadata } = generatedObject(wanted)
      const existing = readSpiffeId({ metadata: { ...metadata, uid: 's1' }, spec: plain })
      const step = generatedStep('Pod', pod.uid, wanted, existing)
      if (step.is === 'nothing') return
      if (step.is !== 'change') throw new Error(`unexpected ${step.is}`)
      const after = merged(plain, (step.patch as { spec: object }).spec)
      const next = readSpiffeId({ metadata: { ...metadata, uid: 's1' }, spec: after })
      expect(generatedStep('Pod', pod.uid, wanted, next)).toEqual({ is: 'nothing' })
    }),
  )
})

/** RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = typeof target === 'object' ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = merged(result[name], value)
  }
  return result
}
