import { describe, expect, test } from 'vitest'
import { RegistrarCluster, registrarRoot } from '../../../test/support/registrar-cluster.ts'
import { endpointSlices, nodes, pods } from '../../kubernetes/resource.ts'
import { type SpiffeIdObject, spiffeIds } from '../crd/spiffe-id-resource.ts'
import { goodSpec } from '../crd/fixtures/spiffe-ids.ts'
import { podKey } from './object-keys.ts'
import { TakeoverRefusedError } from './takeover.ts'
import { SpireError } from '../../spire/errors.ts'

const reconcile = 'mode = "reconcile"\nleader_election = true'
const crd = 'mode = "crd"\nleader_election = true'

describe('readiness', () => {
  test.each([
    [reconcile, 'pods and nodes have not been listed yet'],
    [`${reconcile}\nadd_pod_dns_names = true`, 'pods and nodes and endpoint slices have not been listed yet'],
    [crd, 'SpiffeIDs and pods and nodes and endpoint slices have not been listed yet'],
    [`${crd}\npod_controller = false\nadd_svc_dns_name = false`, 'SpiffeIDs have not been listed yet'],
  ])('%j names what was not seen yet, and nothing once it was', async (hcl, problem) => {
    await using cluster = new RegistrarCluster()
    const registrar = cluster.open(hcl)
    expect(registrar.problems()).toEqual([problem])
    await registrar.known
    expect(registrar.problems()).toEqual([])
  })

  test('a kind that the cluster does not show is a problem that lasts, and nothing is written without it', async () => {
    await using cluster = new RegistrarCluster()
    cluster.api.absent.add('nodes')
    cluster.pod('web')
    const registrar = await cluster.run(reconcile)
    await cluster.pass(10_000)
    expect(registrar.problems()).toEqual(['nodes have not been listed yet'])
    expect(cluster.store.size).toBe(0)
    cluster.api.absent.clear()
    await cluster.pass(60_000)
    expect(registrar.problems()).toEqual([])
    expect(cluster.ofPod('web')).toHaveLength(1)
  })

  test('a SPIRE server that does not answer is a problem until it does', async () => {
    await using cluster = new RegistrarCluster()
    const details = 'the datastore is away'
    const error = new SpireError({ status: 14, method: 'Entry.ListEntries', address: 'memory', details })
    cluster.fault = async () => ({ error, carriedOut: 0 })
    const registrar = await cluster.run(reconcile)
    expect(registrar.problems().join()).toContain(details)
    cluster.fault = async () => undefined
    await cluster.pass(20_000)
    expect(registrar.problems()).toEqual([])
  })
})

describe('taking over without a lock', () => {
  const alone = 'mode = "reconcile"'
  const theirs = { id: '3f1e0a52-0000-4000-8000-000000000000', hint: '' }

  test('entries of another registrar end the lead before anything is written', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    cluster.putEntry(theirs.id, {})
    const registrar = cluster.open(alone, { mayTakeOver: false })
    const work = registrar.lead(new AbortController().signal)
    await expect(work).rejects.toThrow(TakeoverRefusedError)
    await expect(work).rejects.toMatchObject({ code: 'REGISTRAR_TAKEOVER_REFUSED', entries: 1 })
    expect(cluster.writes).toEqual([])
  })

  test('until it is known whose entries there are, no SpiffeID is written either', async () => {
    await using cluster = new RegistrarCluster()
    cluster.node('n1')
    cluster.pod('web')
    cluster.putEntry(theirs.id, {
      parentId: `${registrarRoot}/n1`,
      selectors: ['pod-uid:uid-of-web', 'ns:shop', 'node-name:n1'].map((value) => ({ type: 'k8s', value })),
    })
    const written: string[] = []
    cluster.api.onWrite = ({ verb, plural }) => void written.push(`${verb} ${plural}`)
    const { promise: answered, resolve: answer } = Promise.withResolvers<undefined>()
    cluster.fault = () => answered
    const registrar = cluster.open('mode = "crd"', { mayTakeOver: false })
    const work = registrar.lead(new AbortController().signal)
    await cluster.pass(1000)
    answer(undefined)
    await expect(work).rejects.toThrow(TakeoverRefusedError)
    expect(written).toEqual([])
  })

  test.each([
    ['somebody says that it has ended', alone, true],
    ['a lock would tell', reconcile, false],
  ])('they are taken over where %s', async (_, hcl, mayTakeOver) => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    cluster.putEntry(theirs.id, {})
    await cluster.run(hcl, { mayTakeOver })
    expect(cluster.ofPod('web').map(({ id }) => id)).toEqual([theirs.id])
  })
})

describe('a wish to federate', () => {
  test.each([
    ['reconcile', reconcile, 'web'],
    ['crd', crd, 'web'],
  ])('in mode %s is granted at once where the bundle has come in the meantime', async (_, hcl, name) => {
    await using cluster = new RegistrarCluster()
    cluster.node('n1')
    await cluster.run(hcl)
    await cluster.pass(6000)
    cluster.store.federated.add('late.org')
    cluster.pod(name, { annotations: { 'spiffe.io/federatesWith': 'late.org' } })
    await cluster.pass(4000)
    expect(cluster.ofPod(name)).toMatchObject([{ federatesWith: ['late.org'] }])
  })

  test.each([
    ['reconcile', reconcile],
    ['crd', crd],
  ])('in mode %s holds up no identity for long where the bundle is gone since it was listed', async (_, hcl) => {
    await using cluster = new RegistrarCluster()
    const wish = { annotations: { 'spiffe.io/federatesWith': 'gone.org' } }
    cluster.store.federated.add('gone.org')
    cluster.node('n1')
    cluster.pod('web', wish)
    await cluster.run(hcl)
    await cluster.pass(6000)
    cluster.store.federated.delete('gone.org')
    cluster.pod('api', wish)
    await cluster.pass(8000)
    expect(cluster.ofPod('api')).toMatchObject([{ federatesWith: [] }])
  })
})

describe('crd mode without its pod controller', () => {
  const manual = `${crd}\npod_controller = false`

  test.each([
    [manual, ['endpointslices', 'spiffeids']],
    [`${manual}\nadd_svc_dns_name = false`, ['spiffeids']],
    [crd, ['endpointslices', 'nodes', 'pods', 'spiffeids']],
    [`${crd}\nadd_svc_dns_name = false`, ['nodes', 'pods', 'spiffeids']],
  ])('%j watches no more than it needs', async (hcl, expected) => {
    await using cluster = new RegistrarCluster()
    const watched = new Set<string>()
    cluster.api.onWatch = (plural) => void watched.add(plural)
    await cluster.run(hcl)
    expect([...watched].toSorted()).toEqual(expected)
  })

  test('the services of a pod reach the SpiffeID that names the pod, and leave it', async () => {
    await using cluster = new RegistrarCluster()
    cluster.api.put(spiffeIds, {
      metadata: { namespace: 'shop', name: 'by-hand', labels: { podUid: 'uid-of-web' } },
      spec: goodSpec({ selector: { namespace: 'shop', podName: 'web' } }),
    } as SpiffeIdObject as never)
    await cluster.run(manual)
    expect(cluster.ofPod('web')).toMatchObject([{ dnsNames: [] }])
    const slice = { metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'front' } } }
    const targetRef = { kind: 'Pod', namespace: 'shop', name: 'web', uid: 'uid-of-web' }
    const endpoints = [{ addresses: ['10.0.0.7'], targetRef }]
    cluster.api.put(endpointSlices, { ...slice, addressType: 'IPv4', endpoints } as never)
    await cluster.pass(1000)
    expect(cluster.ofPod('web')).toMatchObject([{ dnsNames: ['front.shop.svc'] }])
    cluster.api.remove(endpointSlices, { namespace: 'shop', name: 'web-1' })
    await cluster.pass(1000)
    expect(cluster.ofPod('web')).toMatchObject([{ dnsNames: [] }])
  })
})

describe('before an entry is deleted, the pod is read as it is', () => {
  test('an entry stays where the watch is wrong, and while the API server does not say', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    const registrar = await cluster.run(reconcile)
    const [before] = cluster.ofPod('web')
    // The watch says that it is gone, and a read that it is there.
    const shown = cluster.api.find(pods, { namespace: 'shop', name: 'web' })
    let isThere: 'yes' | 'unknown' | 'no' = 'yes'
    cluster.api.onGet = () => {
      if (isThere === 'unknown') throw new Error('the API server is away')
      if (isThere === 'yes' && shown !== undefined) cluster.api.put(pods, shown)
    }
    cluster.removePod('web')
    await cluster.pass(5000)
    expect(cluster.ofPod('web')).toEqual([before])
    isThere = 'unknown'
    cluster.removePod('web')
    await cluster.pass(20_000)
    expect(cluster.ofPod('web')).toEqual([before])
    expect(registrar.describe(podKey('shop', 'web')).rendering.is).toBe('none')
    isThere = 'no'
    await cluster.pass(120_000)
    expect(cluster.ofPod('web')).toEqual([])
  })

  test("a node's alias goes with its node", async () => {
    await using cluster = new RegistrarCluster()
    cluster.node('n1')
    await cluster.run(reconcile)
    expect(cluster.store.size).toBe(1)
    cluster.api.remove(nodes, { name: 'n1' })
    await cluster.pass(20_000)
    expect(cluster.store.size).toBe(0)
  })
})

test('closing it before it knows everything ends a lead that waits for that', async () => {
  await using cluster = new RegistrarCluster()
  cluster.api.absent.add('pods')
  const registrar = cluster.open(reconcile)
  const work = registrar.lead(new AbortController().signal)
  await registrar.close()
  await expect(work).rejects.toThrow('was closed')
})
