import { describe, expect, test } from 'vitest'
import type { SpiffeIdObject } from '../../src/registrar/crd/spiffe-id-resource.ts'
import { spiffeIdFinalizer, spiffeIds } from '../../src/registrar/crd/spiffe-id-resource.ts'
import type { StoredObject } from '../support/memory-api.ts'
import { RegistrarCluster, registrarRoot } from '../support/registrar-cluster.ts'

// What the registrar promises of mistakes and of people who ask for too much (docs/promises.md, registrar 4 and 5).

const labels = 'mode = "reconcile"\nleader_election = true\npod_label = "spiffe"'

describe('promise 4, safe by default', () => {
  test('more deletes than the fuse allows are held back, told, and go once a person has confirmed them', async () => {
    await using cluster = new RegistrarCluster()
    for (let pod = 0; pod < 60; pod++) cluster.pod(`web-${pod}`)
    const hcl = 'mode = "reconcile"\nleader_election = true'
    const registrar = cluster.open(hcl)
    const stop = cluster.lead(registrar)
    await cluster.pass(1000)
    for (let pod = 0; pod < 60; pod++) cluster.removePod(`web-${pod}`)
    await cluster.pass(60_000)
    expect(cluster.store.size).toBe(60)
    expect(registrar.problems().join()).toContain('--confirm-deletes')
    await stop()
    await cluster.run(hcl, { areDeletesConfirmed: true })
    expect(cluster.store.size).toBe(0)
  })

  test('a pod whose ID cannot be used any more keeps its last good entry, and is told', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web', { labels: { spiffe: 'web' } })
    await cluster.run(labels)
    const [good] = cluster.ofPod('web')
    cluster.pod('web', { labels: { spiffe: '..' } })
    await cluster.pass(1000)
    expect(good).toMatchObject({ spiffeId: 'spiffe://example.org/web' })
    expect(cluster.ofPod('web')).toEqual([good])
    expect(cluster.events).toMatchObject([{ about: { name: 'web' }, text: { reason: 'IdentityInvalid' } }])
  })

  test('a missing federated bundle keeps no pod from its identity, and federates once it is there', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web', { labels: { spiffe: 'web' }, annotations: { 'spiffe.io/federatesWith': ' other.org , ' } })
    await cluster.run(labels)
    expect(cluster.ofPod('web')).toMatchObject([{ federatesWith: [] }])
    expect(cluster.events).toMatchObject([{ text: { reason: 'IdentityIncomplete' } }])
    cluster.store.federated.add('other.org')
    await cluster.pass(61_000)
    expect(cluster.ofPod('web')).toMatchObject([{ federatesWith: ['other.org'] }])
  })
})

const taken = ['spire/agent/x', 'spire-k8s-registrar/demo/node/n1', 'k8s-workload-registrar/other/node/n1', 'registrar']

describe('promise 5, nobody can take what is not theirs', () => {
  test.each(taken.filter((path) => !path.includes('/')))('a label cannot say %s', async (path) => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web', { labels: { spiffe: path } })
    await cluster.run(labels)
    expect(cluster.store.all()).toEqual([])
    expect(cluster.events).toMatchObject([{ text: { reason: 'IdentityInvalid' } }])
  })

  test.each(taken)('an annotation cannot say %s', async (path) => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web', { annotations: { id: path } })
    await cluster.run('mode = "reconcile"\nleader_election = true\npod_annotation = "id"')
    expect(cluster.store.all()).toEqual([])
    expect(cluster.events).toMatchObject([{ text: { reason: 'IdentityInvalid' } }])
  })

  test.each(taken)('a template cannot make %s', async (path) => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    await cluster.run(`mode = "crd"\nleader_election = true\nidentity_template = "${path}"`)
    expect(cluster.store.all()).toEqual([])
    expect(cluster.events).toMatchObject([{ text: { reason: 'IdentityInvalid' } }])
  })

  test.each(taken)(
    'a SpiffeID cannot ask for %s, whatever let it through: it is not ready, and told why',
    async (path) => {
      await using cluster = new RegistrarCluster()
      cluster.api.put(spiffeIds, spiffeIdOf(`spiffe://example.org/${path}`, 'n1'))
      await cluster.run('mode = "crd"\nleader_election = true\npod_controller = false')
      expect(cluster.store.all()).toEqual([])
      const { status } = cluster.api.find(spiffeIds, { namespace: 'shop', name: 'mine' }) ?? {}
      expect(status?.conditions).toMatchObject([{ type: 'Ready', status: 'False', reason: 'IdNotAllowed' }])
    },
  )

  test('a good SpiffeID has its entry, so that the ones above are not refused for another reason', async () => {
    await using cluster = new RegistrarCluster()
    cluster.api.put(spiffeIds, spiffeIdOf('spiffe://example.org/web', 'n1'))
    await cluster.run('mode = "crd"\nleader_election = true\npod_controller = false')
    expect(cluster.store.all()).toMatchObject([{ spiffeId: 'spiffe://example.org/web' }])
  })

  test('a static pod chooses no ID by a label: its node writes it', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web', { labels: { spiffe: 'web' }, annotations: { 'kubernetes.io/config.mirror': 'x' } })
    await cluster.run(labels)
    expect(cluster.store.all()).toEqual([])
  })
})

/** A SpiffeID of the namespace shop that a person has made. */
function spiffeIdOf(spiffeId: string, node: string): StoredObject {
  const object: SpiffeIdObject = {
    metadata: { namespace: 'shop', name: 'mine', generation: 1, finalizers: [spiffeIdFinalizer] },
    spec: { spiffeId, parentId: `${registrarRoot}/${node}`, selector: { namespace: 'shop', podName: 'mine' } },
  }
  return object as StoredObject
}
