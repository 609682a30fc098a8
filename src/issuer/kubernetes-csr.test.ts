import { afterEach, beforeEach, expect, test } from 'vitest'
import { settled } from '../kubernetes/fixtures/manual-clock.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'
import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import { ConnectionError } from '../kubernetes/errors.ts'
import { silentLog } from '../runtime/log.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { newKey, now, testAuthority, testLeaf, webNames } from '../x509/test-pki.ts'
import { IssuerUnavailableError, RequestDeniedError, RequestGoneError, TokenMissingError } from './errors.ts'
import { CertificatesApi, usernames } from './fixtures/certificates-api.ts'
import type { IssuanceRequest } from './issuer.ts'
import { KubernetesCsrIssuer } from './kubernetes-csr.ts'
import { signingRequest, signingRequestNames } from './signing-request.ts'

const root = testAuthority('root')
const key = newKey()
const leaf = testLeaf(root, key, { names: webNames })
const request: IssuanceRequest = {
  id: '0123456789abcdef0123456789abcdef',
  volumeId: 'csi-1',
  pod: { namespace: 'sandbox', name: 'web-0', uid: 'uid-of-pod', serviceAccount: 'web' },
  issuer: { name: 'example.com/serving', kind: 'Signer', group: 'certificates.k8s.io' },
  csr: createCertificateRequest(key, { subject: [], names: webNames }),
  usages: ['digital signature', 'server auth'],
  isCA: false,
  duration: 3600_000,
  annotations: {},
}
const [name = '', second = ''] = signingRequestNames(request)
const { signal } = new AbortController()
const podToken = { token: (audience: string) => (audience === '' ? 'pod' : undefined) }
const approved = { type: 'Approved', status: 'True', reason: 'Test' } as const
const issued = { conditions: [approved], certificate: Buffer.from(leaf.pem).toString('base64') }

let api: CertificatesApi
let clock: ManualClock
let needed: Set<string>
let opened: KubernetesCsrIssuer[]

beforeEach(() => {
  api = new CertificatesApi()
  api.trust('roots', root.certificate.pem)
  clock = new ManualClock(now)
  needed = new Set(['csi-1'])
  opened = []
})

afterEach(async () => {
  for (const issuer of opened) await issuer.close()
})

function start(useTokenRequest = false): KubernetesCsrIssuer {
  const issuer = new KubernetesCsrIssuer({
    client: api.client,
    nodeId: 'node-1',
    useTokenRequest,
    trust: [],
    log: silentLog,
    clock,
    isNeeded: (volumeId) => needed.has(volumeId),
  })
  opened.push(issuer)
  return issuer
}

/** Puts a request under the name that ours would have, made as ours is but for what `change` changes. */
function foreign(change: Partial<CertificateSigningRequest['spec']>, at = name): void {
  const made = signingRequest(request, 'node-1', at)
  const object: CertificateSigningRequest = { ...made, spec: { ...made.spec, username: usernames.driver, ...change } }
  api.requests.put(at, object)
}

test('a request is handed over, and its answer comes with the trust of its signer', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  expect(handle.name).toBe(`CertificateSigningRequest ${name}`)
  const states: string[] = []
  const waiting = issuer.wait(handle, signal, (state) => states.push(state))
  await settled()
  api.decide(name, { conditions: [approved] })
  await settled()
  api.decide(name, issued)
  expect(await waiting).toEqual({ chain: leaf.pem, ca: root.certificate.pem })
  expect([...new Set(states)]).toEqual(['it waits for approval', 'it is approved and waits for its signer'])
})

test('nothing is watched before a volume names a signer, and each signer has one watch of requests and one of bundles', async () => {
  const issuer = start()
  await settled()
  expect(api.watches).toEqual([])
  await issuer.submit(request, signal)
  await issuer.submit({ ...request, id: 'f'.repeat(32), volumeId: 'csi-2' }, signal)
  await settled()
  expect(api.watches.sort()).toEqual(['certificatesigningrequests', 'clustertrustbundles'])
})

test('the watches of a signer end a minute after its last volume, and not where another volume comes', async () => {
  const issuer = start()
  await issuer.submit(request, signal)
  await issuer.forget('csi-1')
  clock.advance(59_000)
  await issuer.submit({ ...request, volumeId: 'csi-2' }, signal)
  await issuer.submit({ ...request, volumeId: 'csi-3' }, signal)
  await issuer.forget('csi-3')
  clock.advance(3600_000)
  await issuer.submit({ ...request, volumeId: 'csi-2' }, signal)
  await settled()
  expect(api.watches).toHaveLength(2)
  await issuer.forget('csi-2')
  clock.advance(60_000)
  await issuer.submit(request, signal)
  await settled()
  expect(api.watches).toHaveLength(4)
})

test('a request that was created without an answer is found by the next attempt', async () => {
  const issuer = start()
  api.afterCreate = () => Promise.reject(new ConnectionError('cut', 'unknown'))
  await expect(issuer.submit(request, signal)).rejects.toThrow(IssuerUnavailableError)
  api.afterCreate = undefined
  const handle = await issuer.submit(request, signal)
  expect(api.all().map(({ metadata }) => metadata.uid)).toEqual([handle.reference['uid']])
})

test.each([
  ['other bytes', { request: 'AAAA' }],
  ['another signer', { signerName: 'example.com/other' }],
  ['other usages', { usages: ['client auth'] }],
  ['another user', { username: 'mallory' }],
])(
  "a request with %s under its name is somebody else's: another name is taken, and theirs is left alone",
  async (_what, change) => {
    foreign(change)
    const issuer = start()
    const handle = await issuer.submit(request, signal)
    expect(handle.reference['name']).toBe(second)
    await issuer.discard(handle)
    expect(api.all().map(({ metadata }) => metadata.name)).toEqual([name])
  },
)

test('where the API server does not say who created what has its name, another name is taken', async () => {
  foreign({})
  api.tellsUsers = false
  const handle = await start().submit(request, signal)
  expect(handle.reference['name']).toBe(second)
})

test('an answer to a foreign request of its name is never taken for its own', async () => {
  foreign({ username: 'mallory' })
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  const waiting = issuer.wait(handle, signal)
  api.decide(name, issued)
  await settled()
  api.decide(second, { conditions: [{ type: 'Denied', status: 'True', reason: 'Policy', message: 'not yours' }] })
  await expect(waiting).rejects.toThrow('Policy: not yours')
})

test('where all its names are taken, the request is given up, so that a new one is made', async () => {
  for (const taken of signingRequestNames(request)) foreign({ username: 'mallory' }, taken)
  await expect(start().submit(request, signal)).rejects.toThrow(RequestGoneError)
})

test('what the watch still has to tell of an earlier object of the name is not the answer', async () => {
  const issuer = start()
  await issuer.submit({ ...request, id: 'f'.repeat(32) }, signal)
  await settled()
  const lag = Promise.withResolvers<void>()
  api.lag = lag.promise
  foreign({ username: 'mallory' })
  api.decide(name, issued)
  api.requests.remove(name)
  const handle = await issuer.submit(request, signal)
  const states: string[] = []
  const waiting = issuer.wait(handle, signal, (state) => states.push(state))
  lag.resolve()
  await settled()
  expect([...new Set(states)]).toEqual(['it waits for approval'])
  api.decide(name, { conditions: [{ type: 'Denied', status: 'True', reason: 'Policy' }] })
  await expect(waiting).rejects.toThrow(RequestDeniedError)
})

test("in the pod's name a request needs its token, and taking it up again does not", async () => {
  const issuer = start(true)
  await expect(issuer.submit(request, signal, { token: () => undefined })).rejects.toThrow(TokenMissingError)
  const handle = await issuer.submit(request, signal, podToken)
  expect(api.all()[0]?.spec.username).toBe(usernames.pod)
  const later = start(true)
  expect(await later.submit(request, signal, { token: () => undefined }, handle)).toEqual(handle)
  api.decide(name, issued)
  expect((await later.wait(handle, signal)).chain).toBe(leaf.pem)
})

test('what was replaced by another object of the same name is not taken up, but made anew', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  api.requests.remove(name)
  const again = await start().submit(request, signal, undefined, handle)
  expect(again.reference['uid']).not.toBe(handle.reference['uid'])
  expect(api.all()).toHaveLength(1)
})

test('one that is the same and was made anew is taken up as what it is now', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  api.requests.remove(name)
  foreign({})
  const again = await start().submit(request, signal, undefined, handle)
  expect(again.reference['uid']).not.toBe(handle.reference['uid'])
  expect(again.reference['uid']).toBe(api.all()[0]?.metadata.uid)
})

test('a request that is deleted while it waits is gone, and one that is denied is refused', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  const waiting = issuer.wait(handle, signal)
  await settled()
  api.requests.remove(name)
  await expect(waiting).rejects.toThrow(RequestGoneError)
  const next = await issuer.submit(request, signal)
  api.decide(name, { conditions: [{ type: 'Denied', status: 'True' }] })
  await expect(issuer.wait(next, signal)).rejects.toThrow(RequestDeniedError)
})

test('who gives up waiting is told so at once', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  const giving = new AbortController()
  const waiting = issuer.wait(handle, giving.signal)
  giving.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test('requests of volumes that are gone are deleted: what the first list shows, and what comes after a volume has ended', async () => {
  const issuer = start()
  await issuer.submit(request, signal)
  await settled()
  needed.clear()
  await issuer.forget('csi-1')
  await settled()
  expect(api.all()).toEqual([])
  foreign({})
  needed.add('csi-2')
  await issuer.submit({ ...request, id: 'f'.repeat(32), volumeId: 'csi-2' }, signal)
  await settled()
  expect(api.all().map(({ metadata }) => metadata.annotations?.['podpass.io/volume'])).toEqual(['csi-2'])
})

test('a request is not deleted in the place of another object of its name', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  api.requests.remove(name)
  foreign({ username: 'mallory' })
  await issuer.discard(handle)
  expect(api.all()).toHaveLength(1)
})

test('trust is told as it is, then each time it changes, and what was deleted or broken changes nothing', async () => {
  const known = testAuthority('known').certificate.pem
  api.trust('known', known)
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  const ending = new AbortController()
  const told: string[] = []
  const following = (async () => {
    for await (const { ca } of issuer.trust(handle, ending.signal)) told.push(ca)
  })()
  await settled()
  const other = testAuthority('other').certificate.pem
  api.trust('more', other)
  await settled()
  expect(told[0]).toContain(root.certificate.pem)
  expect(told[0]).toContain(known)
  expect(told).toHaveLength(2)
  expect(told[1]).toContain(other)
  api.trust('more', '-----BEGIN CERTIFICATE-----')
  api.bundles.remove('roots')
  api.bundles.remove('known')
  await settled()
  api.bundles.remove('more')
  await settled()
  expect(told).toHaveLength(2)
  api.trust('roots', other)
  await settled()
  expect(told[2]).toBe(other)
  ending.abort()
  await following
})

test('a bundle that the watch has not told of yet is asked for once more, where the certificate needs it', async () => {
  api.bundles.remove('roots')
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  await settled()
  // Behind the back of every watch.
  api.bundles.objects.set('roots', { metadata: {}, spec: { trustBundle: root.certificate.pem } } as never)
  api.decide(name, issued)
  expect((await issuer.wait(handle, signal)).ca).toBe(root.certificate.pem)
  for await (const { ca } of issuer.trust(handle, signal)) {
    expect(ca).toBe(root.certificate.pem)
    break
  }
})

test.each([403, 404])('an API server that answers %i for bundles gives certificates without trust', async (status) => {
  api.bundleFault = { is: 'refused', status }
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  api.decide(name, issued)
  expect(await issuer.wait(handle, signal)).toEqual({ chain: leaf.pem, ca: undefined })
})

test('a bundle that is too long is not taken, and the one before stays', async () => {
  const issuer = start()
  const handle = await issuer.submit(request, signal)
  await settled()
  api.trust('roots', `${root.certificate.pem}${'#'.repeat(400_000)}`)
  await settled()
  api.decide(name, issued)
  expect((await issuer.wait(handle, signal)).ca).toBe(root.certificate.pem)
})
