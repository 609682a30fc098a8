import { expect, test } from 'vitest'
import type { Pod } from '../kubernetes/object.ts'
import { reconcile, crd } from './desired/fixtures/configurations.ts'
import { identityRules } from './desired/identity-rules.ts'
import { keptKeys, observeNode, observePod } from './observe.ts'

const pod: Pod = {
  metadata: {
    namespace: 'shop',
    name: 'web-0',
    uid: 'b6c3b0e4',
    creationTimestamp: '2026-11-22T11:00:00Z',
    labels: { id: 'web', app: 'web' },
    annotations: { 'spiffe.io/federatesWith': 'a.org', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
  },
  spec: { nodeName: 'n1', serviceAccountName: 'web', hostname: 'h' },
  status: { phase: 'Running', podIP: '10.0.0.7', containerStatuses: [{ state: { running: {} } }] },
}
const keys = { labels: ['id'], annotations: ['spiffe.io/federatesWith'] }

test('of a pod is kept what its identity depends on', () => {
  expect(observePod(pod, keys)).toEqual({
    namespace: 'shop',
    name: 'web-0',
    uid: 'b6c3b0e4',
    labels: { id: 'web' },
    annotations: { 'spiffe.io/federatesWith': 'a.org' },
    createdAt: Date.UTC(2026, 10, 22, 11),
    terminating: false,
    phase: 'Running',
    nodeName: 'n1',
    serviceAccount: 'web',
    hostname: 'h',
    ip: '10.0.0.7',
    mirror: false,
    ended: false,
  })
})

test('what a pod lacks is empty', () => {
  expect(observePod({ metadata: {} }, keys)).toMatchObject({
    name: '',
    labels: {},
    phase: 'Unknown',
    nodeName: '',
    ip: '',
    createdAt: 0,
  })
})

test('a pod has ended once it has completed, or is deleted and none of its containers runs', () => {
  const ended = (status: Pod['status'], deletionTimestamp?: string): boolean =>
    observePod(
      {
        ...pod,
        metadata: { ...pod.metadata, ...(deletionTimestamp && { deletionTimestamp }) },
        ...(status && { status }),
      },
      keys,
    ).ended
  const over = { state: { terminated: {} } }
  const deleted = '2026-11-22T11:01:00Z'
  expect(ended({ phase: 'Succeeded' })).toBe(true)
  expect(ended({ phase: 'Failed' })).toBe(true)
  expect(ended({ phase: 'Running', containerStatuses: [over] })).toBe(false)
  expect(ended({ phase: 'Running', containerStatuses: [over] }, deleted)).toBe(true)
  expect(ended({ phase: 'Running', containerStatuses: [over, { state: { running: {} } }] }, deleted)).toBe(false)
  expect(ended({ phase: 'Pending' }, deleted)).toBe(false)
})

test('a static pod is known by the annotation of its kubelet', () => {
  const annotations = { 'kubernetes.io/config.mirror': 'x' }
  expect(observePod({ ...pod, metadata: { ...pod.metadata, annotations } }, keys)).toMatchObject({
    mirror: true,
    annotations: {},
  })
})

test('the labels and annotations that are kept are those of the rules', () => {
  const federation = 'spiffe.io/federatesWith'
  const kept = (identity: typeof crd.identity): unknown => keptKeys(identityRules({ ...crd, identity }))
  expect(keptKeys(identityRules(reconcile))).toEqual({ labels: [], annotations: [federation] })
  expect(kept({ by: 'label', key: 'id' })).toEqual({ labels: ['id'], annotations: [federation] })
  expect(kept({ by: 'annotation', key: 'id' })).toEqual({ labels: [], annotations: ['id', federation] })
  expect(kept({ by: 'template', template: 'x', label: 'on' })).toEqual({ labels: ['on'], annotations: [federation] })
})

test('of a node is kept its name and UID, and with whom it federates', () => {
  const metadata = {
    name: 'n1',
    uid: 'c0ffee',
    annotations: { 'spiffe.io/federatesWith': 'a.org', other: 'x' },
    deletionTimestamp: 'x',
  }
  expect(observeNode({ metadata })).toEqual({
    name: 'n1',
    uid: 'c0ffee',
    annotations: { 'spiffe.io/federatesWith': 'a.org' },
    terminating: true,
  })
})
