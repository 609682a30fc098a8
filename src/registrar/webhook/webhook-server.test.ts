import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import type { AdmissionAnswer, AdmissionRequest } from './admission-review.ts'
import { call, type Call, type CallAnswer, liveAuthority, livePair } from './fixtures/webhook-pki.ts'
import type { ServingMaterial } from './serving-material.ts'
import { type AdmissionHandler, ListenError, WebhookServer } from './webhook-server.ts'

const authority = liveAuthority('webhook CA')
const clientAuthority = liveAuthority('API server CA')
const ca = authority.certificate.pem
const apiServer = livePair(clientAuthority)
const open: WebhookServer[] = []
/** With TLS 1.3 a client learns of it when it reads, by an alert or by the end of the connection. */
const refusal = /alert|certificate|socket hang up|ECONNRESET|EPIPE/i

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

function material(changes: Partial<ServingMaterial> = {}): ServingMaterial {
  return { ...livePair(authority), clientCas: undefined, ...changes }
}

async function serve(handler: AdmissionHandler, serving = material(), port = 0): Promise<WebhookServer> {
  const handlers = new Map([['/validate', handler]])
  const server = await WebhookServer.start({
    host: '127.0.0.1',
    port,
    material: serving,
    handlers,
    log: silentLog,
    clock: systemClock,
  })
  open.push(server)
  return server
}

const allow: AdmissionHandler = async () => ({ allowed: true })
const review = (version: string, request: unknown = { uid: '0df28fbd-5f5f-11e8-bc74-36e6bb280816' }): string =>
  JSON.stringify({ apiVersion: `admission.k8s.io/${version}`, kind: 'AdmissionReview', request })

describe('the HTTP contract of the former registrar', () => {
  let server: WebhookServer
  beforeAll(async () => {
    const handlers = new Map<string, AdmissionHandler>([
      ['/validate', allow],
      ['/broken', () => Promise.reject(new Error('SPIRE is on holiday'))],
    ])
    const options = { host: '127.0.0.1', port: 0, material: material(), handlers, log: silentLog, clock: systemClock }
    server = await WebhookServer.start(options)
  })
  afterAll(() => server.close())

  const ask = (changes: Partial<Call>): Promise<CallAnswer> => call({ port: server.port, ca, ...changes })

  test.each<[string, Partial<Call>, number, string]>([
    ['another path', { path: '/whatever' }, 404, 'Not found\n'],
    ['a path that only begins like it', { path: '/validate/' }, 404, 'Not found\n'],
    ['another method', { method: 'GET' }, 405, 'Expected POST\n'],
    ['another path and method', { path: '/whatever', method: 'GET' }, 404, 'Not found\n'],
    ['no content type', { headers: {} }, 400, 'Expected JSON content\n'],
    [
      'a content type with a parameter',
      { headers: { 'content-type': 'application/json; charset=utf-8' } },
      400,
      'Expected JSON content\n',
    ],
    ['an empty body', { body: '' }, 400, "Malformed JSON body: Object 'Kind' is missing in ''\n"],
    ['an empty object', { body: '{}' }, 400, "Malformed JSON body: Object 'Kind' is missing in '{}'\n"],
    [
      'a request without a kind',
      { body: '{"request": {"uid":"FAILME"}}' },
      400,
      `Malformed JSON body: Object 'Kind' is missing in '{"request": {"uid":"FAILME"}}'\n`,
    ],
    [
      'no version',
      { body: '{"kind":"AdmissionReview"}' },
      400,
      `Malformed JSON body: Object 'apiVersion' is missing in '{"kind":"AdmissionReview"}'\n`,
    ],
    [
      'something else',
      { body: '{"kind":"Pod","apiVersion":"v1"}' },
      400,
      'Malformed JSON body: no kind "Pod" is registered for version "v1"\n',
    ],
    [
      'a version to come',
      { body: review('v2') },
      400,
      'Malformed JSON body: no kind "AdmissionReview" is registered for version "admission.k8s.io/v2"\n',
    ],
    [
      'another kind of the API',
      { body: '{"kind":"ListOptions","apiVersion":"admission.k8s.io/v1"}' },
      400,
      'Unsupported group version kind: admission.k8s.io/v1, Kind=ListOptions\n',
    ],
    ['a request that is null', { body: review('v1', null) }, 400, 'Malformed JSON body: it has no request\n'],
    ['trouble', { path: '/broken', body: review('v1') }, 500, 'Internal error occurred: SPIRE is on holiday\n'],
  ])('%s', async (_what, changes, status, body) => {
    expect(await ask(changes)).toMatchObject({ status, body, type: 'text/plain; charset=utf-8' })
  })

  test.each(['v1', 'v1beta1'])('a review of %s is answered in its own version, in one line', async (version) => {
    const answer = await ask({ path: '/validate?timeout=10s', body: review(version) })
    expect(answer).toMatchObject({
      status: 200,
      type: 'application/json',
      body: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/${version}","response":{"uid":"0df28fbd-5f5f-11e8-bc74-36e6bb280816","allowed":true}}`,
    })
  })

  test('a body that is no JSON is malformed', async () => {
    const { status, body } = await ask({ body: '{"kind": "Admis' })
    expect(status).toBe(400)
    expect(body).toMatch(/^Malformed JSON body: couldn't get version\/kind; json parse error: .+\n$/)
  })

  test('a body beyond 8 MiB is not read to its end', async () => {
    const sent = ask({ body: 'x'.repeat(9 * 1024 * 1024) })
    // Whether the client sees the answer, or the end of the connection first, is up to the kernel.
    await sent.then(
      ({ status }) => expect(status).toBe(413),
      (error: NodeJS.ErrnoException) => expect(['EPIPE', 'ECONNRESET']).toContain(error.code),
    )
    expect((await ask({ body: review('v1') })).status).toBe(200)
  })
})

test('a denial and warnings are in the answer', async () => {
  const answer: AdmissionAnswer = { allowed: false, message: 'not yours', warnings: ['be warned'] }
  const { port } = await serve(async () => answer)
  const { body } = await call({ port, ca, body: review('v1') })
  expect((JSON.parse(body) as { response: unknown }).response).toEqual({
    uid: '0df28fbd-5f5f-11e8-bc74-36e6bb280816',
    allowed: false,
    status: { metadata: {}, message: 'not yours', reason: 'Forbidden', code: 403 },
    warnings: ['be warned'],
  })
})

test('the handler is told when whoever asked has gone', async () => {
  const gone = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<AdmissionRequest>()
  const { port } = await serve(async (request, signal) => {
    signal.addEventListener('abort', () => gone.resolve())
    asked.resolve(request)
    await gone.promise
    return { allowed: true }
  })
  const client = new AbortController()
  const answer = fetchAndLeave(port, client.signal)
  expect((await asked.promise).uid).toBe('leaving')
  client.abort()
  await expect(answer).rejects.toThrow(/abort/)
  await gone.promise
})

async function fetchAndLeave(port: number, signal: AbortSignal): Promise<void> {
  const { request } = await import('node:https')
  await new Promise((_, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path: '/validate',
      method: 'POST',
      ca,
      signal,
      headers: { 'content-type': 'application/json' },
      agent: false,
    })
    sent.on('error', reject)
    sent.end(review('v1', { uid: 'leaving' }))
  })
}

test('a client that shows no certificate of its CA is not heard, where one is asked for', async () => {
  const { port } = await serve(allow, material({ clientCas: [clientAuthority.certificate.pem] }))
  expect((await call({ port, ca, body: review('v1'), client: apiServer })).status).toBe(200)
  await expect(call({ port, ca, body: review('v1') })).rejects.toThrow(refusal)
  await expect(call({ port, ca, body: review('v1'), client: livePair(liveAuthority('other')) })).rejects.toThrow(
    refusal,
  )
})

test('TLS 1.1 is refused, 1.2 is not', async () => {
  const { port } = await serve(allow)
  await expect(call({ port, ca, body: review('v1'), maxVersion: 'TLSv1.1' })).rejects.toThrow(/alert|protocol|version/i)
  expect((await call({ port, ca, body: review('v1'), maxVersion: 'TLSv1.2' })).status).toBe(200)
})

test('another certificate and other client CAs hold from the next connection on', async () => {
  const server = await serve(allow, material({ clientCas: [clientAuthority.certificate.pem] }))
  const { serial } = await call({ port: server.port, ca, body: review('v1'), client: apiServer })
  const other = liveAuthority('rotated')
  server.use(material({ clientCas: [other.certificate.pem] }))
  await expect(call({ port: server.port, ca, body: review('v1'), client: apiServer })).rejects.toThrow(refusal)
  const after = await call({ port: server.port, ca, body: review('v1'), client: livePair(other) })
  expect(after.status).toBe(200)
  expect(after.serial).not.toBe(serial)
})

test('a port that is taken is told', async () => {
  const { port } = await serve(allow)
  await expect(serve(allow, material(), port)).rejects.toThrow(ListenError)
  await expect(serve(allow, material(), port)).rejects.toThrow(/^unable to listen: .*EADDRINUSE/)
})

test('an answer under way is given before the server is closed', async () => {
  const asked = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const server = await serve(async () => {
    asked.resolve()
    await goOn.promise
    return { allowed: true }
  })
  const answer = call({ port: server.port, ca, body: review('v1') })
  await asked.promise
  const closed = server.close()
  goOn.resolve()
  expect((await answer).status).toBe(200)
  await closed
})
