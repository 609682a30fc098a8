import { X509Certificate } from 'node:crypto'
import { Registry } from 'prom-client'
import { beforeAll, describe, expect, test } from 'vitest'
import { hostileRequests } from '../../src/approver/fixtures/hostile-requests.ts'
import { podRequest, signingRequest } from '../../src/approver/fixtures/requests.ts'
import { ask, now, policyOf } from '../../src/approver/fixtures/world.ts'
import type { Policy } from '../../src/approver/policy/policy.ts'
import type { RequestObject } from '../../src/approver/request/request-object.ts'
import { CaShelf } from '../../src/approver/sign/ca-shelf.ts'
import { materialOfChain } from '../../src/approver/sign/fixtures/certificate-authorities.ts'
import { createSignMetrics } from '../../src/approver/sign/sign-metrics.ts'
import { Signer } from '../../src/approver/sign/signer.ts'
import { defaultUsages } from '../../src/approver/sign/signer-profile.ts'
import { ApiError } from '../../src/kubernetes/errors.ts'
import { ManualClock, settled } from '../../src/kubernetes/fixtures/manual-clock.ts'
import type { KubernetesObject } from '../../src/kubernetes/object.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { day, testAuthority } from '../../src/x509/test-pki.ts'

// What the approver promises of the certificates that it signs (docs/promises.md, approver 2, 3 and 5). That trust is published before the
// first leaf, wherever a process ends, is a property of its own: src/approver/sign/trust-publisher.test.ts.

let policy: Policy

beforeAll(async () => {
  const requests = { kinds: ['PodCertificateRequest'], signerNames: ['example.com/pods'] }
  policy = await policyOf({
    requests,
    issue: { dnsNames: ['${service.name}.${namespace}.svc'], usages: ['server auth'] },
  })
})

/** A signer with a CA of its own; everything that leaves it, in its order. */
function signerFor(signerName: string, trustCreators = true) {
  const steps: string[] = []
  const told: string[] = []
  const written: (KubernetesObject & { readonly status?: { readonly certificate?: string } })[] = []
  const shelf = new CaShelf(silentLog)
  shelf.offer(materialOfChain(testAuthority('root', { lifetime: 100 * day })), now)
  const signer = new Signer({
    profile: { signerName, usages: defaultUsages, longest: day },
    shelf,
    trust: { maySignFrom: () => now, reserve: async () => void steps.push('trust') },
    client: {
      // No admission policy, and nothing else.
      get: (_resource, { name }) => Promise.reject(new ApiError(`GET ${name}`, 404, {}, undefined)),
      update: async (_resource, object) => {
        steps.push('leaf')
        written.push(object)
        return object
      },
    },
    pods: {
      decide: (object) => Promise.resolve(ask({ kind: 'PodCertificateRequest', object }, [policy])),
      claim: () => true,
    },
    trustCreators,
    metrics: createSignMetrics(new Registry()),
    events: { record: (_, { reason }) => void told.push(reason) },
    clock: new ManualClock(now),
    random: () => 0,
    log: silentLog,
  })
  const offer = async (request: RequestObject): Promise<void> => {
    signer.offer(request)
    for (let turn = 0; turn < 5; turn++) await settled()
  }
  return { steps, told, written, offer }
}

function approved(request: Extract<RequestObject, { kind: 'CertificateSigningRequest' }>): RequestObject {
  const status = { conditions: [{ type: 'Approved', status: 'True' as const }] }
  return { ...request, object: { ...request.object, status } }
}

test('promise 2, the signer reads what the approver has read: it signs no hostile request, though somebody approved it', async () => {
  const { written, offer } = signerFor('example.com/serving')
  for (const [place, { csr }] of hostileRequests.entries()) {
    const request = signingRequest({ csr })
    const metadata = { ...request.object.metadata, uid: `hostile-${place}`, name: `hostile-${place}` }
    await offer(approved({ ...request, object: { ...request.object, metadata } }))
  }
  expect(written).toHaveLength(hostileRequests.length)
  expect(written.filter(({ status }) => status?.certificate !== undefined)).toEqual([])
})

test('promise 3, a request of a pod carries no requester: it is not signed while nothing binds its creators to their nodes', async () => {
  const unbound = signerFor('example.com/pods', false)
  await unbound.offer(podRequest())
  expect([unbound.steps, new Set(unbound.told)]).toEqual([[], new Set(['CreatorNotBound'])])
  const bound = signerFor('example.com/pods')
  await bound.offer(podRequest())
  expect(bound.steps).toEqual(['trust', 'leaf'])
})

describe('promise 5, the signer', () => {
  test('keeps the trust for a leaf before it serves the leaf, and signs with the names that were asked', async () => {
    const { steps, written, offer } = signerFor('example.com/serving')
    await offer(approved(signingRequest({ names: { dns: ['web.shop.svc'] } })))
    expect(steps).toEqual(['trust', 'leaf'])
    const pem = Buffer.from(written[0]?.status?.certificate ?? '', 'base64')
    expect(new X509Certificate(pem).subjectAltName).toBe('DNS:web.shop.svc')
  })

  test('signs for its own signer name, and only what is approved', async () => {
    const { steps, offer } = signerFor('example.com/serving')
    await offer(signingRequest({ names: { dns: ['web.shop.svc'] } }))
    await offer(approved(signingRequest({}, { signerName: 'others.test/serving' })))
    expect(steps).toEqual([])
  })
})
