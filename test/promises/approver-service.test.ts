import { beforeAll, describe, expect, test } from 'vitest'
import { signingRequest } from '../../src/approver/fixtures/requests.ts'
import type { StoredObject } from '../support/memory-api.ts'
import { certificatePolicies } from '../../src/approver/live/resources.ts'
import { loadCel } from '../../src/approver/rule/cel.ts'
import { certificateSigningRequests, pods } from '../../src/kubernetes/resource.ts'
import { ApproverCluster } from '../support/approver-cluster.ts'

// What the approver promises of the freshness of its decisions, and of what they leave behind (docs/promises.md, approver 6 and 7).

const ownNames = { names: { allowed: { dnsNames: ['*.${namespace}.svc'] } } }
const own = { names: { dns: ['web.shop.svc'] } }

// Read from disk once, so that nothing here waits for anything but promises.
beforeAll(() => loadCel())

describe('promise 6, decisions are made on fresh data', () => {
  test('a pod that is gone gets nothing, though no watch has told so', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    const approver = cluster.open()
    await approver.known
    cluster.request('ghost', signingRequest(own))
    await cluster.quiet()
    cluster.api.isStalled = true
    cluster.api.remove(pods, { namespace: 'shop', name: 'web-0' })
    cluster.lead(approver)
    await cluster.quiet()
    expect(cluster.conditions('ghost')).toEqual([])
    expect(cluster.audit).toMatchObject([{ decision: 'wait' }])
  })

  test('a policy that was taken away between the decision and the write approves nothing', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    const approver = cluster.open()
    await approver.known
    cluster.request('late', signingRequest(own))
    cluster.api.onGet = () => {
      cluster.api.isStalled = true
      cluster.api.remove(certificatePolicies, { name: 'web', namespace: undefined })
    }
    cluster.lead(approver)
    await cluster.quiet()
    expect(cluster.conditions('late')).toEqual([])
  })

  test('every decision is written to the request that was decided, in the version that was seen', async () => {
    await using cluster = new ApproverCluster()
    cluster.policy('web', ownNames)
    cluster.request('good', signingRequest(own))
    const named = { name: 'good', namespace: undefined }
    const { metadata } = cluster.api.find(certificateSigningRequests, named) as StoredObject
    await cluster.run()
    const write = cluster.api.writes.find(({ plural }) => plural === 'certificatesigningrequests')
    expect(write).toMatchObject({
      subresource: 'approval',
      object: { metadata: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } },
    })
  })
})

describe('promise 7, every decision leaves its reason', () => {
  test.each([
    { what: 'an approval', dns: 'web.shop.svc', decision: 'approve', reason: 'PolicyPassed', events: [] },
    {
      what: 'a denial',
      dns: 'web.bank.svc',
      decision: 'deny',
      reason: 'PolicyForbids',
      events: ['CertificateDenied'],
    },
    {
      what: 'a wait',
      dns: 'other.shop.svc',
      decision: 'wait',
      reason: undefined,
      events: ['CertificateNotYetAllowed'],
    },
  ])(
    '$what: condition, metric, audit line, and for the pod an event where it is without its certificate',
    async (one) => {
      await using cluster = new ApproverCluster()
      cluster.policy('web', ownNames)
      cluster.request('asked', signingRequest({ names: { dns: [one.dns] } }))
      await cluster.run()
      const conditions = { approve: ['Approved: PolicyPassed'], deny: ['Denied: PolicyForbids'], wait: [] }
      expect(cluster.conditions('asked')).toEqual(conditions[one.decision as keyof typeof conditions])
      expect(cluster.audit).toMatchObject([
        { decision: one.decision, ...(one.reason !== undefined && { reason: one.reason }) },
      ])
      expect(cluster.events.map(({ about, text }) => `${about.name}: ${text.reason}`)).toEqual(
        one.events.map((reason) => `web-0: ${reason}`),
      )
      const line = new RegExp(`^podpass_approver_decisions_total\\{.*decision="${one.decision}".*\\} 1$`, 'm')
      expect(await cluster.metrics.metrics()).toMatch(line)
    },
  )
})
