import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { generateKeySync } from '../../x509/key.ts'
import { buildSubject } from '../../x509/name.ts'
import { day, hour, minute } from '../../x509/test-pki.ts'
import type { Decision } from '../decide.ts'
import { podRequest } from '../fixtures/requests.ts'
import { ask, now, policyOf, webPod, worldWith } from '../fixtures/world.ts'
import type { Policy } from '../policy/policy.ts'
import { rootCa } from './fixtures/certificate-authorities.ts'
import {
  isOpen,
  podCertificateTimes,
  podTask,
  type PodTask,
  withPodCertificate,
  withPodCondition,
} from './pod-request.ts'
import { defaultUsages, type SignerProfile } from './signer-profile.ts'

const profile: SignerProfile = { signerName: 'example.com/pods', usages: defaultUsages, longest: 30 * day }
const ca = rootCa(now, { lifetime: 100 * day })
const issue = {
  commonName: '${namespace}.${serviceAccount.name}',
  organizationalUnits: ['shop'],
  dnsNames: ['${service.name}.${namespace}.svc'],
  uris: ['spiffe://cluster.example/ns/${namespace}/sa/${serviceAccount.name}'],
  usages: ['digital signature', 'server auth'],
  userAnnotations: ['example.com/tier'],
}
let policies: readonly Policy[] = []

beforeAll(async () => {
  const requests = { kinds: ['PodCertificateRequest'], signerNames: [profile.signerName] }
  policies = [await policyOf({ requests, issue })]
})

function taskOf(decision: Decision, by = ca, of: SignerProfile = profile): PodTask {
  return podTask(decision, of, by, now, 0.5)
}

test('a pod is given the names of its policy, and nothing else', () => {
  const task = taskOf(ask(podRequest(), policies))
  if (task.is !== 'sign') throw new Error(JSON.stringify(task))
  const { leaf } = task.sign()
  expect(leaf.subject).toBe('CN=shop.web,OU=shop')
  expect(leaf.names).toEqual({
    dns: ['web.shop.svc', 'peers.shop.svc'],
    ip: [],
    uri: ['spiffe://cluster.example/ns/shop/sa/web'],
    email: [],
  })
  expect(leaf.usages).toEqual(['digital signature', 'server auth'])
  const { object } = podRequest()
  const { status } = withPodCertificate(object, task.sign(), task.times, now)
  expect(status).toMatchObject({
    conditions: [{ type: 'Issued', status: 'True', lastTransitionTime: '2026-11-22T10:01:00Z' }],
    notBefore: '2026-11-22T09:59:00Z',
    notAfter: '2026-11-23T09:59:00Z',
    beginRefreshAt: '2026-11-23T01:35:00Z',
  })
})

test('times are always what the API server takes, wherever there is an hour', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -20 * minute, max: 120 * day }),
      fc.integer({ min: -10 * day, max: 10 * minute }),
      fc.integer({ min: 1, max: 91 * day }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 0, max: 999 }),
      fc.option(fc.integer({ min: 10 * minute, max: 91 * day }), { nil: undefined }),
      (left, begun, longest, spread, fraction, refreshAfter) => {
        const at = now + fraction
        const [notBefore, notAfter] = [now + Math.floor(begun / 1000) * 1000, now + Math.floor(left / 1000) * 1000]
        const authority = { ...ca.authority, certificate: { ...ca.authority.certificate, notBefore } }
        const times = podCertificateTimes(
          { authority, notAfter },
          { longest, ...(refreshAfter !== undefined && { refreshAfter }) },
          at,
          spread,
        )
        const start = Math.max(Math.floor((at - 2 * minute) / 1000) * 1000, notBefore)
        const canGive = Math.min(longest, notAfter - start) >= hour && notBefore <= at
        expect(times !== undefined).toBe(canGive)
        if (times === undefined) return
        for (const time of Object.values(times)) expect(time % 1000).toBe(0)
        expect(Math.abs(times.notBefore - at)).toBeLessThan(5 * minute)
        expect(times.notBefore).toBeGreaterThanOrEqual(notBefore)
        expect(times.notAfter).toBeLessThanOrEqual(notAfter)
        expect(times.notAfter - times.notBefore).toBeLessThanOrEqual(longest)
        expect(times.notAfter - times.notBefore).toBeGreaterThanOrEqual(hour)
        expect(times.beginRefreshAt - times.notBefore).toBeGreaterThanOrEqual(10 * minute)
        expect(times.notAfter - times.beginRefreshAt).toBeGreaterThanOrEqual(10 * minute)
      },
    ),
  )
})

test('refreshes of pods that start together are spread', () => {
  for (const limits of [{ longest: day }, { longest: day, refreshAfter: hour }]) {
    const starts = [0, 0.25, 0.5, 0.75].map((spread) => podCertificateTimes(ca, limits, now, spread)?.beginRefreshAt)
    expect(new Set(starts).size).toBe(4)
  }
})

test('a signer may have the kubelet ask for the next certificate long before the end', () => {
  const times = podCertificateTimes(ca, { longest: day, refreshAfter: hour }, now, 0.5)
  expect((times?.beginRefreshAt ?? 0) - (times?.notBefore ?? 0)).toBe(63 * minute)
})

describe('waits, and is never denied for it', () => {
  test('where the CA cannot give an hour', () => {
    const short = rootCa(now, { lifetime: day + 30 * minute })
    expect(taskOf(ask(podRequest(), policies), short)).toMatchObject({ is: 'wait', reason: 'TooShort' })
  })

  test('where no CA may sign', () => {
    const task = podTask(ask(podRequest(), policies), profile, undefined, now, 0)
    expect(task).toMatchObject({ is: 'wait', reason: 'NoCertificateAuthority' })
  })

  test("where the policy issues Kubernetes' own names by way of an annotation", async () => {
    const requests = { kinds: ['PodCertificateRequest'], signerNames: [profile.signerName] }
    const masters = await policyOf({ requests, issue: { ...issue, organizations: ['${pod.annotations[group]}'] } })
    const metadata = { ...webPod.metadata, annotations: { group: 'system:masters' } }
    const decision = ask(podRequest(), [masters], worldWith({ ...webPod, metadata }))
    expect(decision.message).toContain('O:system:masters')
    expect(taskOf(decision)).toMatchObject({ is: 'wait', reason: 'NotYetAllowed' })
  })

  test('where the policy issues what the signer does not sign', () => {
    const narrow = { ...profile, usages: ['client auth' as const] }
    expect(taskOf(ask(podRequest(), policies), ca, narrow)).toMatchObject({ is: 'wait', reason: 'OutsideOfProfile' })
  })

  test('where the signer gives less than an hour', () => {
    const short = { ...profile, longest: 30 * minute }
    expect(taskOf(ask(podRequest(), policies), ca, short)).toMatchObject({ is: 'wait', reason: 'TooShort' })
  })
})

test('nothing is done where no policy is for it', () => {
  expect(taskOf(ask(podRequest(), []))).toEqual({ is: 'nothing' })
})

describe('is denied, by the reasons of KEP-4317,', () => {
  test('for a key that pods may not have', () => {
    const key = generateKeySync({ algorithm: 'RSA', size: 2048 })
    expect(taskOf(ask(podRequest({ key }), policies))).toMatchObject({ is: 'deny', reason: 'UnsupportedKeyType' })
  })

  test('for annotations that no policy knows, and not for those that one does', () => {
    const with_ = (key: string): Decision =>
      ask(podRequest({}, { unverifiedUserAnnotations: { [key]: 'x' } }), policies)
    expect(taskOf(with_('example.com/other'))).toMatchObject({ is: 'deny', reason: 'InvalidUnverifiedUserAnnotations' })
    expect(taskOf(with_('example.com/tier')).is).toBe('sign')
  })

  test('for names in the request itself', () => {
    const subject = buildSubject({ commonName: 'admin' })
    expect(taskOf(ask(podRequest({ subject }), policies))).toMatchObject({ is: 'deny', reason: 'RequestRuledOut' })
  })
})

test('what is settled or being deleted is not open', () => {
  const { object } = podRequest()
  expect(isOpen(object)).toBe(true)
  const denied = withPodCondition(object, 'Denied', 'UnsupportedKeyType', 'too short', now)
  expect(denied.status).toEqual({
    conditions: [
      {
        type: 'Denied',
        status: 'True',
        reason: 'UnsupportedKeyType',
        message: 'too short',
        lastTransitionTime: '2026-11-22T10:01:00Z',
      },
    ],
  })
  expect(isOpen(denied)).toBe(false)
  expect(isOpen({ ...object, metadata: { ...object.metadata, deletionTimestamp: 'now' } })).toBe(false)
})
