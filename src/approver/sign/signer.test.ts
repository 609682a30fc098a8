import { Registry } from 'prom-client'
import { beforeAll, describe, expect, test } from 'vitest'
import { ApiError, ConnectionError } from '../../kubernetes/errors.ts'
import type { EventText } from '../../kubernetes/event-object.ts'
import { ManualClock, settled } from '../../kubernetes/fixtures/manual-clock.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import { silentLog } from '../../runtime/log.ts'
import { buildSubject } from '../../x509/name.ts'
import { day, hour } from '../../x509/test-pki.ts'
import type { Decision } from '../decide.ts'
import { podRequest, signingRequest } from '../fixtures/requests.ts'
import { ask, now, policyOf } from '../fixtures/world.ts'
import type { Policy } from '../policy/policy.ts'
import type { RequestObject } from '../request/request-object.ts'
import { CaShelf } from './ca-shelf.ts'
import { materialOfChain } from './fixtures/certificate-authorities.ts'
import { createSignMetrics } from './sign-metrics.ts'
import { Signer, type SignerOptions } from './signer.ts'
import { defaultUsages } from './signer-profile.ts'
import { testAuthority } from '../../x509/test-pki.ts'

type Answer = 'ok' | Error

const approval = { conditions: [{ type: 'Approved', status: 'True' as const }] }

function approvedRequest(): Extract<RequestObject, { kind: 'CertificateSigningRequest' }> {
  const { object, kind } = signingRequest({ subject: buildSubject({ commonName: 'web' }) })
  return { kind, object: { ...object, status: approval } }
}

let policy: Policy

beforeAll(async () => {
  const requests = { kinds: ['PodCertificateRequest'], signerNames: ['example.com/pods'] }
  policy = await policyOf({
    requests,
    issue: { dnsNames: ['${service.name}.${namespace}.svc'], usages: ['server auth'] },
  })
})

/** A signer between a scripted API server and scripted trust; all that it does, in its order. */
function rig(more: Partial<SignerOptions> = {}, signerName = 'example.com/serving') {
  const clock = new ManualClock(now)
  const shelf = new CaShelf(silentLog)
  shelf.offer(materialOfChain(testAuthority('root', { lifetime: 100 * day })), now)
  const steps: string[] = []
  const written: KubernetesObject[] = []
  const answers: Answer[] = []
  const reservations: Answer[] = []
  const events: EventText[] = []
  const held = new Map<string, KubernetesObject>()
  const act = async (what: string, script: Answer[]): Promise<void> => {
    await Promise.resolve()
    steps.push(what)
    const answer = script.shift() ?? 'ok'
    if (answer !== 'ok') throw answer
  }
  const trust = { publishedAt: now as number | undefined }
  const signer = new Signer({
    profile: { signerName, usages: defaultUsages, longest: day },
    shelf,
    trust: {
      maySignFrom: () => trust.publishedAt,
      reserve: (_root, end) => act(`reserve until ${new Date(end).toISOString()}`, reservations),
    },
    client: {
      get: async (resource, { name }) => {
        await act(`get ${resource.kind}`, [])
        const found = held.get(name)
        if (found === undefined) throw new ApiError('GET', 404, {}, undefined)
        return found as never
      },
      update: async (resource, object, options) => {
        await act(`put ${resource.kind} ${options?.subresource ?? ''}`, answers)
        written.push(object)
        return object
      },
    },
    pods: {
      decide: (object) => Promise.resolve(ask({ kind: 'PodCertificateRequest', object }, [policy])),
      claim: () => true,
    },
    trustCreators: true,
    metrics: createSignMetrics(new Registry()),
    events: { record: (_, text) => void events.push(text) },
    clock,
    random: () => 0,
    log: silentLog,
    ...more,
  })
  const offer = async (request: RequestObject): Promise<void> => {
    held.set(request.object.metadata.name ?? '', request.object)
    signer.offer(request)
    await settled()
  }
  return { signer, clock, shelf, steps, written, answers, reservations, events, trust, offer, held }
}

const reserved = 'reserve until 2026-11-22T11:01:00.000Z'

test('trust is kept for as long as the leaf lives before the leaf is served, with UID and version', async () => {
  const { signer, steps, written, offer } = rig()
  await offer(approvedRequest())
  expect(steps).toEqual([reserved, 'put CertificateSigningRequest status'])
  expect(written[0]?.metadata).toMatchObject({ uid: 'request-1', resourceVersion: '7' })
  expect(signer.waiting).toBe(0)
})

test('nothing is served where the trust could not be kept, and it is tried again', async () => {
  const { signer, clock, steps, reservations, written, offer } = rig()
  reservations.push(new ConnectionError('no answer', 'unknown'))
  await offer(approvedRequest())
  expect([steps, written]).toEqual([[reserved], []])
  await clock.advance(1_000)
  expect(steps.slice(1)).toEqual([
    'get CertificateSigningRequest',
    'reserve until 2026-11-22T11:01:01.000Z',
    'put CertificateSigningRequest status',
  ])
  expect(signer.waiting).toBe(0)
})

describe('a write that is not answered or is in conflict', () => {
  test.each<[string, Error]>([
    ['lost', new ConnectionError('no answer', 'unknown')],
    ['in conflict', new ApiError('PUT', 409, { reason: 'Conflict' }, undefined)],
    ['forbidden', new ApiError('PUT', 403, { reason: 'Forbidden' }, undefined)],
    ['failing', new ApiError('PUT', 500, {}, undefined)],
  ])('%s, is no failure: the request is read again, and not signed twice', async (_what, error) => {
    const { clock, steps, answers, written, offer, held } = rig()
    answers.push(error)
    const request = approvedRequest()
    await offer(request)
    held.set('asked', { ...request.object, status: { ...approval, certificate: 'eA==' } } as KubernetesObject)
    await clock.advance(60_000)
    expect(steps).toEqual([reserved, 'put CertificateSigningRequest status', 'get CertificateSigningRequest'])
    expect(written).toEqual([])
  })
})

test('a request that is gone, or was replaced under its name, is let go', async () => {
  const { signer, clock, answers, written, offer, held } = rig()
  answers.push(new ApiError('PUT', 500, {}, undefined))
  const request = approvedRequest()
  await offer(request)
  held.set('asked', { ...request.object, metadata: { ...request.object.metadata, uid: 'another' } })
  await clock.advance(60_000)
  expect([signer.waiting, written]).toEqual([0, []])
})

test('without a CA that may sign a request waits, is told why, and is signed as soon as one may', async () => {
  const { signer, trust, events, written, offer } = rig()
  trust.publishedAt = now + hour
  await offer(approvedRequest())
  expect(written).toEqual([])
  expect(events).toEqual([
    {
      type: 'Warning',
      reason: 'NoCertificateAuthority',
      message: expect.stringContaining('is on its way until') as string,
    },
  ])
  trust.publishedAt = now
  signer.wake()
  await settled()
  expect(written).toHaveLength(1)
})

test('a request that changes while it is signed is looked at once more, as it is then', async () => {
  const gate = Promise.withResolvers<void>()
  const certificates: unknown[] = []
  const { signer, offer } = rig({
    trust: { maySignFrom: () => now, reserve: () => gate.promise },
    client: {
      get: () => Promise.reject(new ApiError('GET', 404, {}, undefined)),
      update: async (_resource, object) => {
        certificates.push(object.metadata.resourceVersion)
        return object
      },
    },
  })
  const { kind, object } = approvedRequest()
  await offer({ kind, object })
  await offer({ kind, object: { ...object, metadata: { ...object.metadata, resourceVersion: '8' } } })
  expect([certificates, signer.waiting]).toEqual([[], 1])
  gate.resolve()
  await settled()
  expect([certificates, signer.waiting]).toEqual([['7', '8'], 0])
})

test('requests of other signers and those that are not approved are not taken', async () => {
  const { signer, steps, offer } = rig()
  await offer(signingRequest())
  const { object } = approvedRequest()
  await offer({
    kind: 'CertificateSigningRequest',
    object: { ...object, spec: { ...object.spec, signerName: 'a.example/b' } },
  })
  await offer(podRequest())
  expect([steps, signer.waiting]).toEqual([[], 0])
})

describe('for a pod', () => {
  test('trust is kept before the leaf is served, and the key is its own', async () => {
    const { steps, written, offer } = rig({}, 'example.com/pods')
    await offer(podRequest())
    expect(steps).toEqual(['reserve until 2026-11-23T09:59:00.000Z', 'put PodCertificateRequest status'])
    expect(written[0]).toMatchObject({ status: { conditions: [{ type: 'Issued' }] } })
  })

  test('nothing is signed with a key of another owner, or while nobody binds the creators', async () => {
    const decide = (object: Parameters<NonNullable<SignerOptions['pods']>['decide']>[0]): Promise<Decision> =>
      Promise.resolve(ask({ kind: 'PodCertificateRequest', object }, [policy]))
    const foreign = rig({ pods: { decide, claim: () => false } }, 'example.com/pods')
    await foreign.offer(podRequest())
    expect([foreign.written, foreign.events[0]?.reason]).toEqual([[], 'KeyInUse'])

    const unbound = rig({ trustCreators: false }, 'example.com/pods')
    await unbound.offer(podRequest())
    expect([unbound.written, unbound.events[0]?.reason]).toEqual([[], 'CreatorNotBound'])
    expect(unbound.signer.waiting).toBe(1)
  })

  test('a CA that is about to end lets it wait, and the pod is told', async () => {
    const { shelf, events, written, signer, offer } = rig({}, 'example.com/pods')
    shelf.offer(materialOfChain(testAuthority('short', { lifetime: day + 30 * 60_000 })), now)
    const [, old] = shelf.cas
    expect(old).toBeDefined()
    const only = rig({ shelf: shortShelf() }, 'example.com/pods')
    await only.offer(podRequest())
    expect([only.written, only.events.length, only.signer.waiting]).toEqual([[], 2, 1])
    await offer(podRequest())
    expect([written.length, events.length, signer.waiting]).toEqual([1, 0, 0])
  })
})

function shortShelf(): CaShelf {
  const shelf = new CaShelf(silentLog)
  shelf.offer(materialOfChain(testAuthority('short', { lifetime: day + 30 * 60_000 })), now)
  return shelf
}
