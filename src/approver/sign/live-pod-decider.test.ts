import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { ManualClock, settled } from '../../kubernetes/fixtures/manual-clock.ts'
import type { Condition } from '../../kubernetes/object.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
  pods,
  type Resource,
} from '../../kubernetes/resource.ts'
import { silentLog } from '../../runtime/log.ts'
import { managedRequest, podRequest, podRequester, signingRequest } from '../fixtures/requests.ts'
import { driverName, driverUser, world } from '../fixtures/world.ts'
import { MemoryApi, type StoredObject } from '../../../test/support/memory-api.ts'
import { PolicySet } from '../live/policy-set.ts'
import { certificatePolicies, namespaces, serviceAccounts, services } from '../live/resources.ts'
import type { RequestObject } from '../request/request-object.ts'
import { loadCel } from '../rule/cel.ts'
import { admissionBindings, admissionPolicies } from './creator-admission.ts'
import { LivePodDecider } from './live-pod-decider.ts'

const resources: Readonly<Record<string, Resource>> = {
  Pod: pods,
  Service: services,
  Namespace: namespaces,
  ServiceAccount: serviceAccounts,
  CertificateSigningRequest: certificateSigningRequests,
  CertificateRequest: certificateRequests,
  PodCertificateRequest: podCertificateRequests,
  ValidatingAdmissionPolicy: admissionPolicies,
  ValidatingAdmissionPolicyBinding: admissionBindings,
}
type Status = NonNullable<StoredObject['status']> & { readonly notAfter?: string }

const approved: Condition = { type: 'Approved', status: 'True', reason: 'KubectlApprove' }
const issued: Status = {
  conditions: [{ type: 'Issued', status: 'True' }],
  notAfter: '2026-11-23T10:00:00Z',
}
const signal = new AbortController().signal

let clock: ManualClock
let api: MemoryApi
let parts: AsyncDisposableStack
/** How often something was told to have come. */
let changes: number

beforeAll(() => loadCel())

beforeEach(() => {
  clock = new ManualClock(Date.parse('2026-11-22T10:01:00Z'))
  api = new MemoryApi(() => clock.now())
  parts = new AsyncDisposableStack()
  changes = 0
  for (const object of world) api.put(resources[object.kind ?? ''] ?? pods, object)
  putPolicy('pods', {
    requests: { kinds: ['PodCertificateRequest'], signerNames: ['example.com/pods'] },
    issue: { uris: ['spiffe://test/ns/${namespace}/sa/${serviceAccount.name}'], usages: ['client auth'] },
  })
})

afterEach(() => parts.disposeAsync())

function putPolicy(name: string, spec: object): void {
  api.put(certificatePolicies, { metadata: { name, generation: 1 }, spec: spec as StoredObject['spec'] & object })
}

/** Somebody's request of a name of its own, with more of a status. */
function putRequest(name: string, { kind, object }: RequestObject, status: Status): void {
  const { uid: _, resourceVersion: __, ...metadata } = object.metadata
  api.put(resources[kind] ?? pods, { ...object, metadata: { ...metadata, name }, status })
}

function start(trustCreators = true): LivePodDecider {
  const onChange = (): void => {
    changes += 1
  }
  const { client } = api
  const policies = new PolicySet({
    client,
    directory: undefined,
    limits: { allowApiserverSigners: false },
    onChange,
    clock,
    log: silentLog,
  })
  parts.defer(() => policies.close())
  const decider = new LivePodDecider({
    client,
    policies,
    settings: {
      drivers: { identities: [driverUser], driverNames: [driverName] },
      clusterDomain: 'cluster.local',
      patience: 3600_000,
    },
    signerNames: ['example.com/serving', 'example.com/pods'],
    trustCreators,
    onChange,
    clock,
    log: silentLog,
  })
  parts.defer(() => decider.close())
  return decider
}

async function quiet(): Promise<void> {
  for (let round = 0; round < 30; round++) await settled()
}

const asked = podRequest().object
const elsewhere = { ...podRequester, username: 'system:serviceaccount:shop:other', uid: 'sa-other', extra: {} }

test('a pod is decided by the policies once all requests were seen, and not before', async () => {
  const decider = start()
  await quiet()
  await expect(decider.decide(asked, signal)).rejects.toMatchObject({ code: 'POD_REQUEST_UNDECIDED' })
  const before = changes
  await quiet()
  expect(changes).toBeGreaterThan(before)
  expect(await decider.decide(asked, signal)).toMatchObject({ is: 'approve', owner: 'pod/pod-web-0' })
})

describe('a key that was granted before this process began', () => {
  test.each<[string, RequestObject, Status]>([
    [
      'in a CertificateSigningRequest that somebody approved',
      signingRequest({}, elsewhere),
      { conditions: [approved] },
    ],
    ['in a CertificateRequest', managedRequest({}, elsewhere), { conditions: [approved] }],
    ['to another pod', podRequest({}, { podName: 'web-1', podUID: 'pod-web-1' }), issued],
  ])('%s is not granted to a pod, which waits', async (_what, request, status) => {
    putRequest('before', request, status)
    const decider = start()
    await quiet()
    await expect(decider.decide(asked, signal)).rejects.toMatchObject({ code: 'POD_REQUEST_UNDECIDED' })
    await quiet()
    expect(await decider.decide(asked, signal)).toMatchObject({ is: 'wait', reason: 'KeyInUse' })
  })

  test('to the pod itself is granted to it again', async () => {
    putRequest('before', podRequest(), issued)
    putRequest('own', signingRequest(), { conditions: [approved] })
    const decider = start()
    await quiet()
    await expect(decider.decide(asked, signal)).rejects.toMatchObject({ code: 'POD_REQUEST_UNDECIDED' })
    await quiet()
    expect((await decider.decide(asked, signal)).is).toBe('approve')
  })
})

test('a key that is granted while it runs is nobody else’s, until its certificate ends', async () => {
  const decider = start()
  await quiet()
  await expect(decider.decide(asked, signal)).rejects.toMatchObject({ code: 'POD_REQUEST_UNDECIDED' })
  await quiet()
  const decision = await decider.decide(asked, signal)
  const until = clock.now() + 3600_000
  expect(decider.claim(asked, decision, until)).toBe(true)
  const copy = podRequest({}, { podName: 'web-1', podUID: 'pod-web-1' }).object
  const other = { ...copy, metadata: { ...copy.metadata, name: 'copy' } }
  expect(decider.claim(other, { ...decision, owner: 'pod/pod-web-1' }, until)).toBe(false)
  expect((await decider.decide(other, signal)).request).toContainEqual(
    expect.objectContaining({ rule: 'key.owner', result: 'failed' }),
  )
  await clock.advance(3600_001)
  expect(decider.claim(other, { ...decision, owner: 'pod/pod-web-1' }, clock.now() + 1)).toBe(true)
})

test('a policy that was deleted a moment ago, which no watch has told, gives nothing', async () => {
  const decider = start()
  await quiet()
  await expect(decider.decide(asked, signal)).rejects.toMatchObject({ code: 'POD_REQUEST_UNDECIDED' })
  await quiet()
  api.isStalled = true
  api.remove(certificatePolicies, { name: 'pods' })
  await expect(decider.decide(asked, signal)).rejects.toThrow('policies were changed in the meantime')
  api.resume()
  await quiet()
  expect((await decider.decide(asked, signal)).is).toBe('leave alone')
})

test('requests are not followed where no pod asks', async () => {
  const watched: string[] = []
  api.onWatch = (plural) => void watched.push(plural)
  start(false)
  await quiet()
  expect(new Set(watched)).toEqual(
    new Set(['certificatepolicies', 'validatingadmissionpolicies', 'validatingadmissionpolicybindings']),
  )
})

describe('that nothing binds the creators of requests to their nodes', () => {
  const file = join(import.meta.dirname, '../../../deploy/approver/admission.yaml')
  const admission = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as StoredObject)

  test('is told as long as it is so, where a policy is for pods', async () => {
    const decider = start(false)
    await quiet()
    expect(decider.problems()).toEqual([
      expect.stringContaining(
        'pods get no certificates from example.com/pods: there is no ValidatingAdmissionPolicy podpass-pod-certificate-requests',
      ),
    ])
    for (const object of admission) api.put(resources[object.kind ?? ''] ?? pods, object)
    await quiet()
    expect(decider.problems()).toEqual([])
    api.remove(admissionBindings, { name: 'podpass-pod-certificate-requests' })
    await quiet()
    expect(decider.problems()).toHaveLength(1)
  })

  test('is told to nobody where no policy is for pods, and where creators are trusted', async () => {
    const trusting = start(true)
    await quiet()
    expect(trusting.problems()).toEqual([])
    api.remove(certificatePolicies, { name: 'pods' })
    const decider = start(false)
    await quiet()
    expect(decider.problems()).toEqual([])
  })
})
