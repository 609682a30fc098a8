import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EntryStore } from '../../../test/support/entry-store.ts'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import { MemoryEntries } from '../../../test/support/memory-entries.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import { readSpiffeId } from '../crd/read-spiffe-id.ts'
import { crd, node, pod, reconcile, webhook } from '../desired/fixtures/configurations.ts'
import { identityRules } from '../desired/identity-rules.ts'
import type { ObservedPod } from '../observed.ts'
import type { ClusterListing } from './cluster-snapshot.ts'
import { planEntries } from './plan-entries.ts'
import { type PlanSource, planSource } from './plan-source.ts'
import type { RegistrarPlan } from './registrar-plan.ts'

const empty: ClusterListing = { pods: [], nodes: [], endpointSlices: [], endpoints: [], spiffeIds: [] }
const ownId = 'spiffe://example.org/registrar'

interface Planned {
  readonly plan: RegistrarPlan
  readonly source: PlanSource
}

async function planned(
  config: RegistrarConfig,
  listing: ClusterListing,
  store: EntryStore,
  adopt = false,
): Promise<Planned> {
  const rules = identityRules(config, ownId)
  const clock = new ManualClock(1_700_000_000_000)
  const source = planSource({
    config,
    rules,
    namespace: 'spire',
    ownId,
    listing,
    bundles: new Set(['a.org']),
    adopt,
    now: clock.now(),
  })
  const ids = { prefix: config.entryIdPrefix, cluster: config.cluster }
  const compared = { ...source, entries: new MemoryEntries({ store }), ids, fuse: config.deleteFuse, clock }
  return { plan: await planEntries(compared, new AbortController().signal), source }
}

function newStore(): EntryStore {
  return new EntryStore({ trustDomain: 'example.org', federated: new Set(['a.org']) })
}

function apply(store: EntryStore, { creates, updates, deletes }: RegistrarPlan): void {
  for (const { id, spec } of creates) expect(store.create({ ...spec, id })).toMatchObject({ code: 0 })
  for (const { entry, spec } of updates) expect(store.update(entry.id, spec)).toMatchObject({ code: 0 })
  for (const { entry } of deletes) expect(store.delete(entry.id)).toMatchObject({ code: 0 })
}

const pods: fc.Arbitrary<readonly ObservedPod[]> = fc.uniqueArray(
  fc
    .record({
      namespace: fc.constantFrom('shop', 'bank', 'kube-system'),
      name: fc.constantFrom('a', 'b', 'c'),
      nodeName: fc.constantFrom('', 'n1', 'n2'),
      serviceAccount: fc.constantFrom('', 'web', 'db'),
      terminating: fc.boolean(),
      ended: fc.boolean(),
      incarnation: fc.nat({ max: 1 }),
      annotations: fc.constantFrom({}, { 'spiffe.io/federatesWith': 'a.org, b.org' }),
    })
    .map(({ incarnation, ...rest }) => {
      const uid = `${rest.namespace}-${rest.name}-${incarnation}`
      return Object.assign({}, pod, rest, { uid })
    }),
  { selector: ({ namespace, name }) => `${namespace}/${name}` },
)

describe.each([
  ['reconcile', reconcile],
  ['webhook', webhook],
  ['crd', crd],
] as const)('in %s mode', (_, config) => {
  test('a plan that was carried out leaves nothing to plan, from whatever there was before', async () => {
    await fc.assert(
      fc.asyncProperty(pods, pods, fc.boolean(), async (before, after, isAdopting) => {
        const store = newStore()
        store.create({ ...foreign, id: 'foreign' })
        const nodes = [node, { ...node, name: 'n2', uid: 'c0ffee2' }]
        apply(store, (await planned(config, { ...empty, pods: before, nodes }, store)).plan)
        const listing = { ...empty, pods: after, nodes: nodes.slice(1) }
        apply(store, (await planned(config, listing, store, isAdopting)).plan)
        const { plan } = await planned(config, listing, store)
        expect(plan).toMatchObject({ creates: [], updates: [], deletes: [], conflicts: [] })
        expect(store.get('foreign')?.revision).toBe(0n)
      }),
      { numRuns: 60 },
    )
  })
})

const foreign: EntrySpec = {
  spiffeId: 'spiffe://example.org/theirs',
  parentId: 'spiffe://example.org/elsewhere',
  selectors: [{ type: 'k8s', value: 'ns:shop' }],
  dnsNames: [],
  federatesWith: [],
  downstream: false,
}

describe('entries of other registrars', () => {
  const agent = 'spiffe://example.org/spire/agent/k8s_psat'
  const listing = { ...empty, pods: [pod], nodes: [node] }
  const podUid = [{ type: 'k8s', value: `pod-uid:${pod.uid}` }]

  async function updated(
    config: RegistrarConfig,
    entry: Partial<EntrySpec>,
    admin = false,
  ): Promise<readonly string[]> {
    const store = newStore()
    store.create({ ...foreign, ...entry, admin, id: 'other' })
    const alone = (await planned(config, listing, store)).plan
    expect([...alone.updates, ...alone.deletes]).toEqual([])
    const { plan } = await planned(config, listing, store, true)
    return [
      ...plan.updates.map(({ key }) => `update ${key}`),
      ...plan.deletes.map(({ entry: { id }, reason }) => `delete ${id}: ${reason}`),
    ]
  }

  test('of spire-controller-manager are those of their pods, where they are of this cluster', async () => {
    const parentId = `${agent}/demo/c0ffee`
    expect(await updated(reconcile, { parentId, selectors: podUid })).toEqual(['update pod/shop/web-0'])
    expect(await updated(crd, { parentId, selectors: podUid })).toEqual(['update spiffeid/shop/web-0'])
    expect(await updated(reconcile, { parentId: `${agent}/other/c0ffee`, selectors: podUid })).toEqual([])
    expect(await updated(reconcile, { parentId, selectors: [{ type: 'k8s', value: 'pod-uid:gone' }] })).toEqual([
      'delete other: it belongs to no object',
    ])
  })

  test('of another mode of the old registrar are those of their pods and nodes', async () => {
    const root = 'spiffe://example.org/k8s-workload-registrar/demo/node'
    const selectors = [...podUid, { type: 'k8s', value: 'ns:shop' }, { type: 'k8s', value: 'node-name:n1' }]
    expect(await updated(reconcile, { parentId: `${root}/n1`, selectors })).toEqual(['update pod/shop/web-0'])
    const alias = [
      { type: 'k8s_psat', value: 'cluster:demo' },
      { type: 'k8s_psat', value: 'agent_node_uid:c0ffee' },
    ]
    const spiffeId = `${root}/n1`
    expect(
      await updated(reconcile, { spiffeId, parentId: 'spiffe://example.org/spire/server', selectors: alias }),
    ).toEqual(['update node/n1'])
  })

  test('made by hand, or of administrators, are nobody’s', async () => {
    expect(await updated(reconcile, {})).toEqual([])
    expect(await updated(reconcile, { parentId: `${agent}/demo/c0ffee`, selectors: podUid }, true)).toEqual([])
  })

  test('that say what an object should have are taken as they are', async () => {
    const store = newStore()
    const { plan } = await planned(crd, listing, newStore())
    const own = plan.creates.find(({ key }) => key === 'spiffeid/shop/web-0')
    store.create({ ...foreign, ...own?.spec, parentId: own?.spec.parentId ?? '', id: 'same' })
    const adopted = (await planned(crd, listing, store, true)).plan
    expect(adopted).toMatchObject({ unchanged: 1, conflicts: [] })
    expect(adopted.creates.map(({ key }) => key)).toEqual(['spiffeid/spire/n1'])
  })
})

describe('SpiffeIDs', () => {
  test('of a former pod of the name go before those of the new one come', async () => {
    const store = newStore()
    const first = await planned(crd, { ...empty, pods: [pod], nodes: [node] }, store)
    apply(store, first.plan)
    const held = first.source.resources?.get('spiffeid/shop/web-0')
    if (held === undefined) throw new Error('there is none')
    const listing = { ...empty, pods: [{ ...pod, uid: 'new' }], nodes: [node], spiffeIds: [held] }
    const { source, plan } = await planned(crd, listing, store)
    expect(source.spiffeIds?.steps.filter(({ name }) => name === 'shop/web-0').map(({ is }) => is)).toEqual([
      'delete',
      'create',
    ])
    expect(plan.creates.map(({ spec }) => spec.selectors[0]?.value)).toEqual(['pod-uid:new'])
    expect(plan.deletes).toHaveLength(1)
  })

  test('that people made under the name of a pod are in its way', async () => {
    const { source } = await planned(crd, { ...empty, pods: [pod], nodes: [node] }, newStore())
    const made = source.resources?.get('spiffeid/shop/web-0')
    if (made === undefined) throw new Error('there is none')
    const listing = { ...empty, pods: [pod], nodes: [node], spiffeIds: [{ ...made, controller: undefined }] }
    const again = await planned(crd, listing, newStore())
    expect(again.source.spiffeIds?.problems).toMatchObject([{ key: 'pod/shop/web-0' }])
  })

  test('that break a rule keep a lawful entry, and lose one that they could not have asked for', async () => {
    const alias = 'spiffe://example.org/k8s-workload-registrar/demo/node/n1'
    const plannedFor = async (spiffeId: string): Promise<RegistrarPlan> => {
      const store = newStore()
      const selector = { namespace: 'shop', podName: 'x' }
      const selectors = [
        { type: 'k8s', value: 'pod-name:x' },
        { type: 'k8s', value: 'ns:shop' },
      ]
      store.create({ ...foreign, spiffeId, parentId: alias, selectors, id: `podpass.demo.${'0'.repeat(32)}` })
      const resource = readSpiffeId({
        metadata: { namespace: 'shop', name: 'x', uid: 'x', generation: 1 },
        spec: { spiffeId: alias, parentId: alias, selector },
        status: { entryId: `podpass.demo.${'0'.repeat(32)}` },
      })
      return (await planned(crd, { ...empty, spiffeIds: [resource] }, store)).plan
    }
    const kept = await plannedFor('spiffe://example.org/good')
    expect(kept).toMatchObject({
      deletes: [],
      problems: [{ key: 'spiffeid/shop/x', entry: { spiffeId: 'spiffe://example.org/good' } }],
    })
    const lost = await plannedFor(alias)
    expect(lost).toMatchObject({ problems: [], deletes: [{ key: 'spiffeid/shop/x' }] })
  })
})
