import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../../test/support/until.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import type { MintedSvid, SvidRequest } from '../../spire/svid-service.ts'
import { noNames } from '../../x509/general-names.ts'
import { hour, newKey, testLeaf } from '../../x509/test-pki.ts'
import { call, liveAuthority, livePair, WebhookFiles } from '../webhook/fixtures/webhook-pki.ts'
import { goodSpec, rules } from './fixtures/spiffe-ids.ts'
import { SpiffeIdWebhook, webhookSvid } from './spiffe-id-webhook.ts'

const path = '/validate-spiffeid-spiffe-io-v1beta1-spiffeid'
const authority = liveAuthority('SPIRE')
const open: SpiffeIdWebhook[] = []
let files: WebhookFiles

beforeEach(async () => {
  files = await WebhookFiles.create()
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((webhook) => webhook.close()))
  await files[Symbol.asyncDispose]()
})

/** Opens a webhook whose certificate may lie in the directory, and waits until it serves. */
async function serve(mint: (request: SvidRequest) => Promise<MintedSvid>): Promise<number> {
  const webhook = new SpiffeIdWebhook({
    port: 0,
    certificateDirectory: files.path('.'),
    request: webhookSvid('example.org', 'demo', 'k8s-workload-registrar', 'spire'),
    mint,
    source: { rules: rules(), duplicate: () => undefined },
    clock: systemClock,
    log: silentLog,
  })
  open.push(webhook)
  expect(webhook.problems()).toHaveLength(1)
  const port = await until('the webhook serves', () => webhook.port)
  expect(webhook.problems()).toEqual([])
  return port
}

function review(spec: object): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'review-1',
      kind: { group: 'spiffeid.spiffe.io', version: 'v1beta1', kind: 'SpiffeID' },
      namespace: 'shop',
      name: 'a',
      operation: 'CREATE',
      object: { metadata: { name: 'a' }, spec },
    },
  })
}

async function verdict(port: number, spec: object): Promise<boolean> {
  const { body } = await call({ port, ca: authority.certificate.pem, path, body: review(spec) })
  return (JSON.parse(body) as { response: { allowed: boolean } }).response.allowed
}

test('it serves with what SPIRE signs, for the names that the API server looks for', async () => {
  const asked: SvidRequest[] = []
  const port = await serve(async (request) => {
    asked.push(request)
    const key = newKey()
    const now = Date.now()
    const names = { ...noNames, ip: ['127.0.0.1'] }
    return { key, chain: [testLeaf(authority, key, { names, notBefore: now - 60_000, notAfter: now + hour }, now)] }
  })
  expect(await verdict(port, goodSpec())).toBe(true)
  expect(await verdict(port, goodSpec({ downstream: true }))).toBe(false)
  expect(asked).toEqual([
    {
      spiffeId: 'spiffe://example.org/k8s-workload-registrar/demo/webhook',
      dnsNames: ['k8s-workload-registrar.spire.svc'],
      ttl: 0,
    },
  ])
})

test('it serves with the certificate of its directory, where there is one, and follows it', async () => {
  const first = livePair(authority)
  await files.write('tls.crt', first.certificate)
  await files.write('tls.key', first.key)
  const port = await serve(() => Promise.reject(new Error('must not be asked')))
  const { serial } = await call({ port, ca: authority.certificate.pem, path, body: review(goodSpec()) })
  const second = livePair(authority)
  await files.write('tls.key', second.key)
  await files.write('tls.crt', second.certificate)
  const after = await until('it serves with the new one', async () => {
    const answer = await call({ port, ca: authority.certificate.pem, path, body: review(goodSpec()) })
    return answer.serial !== serial && answer
  })
  expect(after.serial).toBe(new X509Certificate(second.certificate).serialNumber)
})
