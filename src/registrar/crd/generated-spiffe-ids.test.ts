import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { until } from '../../../test/support/until.ts'
import { ApiError, ConnectionError } from '../../kubernetes/errors.ts'
import { silentLog } from '../../runtime/log.ts'
import { clusterEntry, nodeEntry } from '../desired/alias-entry.ts'
import { podEntry } from '../desired/pod-entry.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import { aliasRoot, now, observedPod, rules, spiffeId } from './fixtures/spiffe-ids.ts'
import { GeneratedSpiffeIds } from './generated-spiffe-ids.ts'
import { readSpiffeId, type SpiffeIdResource } from './read-spiffe-id.ts'
import type { SpiffeIdObject } from './spiffe-id-resource.ts'

const { identity } = rules()
const open: GeneratedSpiffeIds[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

function world(...errors: readonly Error[]) {
  const clock = new ManualClock(now)
  const pods = new Map<string, ObservedPod>()
  const nodes = new Map<string, ObservedNode>()
  const stored = new Map<string, SpiffeIdResource>()
  const writes: string[] = []
  const obstacles: string[] = []
  const failures = [...errors]
  const write = (what: string): void => {
    const error = failures.shift()
    if (error !== undefined) throw error
    writes.push(what)
  }
  const renderPod = (pod: ObservedPod): Rendering => podEntry(identity, pod, { addresses: [], bundles: undefined })
  const generated = new GeneratedSpiffeIds({
    client: {
      create: async (_resource: unknown, object: SpiffeIdObject) => {
        const { namespace = '', name = '' } = object.metadata
        write(`create ${namespace}/${name}`)
        stored.set(`${namespace}/${name}`, readSpiffeId({ ...object, metadata: { ...object.metadata, uid: 's1' } }))
        return object as never
      },
      patch: async (_resource: unknown, { name }: { name: string }) => {
        write(`patch ${name}`)
        return {} as never
      },
      delete: async (_resource: unknown, { name }: { name: string }, options) => {
        write(`delete ${name} ${options?.preconditions?.uid}`)
      },
    },
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    node: (name) => nodes.get(name),
    existing: (namespace, name) => stored.get(`${namespace}/${name}`),
    renderPod,
    renderNode: (node) => nodeEntry(identity, node, undefined),
    namespace: 'spire',
    cluster: 'demo',
    onObstacle: (object, reason, message) => obstacles.push(`${object.name} ${reason}: ${message}`),
    clock,
    log: silentLog,
    random: () => 0,
  })
  open.push(generated)
  return { clock, pods, nodes, stored, writes, obstacles, generated }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a pod that is scheduled gets its SpiffeID in one write', async () => {
  const { pods, generated, stored, writes } = world()
  pods.set('shop/web-0', observedPod('web-0', { nodeName: '' }))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual([])
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual(['create shop/web-0'])
  expect(stored.get('shop/web-0')?.spec).toEqual({
    spiffeId: 'spiffe://example.org/ns/shop/sa/web',
    parentId: `${aliasRoot}/n1`,
    selector: { podUid: 'pod-uid-of-web-0', namespace: 'shop', nodeName: 'n1' },
    dnsNames: ['web-0'],
  })
})

test("a node's SpiffeID is made in the registrar's namespace, and made anew with the node", async () => {
  const { nodes, generated, stored, writes } = world()
  nodes.set('n1', { name: 'n1', uid: 'first', annotations: {}, terminating: false })
  generated.nodeChanged({ name: 'n1' })
  await settle()
  expect(stored.get('spire/n1')?.spec).toMatchObject({ spiffeId: clusterEntry(identity).spiffeId + '/n1' })
  nodes.set('n1', { name: 'n1', uid: 'second', annotations: {}, terminating: false })
  generated.nodeChanged({ name: 'n1' })
  await settle()
  stored.delete('spire/n1')
  generated.spiffeIdChanged({ namespace: 'spire', name: 'n1' })
  await settle()
  expect(writes).toEqual(['create spire/n1', 'delete n1 s1', 'create spire/n1'])
})

test('a pod that has ended, or is not to have one any more, loses it', async () => {
  const { pods, generated, writes } = world()
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  pods.set('shop/web-0', observedPod('web-0', { phase: 'Succeeded', ended: true }))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual(['create shop/web-0', 'delete web-0 s1'])
})

test('that of a pod that is gone is left to the garbage collector', async () => {
  const { pods, generated, writes } = world()
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  pods.delete('shop/web-0')
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual(['create shop/web-0'])
})

test('a change of the pod is a change of its SpiffeID', async () => {
  const { pods, generated, writes } = world()
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  pods.set('shop/web-0', observedPod('web-0', { annotations: { 'spiffe.io/federatesWith': 'other.org' } }))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual(['create shop/web-0', 'patch web-0'])
})

test("a SpiffeID of the pod's name that a person made is told of, and stays", async () => {
  const { pods, stored, generated, writes, obstacles } = world()
  stored.set('shop/web-0', spiffeId('web-0'))
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual([])
  expect(obstacles).toEqual([
    'web-0 SpiffeIDConflict: there is a SpiffeID shop/web-0 which was not made for it; it stays as it is',
  ])
  stored.delete('shop/web-0')
  generated.spiffeIdChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual(['create shop/web-0'])
})

test.each<[string, ApiError]>([
  ['there is one already', new ApiError('POST', 409, { reason: 'AlreadyExists' }, undefined)],
  ['the namespace is gone', new ApiError('POST', 404, {}, undefined)],
  [
    'the namespace is going',
    new ApiError('POST', 403, { details: { causes: [{ reason: 'NamespaceTerminating' }] } }, undefined),
  ],
])('where %s, nothing is tried again by itself', async (_what, error) => {
  const { pods, generated, writes, clock } = world(error)
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await settle()
  expect(writes).toEqual([])
  expect(clock.timers).toBe(0)
})

test.each<[string, Error]>([
  ['a lost connection', new ConnectionError('lost', 'unknown')],
  ['missing rights', new ApiError('POST', 403, { reason: 'Forbidden' }, undefined)],
])('%s is tried again', async (_what, error) => {
  const { pods, generated, writes, clock } = world(error)
  pods.set('shop/web-0', observedPod('web-0'))
  generated.podChanged({ namespace: 'shop', name: 'web-0' })
  await until('the next attempt is planned', () => clock.timers > 0)
  clock.advance(60_000)
  await settle()
  expect(writes).toEqual(['create shop/web-0'])
})
