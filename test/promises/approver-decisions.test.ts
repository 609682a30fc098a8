import { beforeAll, describe, expect, test } from 'vitest'
import { hostileRequests } from '../../src/approver/fixtures/hostile-requests.ts'
import { podRequester, signingRequest } from '../../src/approver/fixtures/requests.ts'
import { byDriver } from '../../src/approver/fixtures/world.ts'
import { services } from '../../src/approver/live/resources.ts'
import { loadCel } from '../../src/approver/rule/cel.ts'
import { ApproverCluster, ofTheDriver } from '../support/approver-cluster.ts'

// What the approver promises of its decisions (docs/promises.md, approver 1 to 4).

const ownNames = { names: { allowed: { dnsNames: ['*.${namespace}.svc'] } } }
const own = { names: { dns: ['web.shop.svc'] } }
const ofAnotherService = { names: { dns: ['other.shop.svc'] } }
const ofAnotherNamespace = { names: { dns: ['web.bank.svc'] } }
/** A policy that lets a user have every name. */
const everything = {
  binding: 'none',
  subjects: { users: [podRequester.username] },
  names: { allowed: { dnsNames: ['*', '*.*', '*.*.*'], commonNames: ['*'] } },
}

// Read from disk once, so that nothing here waits for anything but promises.
beforeAll(() => loadCel())

describe('promise 1, it fails closed, and denies only what can never become right', () => {
  test('what no policy is for is left alone, however good or bad', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.request('good', signingRequest(own, { signerName: 'others.test/serving' }))
    cluster.request('bad', signingRequest(ofAnotherNamespace, { signerName: 'others.test/serving' }))
    await cluster.run()
    expect([cluster.conditions('good'), cluster.conditions('bad'), cluster.audit]).toEqual([[], [], []])
  })

  test('what depends on live objects waits, and is approved once they allow it', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.request('early', signingRequest(ofAnotherService))
    await cluster.run()
    expect(cluster.conditions('early')).toEqual([])
    cluster.api.put(services, { metadata: { namespace: 'shop', name: 'other' }, spec: { selector: { app: 'web' } } })
    await cluster.quiet()
    expect(cluster.conditions('early')).toEqual(['Approved: PolicyPassed'])
  })

  test('what can never be right is denied, unless a policy that cannot be used might have allowed it', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.policy('broken', { names: { allowed: { dnsNames: ['${no.such.fact}'] } } })
    cluster.request('bad', signingRequest(ofAnotherNamespace))
    await cluster.run()
    expect(cluster.conditions('bad')).toEqual([])
    cluster.policy('broken', { names: { allowed: { dnsNames: ['never.test'] } } })
    await cluster.quiet()
    expect(cluster.conditions('bad')).toEqual(['Denied: PolicyForbids'])
  })
})

describe('promise 2, what is not understood is not approved', () => {
  test('no hostile request is approved by a policy that allows every name, and a plain one is', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('everything', everything)
    for (const [place, { csr }] of hostileRequests.entries()) {
      cluster.request(`hostile-${place}`, signingRequest({ csr }, { ...podRequester, extra: {} }))
    }
    cluster.request('plain', signingRequest(own, { ...podRequester, extra: {} }))
    await cluster.run()
    await cluster.quiet()
    const approved = hostileRequests.filter((_, place) =>
      cluster.conditions(`hostile-${place}`).some((condition) => condition.startsWith('Approved')),
    )
    expect(approved.map(({ what }) => what)).toEqual([])
    expect(cluster.conditions('plain')).toEqual(['Approved: PolicyPassed'])
  })
})

describe('promise 3, the subject controls the key and is who it says', () => {
  test('a key that another owner has used waits, and is never denied: a copy must not poison its victim', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.policy('everything', { ...everything, subjects: { users: ['mallory'] } })
    cluster.request('first', signingRequest(own))
    await cluster.run()
    cluster.request('copy', signingRequest(own, { username: 'mallory', uid: 'm', groups: [], extra: {} }))
    await cluster.quiet()
    expect([cluster.conditions('first'), cluster.conditions('copy')]).toEqual([['Approved: PolicyPassed'], []])
    expect(cluster.audit.at(-1)).toMatchObject({ decision: 'wait', reason: 'KeyInUse' })
  })

  test('a driver asks for the pods of its own node, and for no others', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    const [driver, annotations] = ofTheDriver
    cluster.request('own', signingRequest(own, driver, annotations))
    await cluster.run()
    expect(cluster.conditions('own')).toEqual(['Approved: PolicyPassed'])
    const elsewhere = { ...byDriver.extra, 'authentication.kubernetes.io/node-name': ['worker-2'] }
    cluster.request('foreign', signingRequest(own, { ...driver, extra: elsewhere }, annotations))
    await cluster.quiet()
    expect(cluster.conditions('foreign').filter((condition) => condition.startsWith('Approved'))).toEqual([])
    expect(cluster.audit.at(-1)).toMatchObject({ request: 'CertificateSigningRequest foreign' })
  })

  test('a policy that lets names decide alone says for whom', async () => {
    await using cluster = new ApproverCluster()
    const { subjects: _, ...forAnyone } = everything
    cluster.policy('anyone', forAnyone)
    cluster.request('asked', signingRequest(own, { ...podRequester, extra: {} }))
    await cluster.run()
    expect(cluster.conditions('asked')).toEqual([])
    cluster.policy('named', everything)
    await cluster.quiet()
    expect(cluster.conditions('asked')).toEqual(['Approved: PolicyPassed'])
  })
})

describe('promise 4, policy is data', () => {
  test('a dry run decides, says so, and writes nothing at all', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.request('good', signingRequest(own))
    const before = cluster.api.writes.length
    await cluster.run({ dryRun: true })
    expect(cluster.audit).toMatchObject([{ decision: 'approve', policy: 'web' }])
    expect(cluster.api.writes.slice(before)).toEqual([])
  })
})
