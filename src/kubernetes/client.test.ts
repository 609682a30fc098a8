import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:http2'
import { createServer as createTlsServer } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { KubernetesClient, PatchType } from './client.ts'
import type { ClientOptions } from './client-options.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { ApiError, ConnectionError, CredentialError } from './errors.ts'
import {
  answer,
  FaultyServer,
  makeTlsPair,
  type Received,
  type Responder,
  type TlsPair,
} from './fixtures/faulty-server.ts'
import { StallingProxy } from './fixtures/stalling-proxy.ts'
import { configMaps, pods } from './resource.ts'

let pair: TlsPair
let clientPair: TlsPair
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('server')
  clientPair = await makeTlsPair('the-client')
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

function opening<T extends { close(): Promise<void> }>(thing: T): T {
  opened.push(thing)
  return thing
}

async function serve(
  respond: Responder,
  settings: { readonly maxConcurrentStreams?: number } = {},
): Promise<FaultyServer> {
  return opening(await FaultyServer.start(pair, respond, settings))
}

function connect(config: ConnectionConfig, options: ClientOptions = {}): KubernetesClient {
  return opening(new KubernetesClient(config, options))
}

const pod = { namespace: 'sandbox', name: 'web-0' }
const found = { metadata: pod }

/** The error that a call ends with. */
async function failure(call: Promise<unknown>): Promise<ConnectionError | ApiError> {
  const error: unknown = await call.then(
    () => new Error('expected an error, got an answer'),
    (error: unknown) => error,
  )
  if (error instanceof ConnectionError || error instanceof ApiError) return error
  throw error
}

test('calls share one connection, and say what they want', async () => {
  const server = await serve((request) => answer(request, 200, found))
  const config = { ...server.config(), server: `${server.config().server}/clusters/a/` }
  const client = connect(config, { userAgent: 'podpass/1 (test)' })
  const options = { fieldManager: 'me', force: true, dryRun: true }
  await Promise.all([client.get(pods, pod), client.list(pods, { labelSelector: 'a=b,c!=d', limit: 7 })])
  await client.apply(configMaps, { metadata: pod, data: { a: 'b' } }, options)
  await client.delete(pods, pod, { preconditions: { uid: 'u1' } })
  expect(server.connections).toBe(1)
  expect(server.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /clusters/a/api/v1/namespaces/sandbox/pods/web-0',
    'GET /clusters/a/api/v1/pods?labelSelector=a%3Db%2Cc%21%3Dd&limit=7',
    'PATCH /clusters/a/api/v1/namespaces/sandbox/configmaps/web-0?fieldManager=me&dryRun=All&force=true',
    'DELETE /clusters/a/api/v1/namespaces/sandbox/pods/web-0',
  ])
  expect(server.received[2]?.headers).toMatchObject({
    'user-agent': 'podpass/1 (test)',
    'content-type': PatchType.apply,
    ':authority': `127.0.0.1:${server.port}`,
  })
})

test('what is written carries its kind, and the subresource its path', async () => {
  const bodies: string[] = []
  const server = await serve((request) => {
    request.stream.setEncoding('utf8')
    request.stream.on('data', (text: string) => bodies.push(text))
    request.stream.on('end', () => answer(request, 201, {}))
  })
  const client = connect(server.config())
  await client.create(configMaps, { metadata: { namespace: 'a', name: 'b' } })
  await client.update(pods, { metadata: pod }, { subresource: 'status' })
  await client.create(pods, { metadata: {} }, { parent: pod, subresource: 'binding' })
  expect(bodies[0]).toBe('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"a","name":"b"}}')
  expect(server.received.map(({ path }) => path)).toEqual([
    '/api/v1/namespaces/a/configmaps',
    '/api/v1/namespaces/sandbox/pods/web-0/status',
    '/api/v1/namespaces/sandbox/pods/web-0/binding',
  ])
})

test('a half-open connection is found by its silence, and the next call gets a new one', async () => {
  const server = await serve((request) => answer(request, 200, found))
  const proxy = opening(await StallingProxy.start(server.port))
  const config = { ...server.config(), server: `https://127.0.0.1:${proxy.port}` }
  const client = connect(config, { pingInterval: 50, pingTimeout: 450 })
  await client.get(pods, pod)
  proxy.stall()
  const error = await failure(client.create(pods, found))
  expect(error).toMatchObject({ code: 'KUBERNETES_CONNECTION', outcome: 'unknown' })
  expect(error.message).toMatch(/no sign of life for 0.5 s; it may have been carried out$/)
  await client.get(pods, pod)
  expect(server.connections).toBe(2)
})

test('a connection that only listens stays up as long as its peer answers', async () => {
  let told = (): void => {}
  const server = await serve((request) => {
    request.stream.respond({ ':status': 200 })
    told = () => request.stream.end('{"type":"BOOKMARK","object":{"metadata":{}}}\n')
  })
  const client = connect(server.config(), { pingInterval: 5, pingTimeout: 5_000 })
  const watch = client.watch(pods)
  const first = watch.next()
  await expect.poll(() => server.received.length).toBe(1)
  await new Promise((resolve) => void setTimeout(resolve, 100))
  told()
  expect((await first).value).toMatchObject({ type: 'BOOKMARK' })
  expect(server.connections).toBe(1)
})

test('after a GOAWAY calls in flight are answered, and new ones go by a new connection', async () => {
  const held: Received[] = []
  const server = await serve((request) => {
    if (held.length > 0) return answer(request, 200, { metadata: { name: 'second' } })
    held.push(request)
    request.session.goaway(constants.NGHTTP2_NO_ERROR)
    return undefined
  })
  const client = connect(server.config())
  const first = client.get(pods, pod)
  await expect.poll(() => held.length).toBe(1)
  await expect.poll(async () => (await client.get(pods, pod)).metadata.name).toBe('second')
  for (const request of held) answer(request, 200, { metadata: { name: 'first' } })
  expect((await first).metadata.name).toBe('first')
  expect(server.connections).toBe(2)
})

test('what a GOAWAY says was not acted on is sent again, writes too', async () => {
  const server = await serve((request) => {
    if (server.received.length === 2) request.session.goaway(constants.NGHTTP2_INTERNAL_ERROR, 1)
    if (server.received.length > 2) answer(request, 201, found)
  })
  const client = connect(server.config())
  const first = failure(client.create(pods, found))
  await expect.poll(() => server.received.length).toBe(1)
  expect(await client.create(pods, found)).toEqual(found)
  expect(await first).toMatchObject({ outcome: 'unknown' })
  expect(server.received).toHaveLength(3)
})

test('a refused stream is sent again, writes too, but only once', async () => {
  const server = await serve(({ stream }) => stream.close(constants.NGHTTP2_REFUSED_STREAM))
  const error = await failure(connect(server.config()).create(pods, found))
  expect(error).toMatchObject({ code: 'KUBERNETES_CONNECTION', outcome: 'not-executed' })
  expect(server.received).toHaveLength(2)
})

test('a read whose connection is cut is sent again', async () => {
  const server = await serve((request) => {
    if (server.received.length === 1) server.cut()
    else answer(request, 200, found)
  })
  expect(await connect(server.config()).get(pods, pod)).toEqual(found)
})

test('a read whose answer is cut short is sent again', async () => {
  const server = await serve((request) => {
    if (server.received.length > 1) return answer(request, 200, found)
    request.stream.respond({ ':status': 200 })
    return void request.stream.write('{"metadata":', () => server.cut())
  })
  expect(await connect(server.config()).get(pods, pod)).toEqual(found)
})

test('a write whose connection is cut is not repeated, and says that its outcome is unknown', async () => {
  const server = await serve(() => server.cut())
  const error = await failure(connect(server.config()).create(pods, found))
  expect(error).toMatchObject({ code: 'KUBERNETES_CONNECTION', outcome: 'unknown' })
  expect(error.message).toMatch(/^POST \/api\/v1\/namespaces\/sandbox\/pods: .*; it may have been carried out$/)
  expect(server.received).toHaveLength(1)
})

test('429 is repeated when the server wants, writes too', async () => {
  const server = await serve((request) => {
    if (server.received.length <= 2) answer(request, 429, { kind: 'Status' }, { 'retry-after': '0' })
    else answer(request, 201, found)
  })
  expect(await connect(server.config()).create(pods, found)).toEqual(found)
  expect(server.received).toHaveLength(3)
})

test('a wait that does not fit in the time of the call is left to the caller', async () => {
  const server = await serve((request) => answer(request, 429, { kind: 'Status' }, { 'retry-after': '60' }))
  const error = await failure(connect(server.config(), { timeout: 10_000 }).get(pods, pod))
  expect(error).toMatchObject({ status: 429, retryAfter: 60_000 })
})

test('503 with Retry-After is repeated for a read and passed on for a write', async () => {
  const server = await serve((request) => {
    if (server.received.length === 1) answer(request, 503, {}, { 'retry-after': '0' })
    else answer(request, request.method === 'GET' ? 200 : 503, found, { 'retry-after': '0' })
  })
  const client = connect(server.config())
  expect(await client.get(pods, pod)).toEqual(found)
  expect(await failure(client.create(pods, found))).toMatchObject({ status: 503 })
  expect(server.received).toHaveLength(3)
})

test('a call that gets no answer in time ends, and says whether it was sent', async () => {
  const server = await serve((request) => {
    if (request.method === 'GET') answer(request, 200, found)
  })
  const client = connect(server.config(), { maxInFlight: 1 })
  await client.get(pods, pod)
  const sent = failure(client.create(pods, found, { timeout: 150 }))
  const waiting = failure(client.create(pods, found, { timeout: 50 }))
  expect(await waiting).toMatchObject({ outcome: 'not-executed' })
  expect(await sent).toMatchObject({ outcome: 'unknown' })
  expect((await sent).message).toBe(
    'POST /api/v1/namespaces/sandbox/pods: no answer within 0.15 s; it may have been carried out',
  )
})

test('a call that its caller aborts ends with that reason, also on the server', async () => {
  const server = await serve(() => {})
  const controller = new AbortController()
  const call = connect(server.config()).get(pods, pod, { signal: controller.signal })
  await expect.poll(() => server.received.length).toBe(1)
  const reason = new Error('changed my mind')
  controller.abort(reason)
  await expect(call).rejects.toBe(reason)
  await expect.poll(() => server.received[0]?.stream.rstCode).toBe(constants.NGHTTP2_CANCEL)
})

test('a signal may be shared by any number of calls', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): number => warnings.push(warning)
  process.on('warning', onWarning)
  const server = await serve((request) => answer(request, 200, found))
  const { signal } = new AbortController()
  const client = connect(server.config())
  await Promise.all(Array.from({ length: 50 }, () => client.get(pods, pod, { signal })))
  process.off('warning', onWarning)
  expect(warnings).toEqual([])
})

test('the client keeps to its own bound and to that of the server', async () => {
  const open = { now: 0, most: 0 }
  const respond: Responder = (request) => {
    open.now += 1
    open.most = Math.max(open.most, open.now)
    setImmediate(() => {
      open.now -= 1
      answer(request, 200, found)
    })
  }
  for (const [settings, options] of [
    [{ maxConcurrentStreams: 3 }, {}],
    [{}, { maxInFlight: 3 }],
  ] as const) {
    const server = await serve(respond, settings)
    const client = connect(server.config(), options)
    open.most = 0
    await Promise.all(Array.from({ length: 30 }, () => client.get(pods, pod)))
    expect(open.most).toBe(3)
  }
})

test.each(['two\nlines', 'two\r\nx-remote-user: admin', 'a b', ''])(
  'a token that is none (%j) goes nowhere',
  async (token) => {
    const server = await serve((request) => answer(request, 200, found))
    const error: unknown = await connect(server.config())
      .get(pods, pod, { token })
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(CredentialError)
    expect(String(error)).toMatch(/expected a bearer token of visible ASCII characters, got one with others$/)
    expect(server.received).toEqual([])
  },
)

test('a watch takes a stream of the server, and no place of the calls', async () => {
  const server = await serve((request) => {
    if (request.path.includes('watch=true')) request.stream.respond({ ':status': 200 })
    else answer(request, 200, found)
  })
  const client = connect(server.config(), { maxInFlight: 1 })
  const watches = [client.watch(pods), client.watch(pods)]
  const events = watches.map((watch) => watch.next().catch(() => 'closed'))
  await expect.poll(() => server.received.length).toBe(2)
  expect(await client.get(pods, pod)).toEqual(found)
  await client.close()
  expect(await Promise.all(events)).toEqual(['closed', 'closed'])
})

test('a token of one request goes by a connection of its own, without the client certificate', async () => {
  const server = await serve((request) => answer(request, 200, found))
  const own: Partial<ConnectionConfig> = {
    clientCertificate: {
      certificate: { from: 'data', data: clientPair.certificate },
      key: { from: 'data', data: clientPair.key },
    },
  }
  const client = connect(server.config(own))
  await client.get(pods, pod)
  await client.get(pods, pod, { token: 'of-a-pod' })
  await client.get(pods, pod, { token: 'of-another' })
  expect(server.received.map(({ certificate, headers }) => [certificate, headers.authorization])).toEqual([
    ['the-client', undefined],
    [undefined, 'Bearer of-a-pod'],
    [undefined, 'Bearer of-another'],
  ])
  expect(server.connections).toBe(2)
})

test('a 401 makes the client read its token again, and send the request once more', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podpass-client-'))
  opening({ close: () => rm(directory, { recursive: true }) })
  const path = join(directory, 'token')
  await writeFile(path, 'old')
  const server = await serve((request) =>
    request.headers.authorization === 'Bearer new' ? answer(request, 201, found) : answer(request, 401, {}),
  )
  const client = connect(server.config({ authentication: { by: 'token-file', path } }))
  expect(await failure(client.create(pods, found))).toMatchObject({ status: 401 })
  expect(server.received).toHaveLength(1)
  await writeFile(path, 'new')
  expect(await client.create(pods, found)).toEqual(found)
  expect(await failure(client.get(pods, pod, { token: 'wrong' }))).toMatchObject({ status: 401 })
  expect(server.received).toHaveLength(4)
})

test('new certificate files bring a new connection; calls on the old one end in peace, watches too', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podpass-client-'))
  opening({ close: () => rm(directory, { recursive: true }) })
  const path = join(directory, 'client.pem')
  await writeFile(path, Buffer.concat([clientPair.certificate, clientPair.key]))
  const material = { from: 'file', path } as const
  const held: Received[] = []
  const server = await serve((request) => {
    if (request.path.includes('watch=true')) request.stream.respond({ ':status': 200 })
    else if (request.method === 'POST') held.push(request)
    else answer(request, 200, found)
  })
  const config = server.config({ clientCertificate: { certificate: material, key: material } })
  const client = connect(config, { reloadInterval: 20 })
  const watch = client.watch(pods).next()
  const call = client.create(pods, found)
  await expect.poll(() => held.length).toBe(1)
  const next = await makeTlsPair('the-client-renewed')
  await writeFile(`${path}.new`, Buffer.concat([next.certificate, next.key]))
  await rename(`${path}.new`, path)
  expect(await watch).toEqual({ done: true, value: undefined })
  await client.get(pods, pod)
  expect(server.received.at(-1)?.certificate).toBe('the-client-renewed')
  for (const request of held) answer(request, 201, found)
  expect(await call).toEqual(found)
})

test('certificate files that do not fit leave the old connection in use', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podpass-client-'))
  opening({ close: () => rm(directory, { recursive: true }) })
  const path = join(directory, 'client.pem')
  await writeFile(path, Buffer.concat([clientPair.certificate, clientPair.key]))
  const warnings: string[] = []
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (_fields: object, text: string) => void warnings.push(text),
    child: () => log,
  }
  const server = await serve((request) => answer(request, 200, found))
  const material = { from: 'file', path } as const
  const config = server.config({ clientCertificate: { certificate: material, key: material } })
  const client = connect(config, { reloadInterval: 20, log })
  await client.get(pods, pod)
  await writeFile(path, Buffer.concat([clientPair.certificate, pair.key]))
  await expect
    .poll(() => warnings)
    .toContain('credential files cannot be used, the connection made with the old ones stays')
  expect(await client.get(pods, pod)).toEqual(found)
  expect(server.connections).toBe(1)
})

test('pages are fetched one after the other, and started over as one when they expire', async () => {
  const list = (name: string, next?: string) => ({
    items: [{ metadata: { name } }],
    metadata: { resourceVersion: '7', ...(next === undefined ? {} : { continue: next }) },
  })
  let expired = false
  const server = await serve((request) => {
    const query = new URL(request.path, 'https://api').searchParams
    if (query.get('limit') === null) answer(request, 200, list('everything'))
    else if (query.get('continue') === null) answer(request, 200, list('a', 'next'))
    else if (expired) answer(request, 410, { kind: 'Status', reason: 'Expired' })
    else answer(request, 200, list('b'))
  })
  const client = connect(server.config())
  const names = async () => {
    const { items, resourceVersion } = await client.list(pods, { limit: 1 })
    return [...items.map(({ metadata }) => metadata.name), resourceVersion]
  }
  expect(await names()).toEqual(['a', 'b', '7'])
  expired = true
  expect(await names()).toEqual(['everything', '7'])
})

test('an answer that is not JSON is no answer', async () => {
  const server = await serve(({ stream }) => {
    stream.respond({ ':status': 200 })
    stream.end('<html>')
  })
  expect(await failure(connect(server.config()).get(pods, pod))).toMatchObject({ code: 'KUBERNETES_CONNECTION' })
})

test('a server that is not there is tried once for all who call, and again later', async () => {
  const port = await freePort()
  let sleeps = 0
  const clock = {
    now: () => Date.now(),
    timer(delay: number, fire: () => void) {
      if (delay >= 200 && delay < 400) sleeps += 1
      const handle = setTimeout(fire, delay / 100)
      return { cancel: () => clearTimeout(handle) }
    },
  }
  const config: ConnectionConfig = {
    server: `https://127.0.0.1:${port}`,
    ca: undefined,
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'nothing' },
    impersonation: undefined,
    proxy: undefined,
    namespace: 'default',
  }
  const client = connect(config, { clock })
  const errors = await Promise.all([client.get(pods, pod), client.get(pods, pod)].map(failure))
  for (const error of errors) {
    expect(error).toMatchObject({ outcome: 'not-executed' })
    expect(error.message).toMatch(/^GET .*: cannot connect to 127.0.0.1:\d+: .*ECONNREFUSED/)
  }
  expect(sleeps).toBe(0)
  await failure(client.get(pods, pod))
  expect(sleeps).toBe(1)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('a server that another authority vouches for is refused', async () => {
  const server = await serve((request) => answer(request, 200, found))
  const ca = { from: 'data', data: clientPair.certificate } as const
  const error = await failure(connect(server.config({ ca })).get(pods, pod))
  expect(error.message).toMatch(/cannot connect to .*: self-signed certificate/)
  expect(await failure(connect(server.config({ serverName: 'other' })).get(pods, pod))).toMatchObject({
    message: expect.stringMatching(/Host: other. is not in the cert/) as string,
  })
  expect(await connect(server.config({ ca: undefined, insecure: true })).get(pods, pod)).toEqual(found)
})

test('a server without HTTP/2 is named as such', async () => {
  const server = createTlsServer({ key: pair.key, cert: pair.certificate, ALPNProtocols: ['http/1.1'] })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const faulty = await serve(() => {})
  const client = connect({ ...faulty.config(), server: `https://127.0.0.1:${port}` })
  expect((await failure(client.get(pods, pod))).message).toMatch(
    /cannot connect to .*: .*(ALPN|no application protocol)/i,
  )
  server.close()
})

test('a client that is closed rejects what is in flight and what comes', async () => {
  const server = await serve(() => {})
  const client = connect(server.config())
  const call = failure(client.get(pods, pod))
  await expect.poll(() => server.received.length).toBe(1)
  await client.close()
  expect((await call).message).toMatch(/the client is closed/)
  expect(await failure(client.get(pods, pod))).toMatchObject({ outcome: 'not-executed' })
  await client.close()
})

test('only https is spoken', () => {
  const config = { server: 'http://127.0.0.1:8001' } as ConnectionConfig
  expect(() => new KubernetesClient(config)).toThrow('expected the API server as https://host:port')
})
