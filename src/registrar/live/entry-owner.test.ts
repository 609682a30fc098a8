import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Entry, EntrySpec } from '../../spire/entry.ts'
import { clusterEntry, nodeEntry } from '../desired/alias-entry.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { reservedIds } from '../desired/reserved-ids.ts'
import { podEntry } from '../desired/pod-entry.ts'
import type { ObservedPod } from '../observed.ts'
import { ownershipOf, ownerOf } from './entry-owner.ts'
import { clusterKey, nodeKey, parseKey, podKey } from './object-keys.ts'

const ids = { prefix: 'podpass', cluster: 'demo' }

function rulesOf(nodesBy: 'name' | 'uid', parents: 'node' | 'cluster'): IdentityRules {
  return {
    trustDomain: 'example.org',
    cluster: 'demo',
    aliasRoot: '/spire-k8s-registrar/demo/node',
    nodesBy,
    nodesFederate: false,
    parents,
    podsBy: 'name',
    identity: { by: 'service-account' },
    names: { by: 'nothing' },
    disabledNamespaces: new Set(),
    allowedIds: undefined,
    reserved: reservedIds(undefined, undefined),
    termination: 'when_gone',
  }
}

const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9.-]{0,20}[a-z0-9])?$/)

const pod = (namespace: string, podName: string): ObservedPod => ({
  namespace,
  name: podName,
  uid: 'u1',
  labels: {},
  annotations: {},
  createdAt: 0,
  terminating: false,
  phase: 'Running',
  nodeName: 'n1',
  serviceAccount: 'web',
  hostname: '',
  ip: '',
  mirror: false,
  ended: false,
})

/** As the server of another registrar would hold it: with an id of its own. */
const held = (spec: EntrySpec): Entry => ({
  ...spec,
  id: 'f3b4a6a0-0000-4000-8000-000000000000',
  revision: 0n,
  admin: false,
})

function specOf(rendering: ReturnType<typeof podEntry>): EntrySpec {
  if (rendering.is !== 'entry') throw new Error(`it is ${rendering.is}`)
  return rendering.spec
}

const surroundings = { addresses: [], bundles: undefined }

test.each<readonly ['name' | 'uid', 'node' | 'cluster']>([
  ['name', 'node'],
  ['uid', 'node'],
  ['uid', 'cluster'],
])('a pod is found by its entry, with nodes by %s and parents by %s', (nodesBy, parents) => {
  const rules = rulesOf(nodesBy, parents)
  fc.assert(
    fc.property(name, name, (namespace, podName) => {
      const spec = specOf(podEntry(rules, pod(namespace, podName), surroundings))
      expect(ownerOf(held(spec), rules, ownershipOf(rules, ids, undefined))).toBe(podKey(namespace, podName))
      expect(parseKey(podKey(namespace, podName))).toEqual({ kind: 'pod', namespace, name: podName })
    }),
  )
})

test.each<'name' | 'uid'>(['name', 'uid'])('a node is found by its alias, by %s', (nodesBy) => {
  const rules = rulesOf(nodesBy, 'node')
  fc.assert(
    fc.property(name, (nodeName) => {
      const node = { name: nodeName, uid: 'u2', annotations: {}, terminating: false }
      const spec = specOf(nodeEntry(rules, node, undefined))
      expect(ownerOf(held(spec), rules, ownershipOf(rules, ids, undefined))).toBe(nodeKey(nodeName))
    }),
  )
})

test('the alias of all nodes is found', () => {
  const rules = rulesOf('uid', 'cluster')
  expect(ownerOf(held(clusterEntry(rules)), rules, ownershipOf(rules, ids, undefined))).toBe(clusterKey)
})

test('an entry of another cluster, of an administrator, or with another parent is nobody of this registrar', () => {
  const rules = rulesOf('name', 'node')
  const ownership = ownershipOf(rules, ids, 'spiffe://example.org/registrar')
  const spec = specOf(podEntry(rules, pod('shop', 'web'), { addresses: [], bundles: undefined }))
  const parentId = 'spiffe://example.org/spire-k8s-registrar/demo/node-x/n1'
  expect(ownerOf(held({ ...spec, parentId }), rules, ownership)).toBeUndefined()
  expect(ownerOf({ ...held(spec), admin: true }, rules, ownership)).toBeUndefined()
  expect(ownerOf(held({ ...spec, spiffeId: 'spiffe://example.org/registrar' }), rules, ownership)).toBeUndefined()
})

test('an entry under the root that says of no object that it is its, is kept by its own id', () => {
  const rules = rulesOf('name', 'node')
  const spec = specOf(podEntry(rules, pod('shop', 'web'), { addresses: [], bundles: undefined }))
  const more = held({ ...spec, selectors: [...spec.selectors, { type: 'k8s', value: 'sa:web' }] })
  expect(ownerOf(more, rules, ownershipOf(rules, ids, undefined))).toBe(`entry/${more.id}`)
})
