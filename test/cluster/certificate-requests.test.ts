import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { CertManagerIssuer } from '../../src/issuer/cert-manager.ts'
import { RequestGoneError } from '../../src/issuer/errors.ts'
import type { IssuanceRequest } from '../../src/issuer/issuer.ts'
import { identityHash, identityKeys, identityMetadata } from '../../src/issuer/request-identity.ts'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { ApiError } from '../../src/kubernetes/errors.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import type { CertificateRequest, ObjectMeta } from '../../src/kubernetes/object.ts'
import { certificateRequests } from '../../src/kubernetes/resource.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { createCertificateRequest } from '../../src/x509/certificate-request.ts'
import { noNames } from '../../src/x509/general-names.ts'
import { generateKeySync } from '../../src/x509/key.ts'
import { createNamespace } from './namespace.ts'
import { createPod, type Pod } from './pod.ts'
import { until } from './until.ts'

// Promise 9: requests are ours or not touched, on the real API server. Nobody signs here: the issuer's group is not cert-manager's.

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'requests'
const nodeId = `node-${'x'.repeat(60)}`
const { signal } = new AbortController()

let client: KubernetesClient
let owner: Pod
/** Requests that the issuer is told are needed, by id. */
const needed = new Set<string>()
let issuer: CertManagerIssuer

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  owner = await createPod(cluster, {
    namespace,
    name: 'owner',
    // It waits for a volume that no driver serves, so it stays and never runs.
    volumes: { tls: { driver: 'nobody.example', attributes: {} } },
  })
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  issuer = new CertManagerIssuer({
    client,
    nodeId,
    useTokenRequest: false,
    log: silentLog,
    clock: systemClock,
    isNeeded: (_volumeId, requestId) => needed.has(requestId),
  })
})

afterAll(async () => {
  await issuer?.close()
  await client?.close()
})

function newRequest(): IssuanceRequest {
  const id = randomBytes(16).toString('hex')
  needed.add(id)
  const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
  return {
    id,
    volumeId: `csi-${randomUUID()}`,
    pod: { namespace, name: owner.name, uid: owner.uid, serviceAccount: 'default' },
    issuer: { name: 'nobody', kind: 'Issuer', group: 'nobody.example' },
    csr: createCertificateRequest(key, { subject: [], names: { ...noNames, dns: ['web.example'] }, extensions: [] }),
    usages: ['digital signature'],
    isCA: false,
    duration: 3600_000,
    annotations: { 'example.com/passed-through': 'yes' },
  }
}

function nameOf({ id }: IssuanceRequest): string {
  return `podpass-${id}`
}

/** Creates the object that somebody else might have put in a request's place. */
function createInPlace(request: IssuanceRequest, metadata: ObjectMeta, csr: string): Promise<CertificateRequest> {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: owner.name, uid: owner.uid }]
  return client.create(certificateRequests, {
    metadata: { namespace, ownerReferences, name: nameOf(request), ...metadata },
    spec: { request: Buffer.from(csr).toString('base64'), issuerRef: request.issuer, usages: request.usages },
  })
}

async function find(name: string): Promise<CertificateRequest | undefined> {
  return client.get(certificateRequests, { namespace, name }).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  })
}

test('a request carries hashes of node and volume as labels, the full ids as annotations, and its pod as owner', async () => {
  const request = newRequest()
  const handle = await issuer.submit(request, signal)
  const { metadata } = await client.get(certificateRequests, { namespace, name: nameOf(request) })
  expect(metadata.labels).toEqual({
    [identityKeys.nodeHash]: identityHash(nodeId),
    [identityKeys.volumeHash]: identityHash(request.volumeId),
  })
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    expect(key).toMatch(/^podpass\.io\//)
    expect(value).toMatch(/^[0-9a-f]{32}$/)
  }
  expect(metadata.annotations).toMatchObject({
    [identityKeys.node]: nodeId,
    [identityKeys.volume]: request.volumeId,
    'example.com/passed-through': 'yes',
  })
  expect(metadata.ownerReferences).toEqual([expect.objectContaining({ kind: 'Pod', uid: owner.uid })])
  expect(handle).toMatchObject({ id: request.id, reference: { uid: metadata.uid } })
  await issuer.discard(handle)
  expect(await find(nameOf(request))).toBeUndefined()
})

test('a request that is submitted again is found, not created again', async () => {
  const request = newRequest()
  const first = await issuer.submit(request, signal)
  expect(await issuer.submit(request, signal)).toEqual(first)
  await issuer.discard(first)
})

test.each<[string, (request: IssuanceRequest) => ObjectMeta, (request: IssuanceRequest) => string]>([
  ['with other bytes', ({ volumeId }) => identityMetadata(nodeId, volumeId), () => newRequest().csr],
  ['of another volume', () => identityMetadata(nodeId, 'csi-other'), ({ csr }) => csr],
  ['of another node', ({ volumeId }) => identityMetadata('other', volumeId), ({ csr }) => csr],
  [
    'with our labels alone',
    ({ volumeId }) => ({ labels: identityMetadata(nodeId, volumeId).labels }),
    ({ csr }) => csr,
  ],
])('an object %s in the place of a request is not resumed, and stays', async (_what, metadata, csr) => {
  const request = newRequest()
  const { metadata: created } = await createInPlace(request, metadata(request), csr(request))
  const submitted: unknown = await issuer.submit(request, signal).catch((error: unknown) => error)
  expect(submitted).toBeInstanceOf(RequestGoneError)
  expect(submitted).toMatchObject({
    message: `CertificateRequest ${namespace}/${nameOf(request)} exists already and is not this request`,
  })
  expect((await find(nameOf(request)))?.metadata.uid).toBe(created.uid)
  await client.delete(certificateRequests, { namespace, name: nameOf(request) })
})

test('a delete carries the uid: an object that has taken the place of a request stays', async () => {
  const request = newRequest()
  const handle = await issuer.submit(request, signal)
  await client.delete(certificateRequests, { namespace, name: nameOf(request) })
  const { metadata } = await createInPlace(request, identityMetadata(nodeId, request.volumeId), request.csr)
  await issuer.discard(handle)
  expect((await find(nameOf(request)))?.metadata.uid).toBe(metadata.uid)
  await client.delete(certificateRequests, { namespace, name: nameOf(request) })
})

test('a request whose volume ended while it was created is deleted as soon as it is seen; what is not ours is not', async () => {
  const [ours, unmarked, renamed] = [newRequest(), newRequest(), newRequest()]
  for (const { id } of [ours, unmarked, renamed]) needed.delete(id)
  const mark = ({ volumeId }: IssuanceRequest): ObjectMeta => identityMetadata(nodeId, volumeId)
  await createInPlace(unmarked, { labels: mark(unmarked).labels ?? {} }, unmarked.csr)
  await createInPlace(renamed, { ...mark(renamed), name: 'made-by-hand' }, renamed.csr)
  await createInPlace(ours, mark(ours), ours.csr)
  await until('ours to be gone', async () => (await find(nameOf(ours))) === undefined)
  expect(await find(nameOf(unmarked))).toBeDefined()
  expect(await find('made-by-hand')).toBeDefined()
  await client.delete(certificateRequests, { namespace, name: nameOf(unmarked) })
  await client.delete(certificateRequests, { namespace, name: 'made-by-hand' })
})

test('a creation that is cut off at any moment, because its volume has ended, leaves no request', async () => {
  const cutOff = await Promise.all(
    Array.from({ length: 60 }, async (_, milliseconds) => {
      const request = newRequest()
      const ending = AbortSignal.timeout(milliseconds)
      await issuer.submit(request, ending).catch(() => {})
      // As the driver does: first nobody needs the request any more, then the issuer is told that the volume is gone.
      needed.delete(request.id)
      await issuer.forget(request.volumeId)
      return nameOf(request)
    }),
  )
  const left = async (): Promise<readonly string[]> =>
    (await client.list(certificateRequests, { namespace })).items.map(({ metadata }) => metadata.name ?? '')
  await until('all of them to be gone', async () => !(await left()).some((name) => cutOff.includes(name)))
  expect(cutOff).toHaveLength(60)
})
