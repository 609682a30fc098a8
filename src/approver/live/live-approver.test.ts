import * as fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Registry } from 'prom-client'
import { ManualClock, settled } from '../../kubernetes/fixtures/manual-clock.ts'
import type { EventText } from '../../kubernetes/event-object.ts'
import type { KubernetesObject, ObjectReference } from '../../kubernetes/object.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
  pods,
  type Resource,
} from '../../kubernetes/resource.ts'
import { type Log, silentLog } from '../../runtime/log.ts'
import { generateKeySync } from '../../x509/key.ts'
import { managedRequest, podRequest, podRequester, signingRequest } from '../fixtures/requests.ts'
import { byDriver, driverName, driverUser, forTheVolume, world } from '../fixtures/world.ts'
import { loadCel } from '../rule/cel.ts'
import { createApproverMetrics } from './approver-metrics.ts'
import { MemoryApi, refusal, type StoredObject } from '../../../test/support/memory-api.ts'
import { LiveApprover, type LiveApproverOptions } from './live-approver.ts'
import { certificatePolicies, namespaces, nodes, serviceAccounts, services } from './resources.ts'

const resources: Readonly<Record<string, Resource>> = {
  Pod: pods,
  Service: services,
  Namespace: namespaces,
  ServiceAccount: serviceAccounts,
  Node: nodes,
}
const policySpec = {
  requests: { signerNames: ['example.com/serving'], issuers: [{ name: 'ca', kind: 'ClusterIssuer' }] },
  names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
}
const own = { names: { dns: ['web.shop.svc'] } }
const others = { names: { dns: ['other.shop.svc'] } }
const never = { names: { dns: ['web.bank.svc'] } }

interface Line {
  readonly [field: string]: unknown
}

let clock: ManualClock
let api: MemoryApi
let events: { readonly about: ObjectReference; readonly text: EventText }[]
let audit: Line[]
let parts: AsyncDisposableStack

// Read from disk once, so that nothing here waits for anything but promises.
beforeAll(() => loadCel())

beforeEach(() => {
  clock = new ManualClock(Date.parse('2026-11-22T10:01:00Z'))
  api = new MemoryApi(() => clock.now())
  events = []
  audit = []
  parts = new AsyncDisposableStack()
  for (const object of world) api.put(resources[object.kind ?? ''] ?? pods, object)
  putPolicy('web', policySpec)
})

afterEach(() => parts.disposeAsync())

function putPolicy(name: string, spec: object, generation = 1): void {
  api.put(certificatePolicies, { metadata: { name, generation }, spec: spec as StoredObject['spec'] & object })
}

function putRequest(
  name: string,
  { object, kind }: { readonly kind: string; readonly object: KubernetesObject },
): void {
  const resource =
    kind === 'CertificateSigningRequest'
      ? certificateSigningRequests
      : kind === 'CertificateRequest'
        ? certificateRequests
        : podCertificateRequests
  const { uid: _, resourceVersion: __, ...metadata } = object.metadata
  api.put(resource, { ...object, metadata: { ...metadata, name } })
}

function start(more: Partial<LiveApproverOptions> = {}): LiveApprover {
  const log: Log = { ...silentLog, info: (fields) => void audit.push(fields as Line) }
  const approver = new LiveApprover({
    client: api.client,
    settings: {
      drivers: { identities: [driverUser], driverNames: [driverName] },
      clusterDomain: 'cluster.local',
      patience: 3600_000,
    },
    limits: { allowApiserverSigners: false },
    policyDirectory: undefined,
    dryRun: false,
    audit: log,
    events: { record: (about, text) => void events.push({ about, text }) },
    metrics: createApproverMetrics(new Registry()),
    clock,
    log: silentLog,
    ...more,
  })
  parts.defer(() => approver.close())
  return approver
}

/** Leads until the test ends, or until what is returned is called. */
function lead(approver: LiveApprover): () => Promise<void> {
  const stopping = new AbortController()
  const leading = approver.lead(stopping.signal)
  const stop = async (): Promise<void> => {
    stopping.abort(new Error('stopped'))
    await leading
  }
  parts.defer(stop)
  return stop
}

async function quiet(): Promise<void> {
  for (let round = 0; round < 30; round++) await settled()
}

/** Types of the conditions of a CertificateSigningRequest. */
function conditions(
  name: string,
  resource: Resource = certificateSigningRequests,
  namespace?: string,
): readonly string[] {
  const { status } = api.find(resource, { name, namespace }) ?? {}
  return (status?.conditions ?? []).map(({ type, reason }) => `${type}: ${reason}`)
}

function written(): readonly string[] {
  return api.writes
    .filter(({ plural }) => plural !== 'certificatepolicies')
    .map(({ object }) => object.metadata.name ?? '')
}

describe('one request', () => {
  test('that a policy allows is approved with the uid and version that was decided', async () => {
    putRequest('good', signingRequest(own))
    lead(start())
    await quiet()
    expect(conditions('good')).toEqual(['Approved: PolicyPassed'])
    const write = api.writes.find(({ plural }) => plural === 'certificatesigningrequests')
    expect(write).toMatchObject({
      subresource: 'approval',
      object: { metadata: { uid: expect.any(String) as string, resourceVersion: expect.any(String) as string } },
    })
    expect(audit).toMatchObject([{ decision: 'approve', policy: 'web', generation: 1, subject: { pod: 'web-0' } }])
    expect(events).toEqual([])
  })

  test("of cert-manager's is approved and denied in its status", async () => {
    putRequest('good', managedRequest(own))
    putRequest('bad', managedRequest({ ...never, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
    lead(start())
    await quiet()
    expect(conditions('good', certificateRequests, 'shop')).toEqual(['Approved: PolicyPassed'])
    expect(conditions('bad', certificateRequests, 'shop')).toEqual(['Denied: PolicyForbids'])
    expect(
      api.writes.filter(({ plural }) => plural === 'certificaterequests').map(({ subresource }) => subresource),
    ).toEqual(['status', 'status'])
  })

  test('that can never be right is denied, and its pod is told', async () => {
    putRequest('bad', signingRequest(never))
    lead(start())
    await quiet()
    expect(conditions('bad')).toEqual(['Denied: PolicyForbids'])
    expect(events).toMatchObject([
      { about: { kind: 'Pod', name: 'web-0' }, text: { type: 'Warning', reason: 'CertificateDenied' } },
    ])
  })

  test('that may become right waits without a condition, is told of once, and is approved when its Service takes the pod', async () => {
    putRequest('early', signingRequest(others))
    const approver = start()
    lead(approver)
    await quiet()
    api.put(pods, { ...(api.find(pods, { namespace: 'shop', name: 'web-0' }) as StoredObject) })
    await quiet()
    expect(conditions('early')).toEqual([])
    expect(events.map(({ text }) => text.reason)).toEqual(['CertificateNotYetAllowed'])
    expect(approver.figures.waiting().get('CertificateSigningRequest')).toBe(1)
    api.put(services, { metadata: { namespace: 'shop', name: 'other' }, spec: { selector: { app: 'web' } } })
    await quiet()
    expect(conditions('early')).toEqual(['Approved: PolicyPassed'])
    expect(approver.figures.waiting().size).toBe(0)
  })

  test('that waits is left alone after its time, which its pod is told', async () => {
    putRequest('late', signingRequest(others))
    lead(start())
    await quiet()
    await clock.advance(3600_000)
    await quiet()
    expect(events.map(({ text }) => text.reason)).toEqual(['CertificateNotYetAllowed', 'CertificateNotAllowedInTime'])
    expect(written()).toEqual([])
  })

  test('that no policy is for costs no read, and is decided when there is one', async () => {
    const reads: string[] = []
    api.onGet = (plural) => void reads.push(plural)
    putRequest('other', signingRequest(own, { signerName: 'other.test/serving' }))
    lead(start())
    await quiet()
    expect({ reads, audit, writes: written() }).toEqual({ reads: [], audit: [], writes: [] })
    putPolicy('other', { ...policySpec, requests: { signerNames: ['other.test/serving'] } })
    await quiet()
    expect(conditions('other')).toEqual(['Approved: PolicyPassed'])
  })

  test('of a driver for a pod on its node is decided for that pod, read live', async () => {
    putRequest('driven', signingRequest(own, byDriver, forTheVolume))
    lead(start())
    await quiet()
    expect(conditions('driven')).toEqual(['Approved: PolicyPassed'])
    expect(audit).toMatchObject([{ subject: { pod: 'web-0' }, owner: 'pod/pod-web-0', username: driverUser }])
  })

  test("of the kubelet's is left to its signer, whatever becomes of it, and its key is nobody else's", async () => {
    putPolicy('pods', {
      requests: { kinds: ['PodCertificateRequest'], signerNames: ['example.com/pods'] },
      keys: [{ algorithm: 'ECDSA' }],
      issue: { uris: ['spiffe://test/ns/${namespace}/sa/${serviceAccount.name}'], usages: ['client auth'] },
      usages: ['client auth'],
    })
    const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
    putRequest('good', podRequest({ key }))
    putRequest('bad', podRequest({ key: generateKeySync({ algorithm: 'Ed25519' }) }))
    lead(start())
    await quiet()
    expect(conditions('good', podCertificateRequests, 'shop')).toEqual([])
    expect(conditions('bad', podCertificateRequests, 'shop')).toEqual([])
    expect({ audit, events }).toEqual({ audit: [], events: [] })
    const elsewhere = { ...podRequester, uid: 'sa-web', extra: {} }
    putPolicy('accounts', {
      requests: { signerNames: ['example.com/serving'] },
      binding: 'none',
      subjects: { users: [elsewhere.username] },
      names: { allowed: { dnsNames: ['any.test'] } },
    })
    putRequest('copy', signingRequest({ key, names: { dns: ['any.test'] } }, elsewhere))
    await quiet()
    expect(conditions('copy')).toEqual([])
    expect(audit.at(-1)).toMatchObject({ request: 'CertificateSigningRequest copy', reason: 'KeyInUse' })
  })
})

describe('a key', () => {
  const other = { ...podRequester, username: 'system:serviceaccount:shop:other', uid: 'sa-other' }

  test('that another request asked for first is nobody else’s, while that one waits', async () => {
    putRequest('first', signingRequest(others))
    lead(start())
    await quiet()
    putPolicy('any', {
      requests: { signerNames: ['example.com/serving'] },
      binding: 'none',
      subjects: { users: [other.username] },
      names: { allowed: { dnsNames: ['other.shop.svc'] } },
    })
    await quiet()
    putRequest('copy', signingRequest(others, { ...other, extra: {} }))
    await quiet()
    expect(conditions('copy')).toEqual([])
    expect(audit.at(-1)).toMatchObject({ request: 'CertificateSigningRequest copy', reason: 'KeyInUse' })
    // The first one goes away without ever having been granted: then the key is free.
    api.remove(certificateSigningRequests, { name: 'first' })
    await quiet()
    expect(conditions('copy')).toEqual(['Approved: PolicyPassed'])
  })

  test('of a request that was granted before this process began is known to it', async () => {
    putRequest('before', signingRequest(own))
    const granted = api.find(certificateSigningRequests, { name: 'before' }) as StoredObject
    const approved = { type: 'Approved', status: 'True', reason: 'PolicyPassed' } as const
    api.put(certificateSigningRequests, { ...granted, status: { conditions: [approved] } })
    putPolicy('any', {
      requests: { signerNames: ['example.com/serving'] },
      binding: 'none',
      subjects: { users: [other.username] },
      names: { allowed: { dnsNames: ['web.shop.svc'] } },
    })
    putRequest('copy', signingRequest(own, { ...other, extra: {} }))
    lead(start())
    await quiet()
    expect(conditions('copy')).toEqual([])
    expect(audit).toMatchObject([
      { decision: 'wait', reason: 'KeyInUse', why: expect.stringContaining('pod/pod-web-0') as string },
    ])
  })
})

describe('freshness', () => {
  test('a pod that is gone from the API server is gone, whatever the watch has shown', async () => {
    lead(start())
    await quiet()
    api.isStalled = true
    api.remove(pods, { namespace: 'shop', name: 'web-0' })
    api.isStalled = false
    putRequest('ghost', signingRequest(own))
    await quiet()
    expect(conditions('ghost')).toEqual([])
    expect(audit.at(-1)).toMatchObject({ decision: 'wait' })
  })

  test('a policy that was deleted a moment ago approves nothing', async () => {
    const approver = start()
    await approver.known
    putRequest('late', signingRequest(own))
    // The policy is gone between the decision and the write, and no watch has told so yet.
    api.onGet = () => {
      api.isStalled = true
      api.remove(certificatePolicies, { name: 'web' })
    }
    lead(approver)
    await quiet()
    expect(written()).toEqual([])
    api.onGet = () => {}
    api.resume()
    await clock.advance(120_000)
    await quiet()
    expect(written()).toEqual([])
  })

  test('a request that changed since it was decided is decided again as it is then', async () => {
    putRequest('moving', signingRequest(own))
    let isFirst = true
    api.onWrite = ({ plural }) => {
      if (plural !== 'certificatesigningrequests' || !isFirst) return
      isFirst = false
      api.put(certificateSigningRequests, api.find(certificateSigningRequests, { name: 'moving' }) as StoredObject)
    }
    lead(start())
    await quiet()
    await clock.advance(1_000)
    await quiet()
    expect(conditions('moving')).toEqual(['Approved: PolicyPassed'])
    expect(written()).toEqual(['moving'])
  })

  test('a pod that changes while it is read is looked at again', async () => {
    const pod = api.find(pods, { namespace: 'shop', name: 'web-0' }) as StoredObject
    api.put(pods, { ...pod, metadata: { ...pod.metadata, labels: { app: 'none' } } })
    lead(start())
    await quiet()
    // The answer is old when it arrives, and the watch has told so in the meantime.
    api.onAnswer = async () => {
      api.onAnswer = () => {}
      api.put(pods, pod)
      await quiet()
    }
    putRequest('racing', signingRequest(own))
    await quiet()
    await quiet()
    expect(conditions('racing')).toEqual(['Approved: PolicyPassed'])
  })
})

describe('policies', () => {
  test('that cannot be used never lead to a denial, say so in their status, and the last good version counts', async () => {
    lead(start())
    await quiet()
    const ready = () => api.find(certificatePolicies, { name: 'web' })?.status?.conditions
    expect(ready()).toMatchObject([{ type: 'Ready', status: 'True' }])
    putPolicy('web', { ...policySpec, rules: [{ name: 'typo', expression: 'pod.label' }] }, 2)
    await quiet()
    expect(ready()).toMatchObject([
      { type: 'Ready', status: 'False', message: expect.stringContaining('spec.rules[0]') as string },
    ])
    putRequest('good', signingRequest(own))
    putRequest('bad', signingRequest({ ...never, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
    await quiet()
    expect(conditions('good')).toEqual(['Approved: PolicyPassed'])
    expect(conditions('bad')).toEqual([])
    putPolicy('web', policySpec, 3)
    await quiet()
    expect(conditions('bad')).toEqual(['Denied: PolicyForbids'])
  })

  test('whose subjects are whoever RBAC lets use them are asked for, and asked again', async () => {
    putPolicy('rbac', {
      requests: { signerNames: ['example.com/rbac'] },
      binding: 'none',
      subjects: { mayUse: true },
      names: { allowed: { dnsNames: ['a.test'] } },
    })
    putRequest('asked', signingRequest({ names: { dns: ['a.test'] } }, { signerName: 'example.com/rbac' }))
    lead(start())
    await quiet()
    expect(conditions('asked')).toEqual([])
    api.mayUse.add(`${podRequester.username} rbac`)
    await clock.advance(61_000)
    await quiet()
    expect(conditions('asked')).toEqual(['Approved: PolicyPassed'])
  })
})

describe('approvals by others', () => {
  test('of what a policy is for are told of once and make it unready for an hour, and its own are none', async () => {
    const approver = start()
    lead(approver)
    await quiet()
    putRequest('mine', signingRequest(own))
    putRequest('theirs', signingRequest({ ...others, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
    await quiet()
    const lastTransitionTime = new Date(clock.now()).toISOString()
    const approved = { type: 'Approved', status: 'True', reason: 'cert-manager.io', lastTransitionTime } as const
    const theirs = api.find(certificateSigningRequests, { name: 'theirs' }) as StoredObject
    api.put(certificateSigningRequests, { ...theirs, status: { conditions: [approved] } })
    await quiet()
    putPolicy('web', policySpec, 2)
    await quiet()
    expect(events.filter(({ text }) => text.reason === 'ApprovedByOther')).toMatchObject([
      { about: { name: 'theirs' } },
    ])
    expect(approver.problems()).toEqual([
      expect.stringContaining('theirs was approved by somebody else (cert-manager.io)'),
    ])
    await clock.advance(3600_000)
    expect(approver.problems()).toEqual([])
  })
})

describe('several processes', () => {
  test('and whatever else happens meanwhile: what is allowed in the end is approved, once, and nothing else is', async () => {
    const step = fc.oneof(
      fc.record({ is: fc.constant('ask' as const), allowed: fc.boolean() }),
      fc.record({ is: fc.constant('policy' as const), works: fc.boolean() }),
      fc.record({ is: fc.constant('service' as const), selects: fc.boolean() }),
      fc.record({ is: fc.constant('refuse' as const), status: fc.constantFrom(409, 403, 500) }),
      fc.constantFrom(
        { is: 'stall' as const },
        { is: 'resume' as const },
        { is: 'swap' as const },
        { is: 'wait' as const },
      ),
    )
    const keys = Array.from({ length: 12 }, () => generateKeySync({ algorithm: 'ECDSA', size: 256 }))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        api = new MemoryApi(() => clock.now())
        for (const object of world) api.put(resources[object.kind ?? ''] ?? pods, object)
        putPolicy('web', policySpec)
        const approvers = [start(), start()] as const
        let leader = 0
        let stop = lead(approvers[0])
        let generation = 1
        const asked: { readonly name: string; readonly allowed: boolean }[] = []
        for (const one of steps) {
          if (one.is === 'ask') {
            const name = `asked-${asked.length}`
            const key = keys[asked.length] as (typeof keys)[number]
            putRequest(name, signingRequest({ ...(one.allowed ? own : others), key }))
            asked.push({ name, allowed: one.allowed })
          } else if (one.is === 'policy') {
            generation += 1
            putPolicy('web', one.works ? policySpec : { ...policySpec, binding: 'unknown' }, generation)
          } else if (one.is === 'service') {
            const selector = { app: one.selects ? 'web' : 'nobody' }
            api.put(services, { metadata: { namespace: 'shop', name: 'web' }, spec: { selector } })
          } else if (one.is === 'refuse') {
            api.onWrite = ({ plural }) => {
              if (plural !== 'certificatesigningrequests') return
              api.onWrite = () => {}
              throw refusal(one.status, 'Refused')
            }
          } else if (one.is === 'stall') api.isStalled = true
          else if (one.is === 'resume') api.resume()
          else if (one.is === 'wait') await clock.advance(500)
          else {
            await stop()
            leader = 1 - leader
            stop = lead(approvers[leader] ?? approvers[0])
          }
          for (let round = 0; round < 3; round++) await settled()
        }
        api.onWrite = () => {}
        api.put(services, { metadata: { namespace: 'shop', name: 'web' }, spec: { selector: { app: 'web' } } })
        putPolicy('web', policySpec, generation + 1)
        api.resume()
        await quiet()
        await clock.advance(200_000)
        await quiet()
        expect(written().toSorted()).toEqual(asked.flatMap(({ name, allowed }) => (allowed ? [name] : [])).toSorted())
        await stop()
        await Promise.all(approvers.map((approver) => approver.close()))
      }),
      { numRuns: 40 },
    )
  })

  test('of which one leads: the other decides nothing, and takes over what is left without deciding anything twice', async () => {
    const [first, second] = [start(), start()]
    const stop = lead(first)
    await second.known
    putRequest('one', signingRequest(own))
    await quiet()
    expect(written()).toEqual(['one'])
    await stop()
    putRequest('two', signingRequest({ ...own, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
    await quiet()
    expect(written()).toEqual(['one'])
    lead(second)
    await quiet()
    expect(written()).toEqual(['one', 'two'])
  })

  test('whose watch lags behind is refused, and does not decide what is decided', async () => {
    const [first, second] = [start(), start()]
    await Promise.all([first.known, second.known])
    putRequest('one', signingRequest(own))
    await quiet()
    api.isStalled = true
    const stop = lead(first)
    await quiet()
    await stop()
    lead(second)
    await quiet()
    expect(written()).toEqual(['one'])
    api.resume()
    await clock.advance(1_000)
    await quiet()
    expect(written()).toEqual(['one'])
  })
})

test('a dry run decides and writes nothing at all', async () => {
  putRequest('good', signingRequest(own))
  putRequest('bad', signingRequest({ ...never, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
  lead(start({ dryRun: true }))
  await quiet()
  expect(audit.map(({ decision, dryRun }) => ({ decision, dryRun }))).toEqual([
    { decision: 'approve', dryRun: true },
    { decision: 'deny', dryRun: true },
  ])
  expect({ writes: api.writes, events }).toEqual({ writes: [], events: [] })
})

test('a missing right is shown by /readyz until the write succeeds', async () => {
  const approver = start()
  api.onWrite = ({ plural }) => {
    if (plural === 'certificatesigningrequests') throw refusal(403, 'Forbidden')
  }
  putRequest('good', signingRequest(own))
  lead(approver)
  await quiet()
  expect(approver.problems()).toEqual([expect.stringContaining('CertificateSigningRequest good cannot be decided')])
  api.onWrite = () => {}
  await clock.advance(120_000)
  await quiet()
  expect(approver.problems()).toEqual([])
  expect(written()).toEqual(['good'])
})

test('kinds that the cluster does not have are done without, and followed once it has them', async () => {
  for (const plural of ['certificaterequests', 'podcertificaterequests']) api.absent.add(plural)
  putRequest('good', signingRequest(own))
  const approver = start()
  lead(approver)
  await quiet()
  expect(conditions('good')).toEqual(['Approved: PolicyPassed'])
  expect(approver.problems()).toEqual([])
  api.absent.clear()
  putRequest('later', managedRequest({ ...own, key: generateKeySync({ algorithm: 'ECDSA', size: 256 }) }))
  await clock.advance(30_000)
  await quiet()
  expect(conditions('later', certificateRequests, 'shop')).toEqual(['Approved: PolicyPassed'])
})
