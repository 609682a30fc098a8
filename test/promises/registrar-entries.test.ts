import { describe, expect, test } from 'vitest'
import { entryOf, ownId, reconcileRoot, RegistrarCluster } from '../support/registrar-cluster.ts'

// What the registrar promises of the entries that it writes, and of those that are not its own (docs/promises.md, registrar 2 and 3).

const hcl = 'mode = "reconcile"\nleader_election = true'

describe('promise 2, entries follow from pods and nodes alone', () => {
  test('whatever came first, the entries are the same, down to their ids', async () => {
    const seen: (readonly object[])[] = []
    for (const order of [
      ['n1', 'web', 'api'],
      ['api', 'web', 'n1'],
    ]) {
      await using cluster = new RegistrarCluster()
      await cluster.run(hcl)
      for (const name of order) {
        if (name === 'n1') cluster.node(name)
        else cluster.pod(name)
        await cluster.pass(300)
      }
      const contents = cluster.store.all().map(({ id, spiffeId, parentId, selectors }) => {
        return { id, spiffeId, parentId, selectors }
      })
      seen.push(contents.toSorted((one, other) => (one.id < other.id ? -1 : 1)))
    }
    expect(seen[0]).toHaveLength(3)
    expect(seen[1]).toEqual(seen[0])
  })

  test('a pod costs a share of one call, however many there are, and no listing', async () => {
    await using cluster = new RegistrarCluster()
    for (let pod = 0; pod < 600; pod++) cluster.pod(`old-${pod}`)
    await cluster.run(hcl)
    expect(cluster.store.size).toBe(600)
    const before = cluster.entries.calls.length
    for (let pod = 0; pod < 40; pod++) cluster.pod(`new-${pod}`)
    await cluster.pass(500)
    expect(cluster.entries.calls.slice(before)).toEqual([{ method: 'create', items: 40 }])
  })
})

describe('promise 3, what is not its own is never touched', () => {
  test("entries of others and the registrar's own stay as they are, whatever becomes of their pods", async () => {
    await using cluster = new RegistrarCluster()
    cluster.putEntry('by-hand', { parentId: 'spiffe://example.org/somebody' })
    cluster.putEntry('own', { spiffeId: ownId, selectors: [{ type: 'k8s', value: 'sa:registrar' }] }, { admin: true })
    cluster.putEntry('neighbour', { parentId: `${reconcileRoot}-x/n1` })
    const before = cluster.store.all()
    cluster.pod('web')
    await cluster.run(hcl)
    cluster.removePod('web')
    await cluster.pass(3000)
    expect(cluster.ofPod('web').map(({ id }) => id)).toEqual(['by-hand', 'neighbour'])
    expect(cluster.store.all()).toEqual(before)
  })

  test('what the registrar before this one made is taken over as it is, and no entry is written', async () => {
    await using cluster = new RegistrarCluster()
    cluster.putEntry('c2c1a1f0-former', {})
    cluster.pod('web')
    await cluster.run(hcl)
    expect(cluster.writes).toEqual([])
    cluster.removePod('web')
    await cluster.pass(3000)
    expect(cluster.store.all()).toEqual([])
  })

  test('a successor of the same name takes the entry over, without a gap', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    await cluster.run(hcl)
    const [before] = cluster.ofPod('web')
    cluster.removePod('web')
    cluster.pod('web', { uid: 'another' }, { serviceAccountName: 'api' })
    await cluster.pass(3000)
    expect(cluster.ofPod('web')).toMatchObject([{ id: before?.id, spiffeId: 'spiffe://example.org/ns/shop/sa/api' }])
    expect(cluster.writes.map(({ method }) => method)).toEqual(['create', 'update'])
  })

  test('a pod that the API server still has keeps its entry, whatever the watch has shown', async () => {
    await using cluster = new RegistrarCluster()
    cluster.pod('web')
    await cluster.run(hcl)
    cluster.removePod('web')
    await cluster.pass(0)
    // It is back by the time that the registrar looks, and no watch has told so yet.
    cluster.api.isStalled = true
    cluster.pod('web')
    await cluster.pass(3000)
    expect(cluster.ofPod('web')).toHaveLength(1)
    expect(cluster.writes.map(({ method }) => method)).toEqual(['create'])
  })

  test('without leader election nothing of another registrar is taken over unasked', async () => {
    await using cluster = new RegistrarCluster()
    cluster.putEntry('former', entryOf({ spiffeId: 'spiffe://example.org/ns/shop/sa/old' }))
    cluster.pod('web')
    const registrar = cluster.open('mode = "reconcile"\nleader_election = false', { mayTakeOver: false })
    await expect(registrar.lead(new AbortController().signal)).rejects.toThrow('--takeover')
    expect(cluster.writes).toEqual([])
  })
})
