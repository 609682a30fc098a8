import { afterEach, beforeAll, expect, test } from 'vitest'
import * as fc from 'fast-check'
import { KubernetesClient } from './client.ts'
import type { ClientOptions } from './client-options.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { ConnectionError } from './errors.ts'
import { ConnectProxy } from './fixtures/connect-proxy.ts'
import { answer, FaultyServer, makeTlsPair, type TlsPair } from './fixtures/faulty-server.ts'
import { StallingProxy } from './fixtures/stalling-proxy.ts'
import { parseProxy, proxyFromEnvironment } from './proxy.ts'
import { pods } from './resource.ts'

let pair: TlsPair
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('server')
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

function opening<T extends { close(): Promise<void> }>(thing: T): T {
  opened.push(thing)
  return thing
}

const pod = { namespace: 'sandbox', name: 'web-0' }

async function serve(): Promise<FaultyServer> {
  return opening(await FaultyServer.start(pair, (request) => answer(request, 200, { metadata: pod })))
}

function connect(config: ConnectionConfig, options: ClientOptions = {}): KubernetesClient {
  return opening(new KubernetesClient(config, options))
}

async function failure(call: Promise<unknown>): Promise<ConnectionError> {
  const error: unknown = await call.catch((error: unknown) => error)
  if (error instanceof ConnectionError) return error
  throw new Error('expected a ConnectionError', { cause: error })
}

test.each([false, true])('the API server is reached through a proxy (by TLS: %j)', async (secure) => {
  const server = await serve()
  const proxy = opening(await ConnectProxy.start(secure ? { pair } : {}))
  // A name that only the proxy can look up.
  const client = connect(server.config({ proxy: proxy.url, server: `https://api.example:${server.port}` }))
  await Promise.all([client.get(pods, pod), client.get(pods, pod, { token: 'of-a-pod' })])
  await client.get(pods, pod)
  expect(server.received).toHaveLength(3)
  const asked = { authority: `api.example:${server.port}`, authorization: undefined }
  // One connection for the driver itself and one for tokens, as without a proxy.
  expect(proxy.asked).toEqual([asked, asked])
})

test('a proxy gets the user and password of its address, and no one is told them', async () => {
  const server = await serve()
  const proxy = opening(await ConnectProxy.start())
  const url = new URL(proxy.url)
  url.username = 'driver'
  url.password = 's3cret:%40/'
  await connect(server.config({ proxy: url })).get(pods, pod)
  expect(Buffer.from(proxy.asked[0]?.authorization?.split(' ')[1] ?? '', 'base64').toString()).toBe('driver:s3cret:@/')

  const refusing = opening(await ConnectProxy.start({ refusal: '407 Proxy Authentication Required' }))
  url.port = refusing.url.port
  const error = await failure(connect(server.config({ proxy: url })).get(pods, pod))
  expect(error).toMatchObject({ outcome: 'not-executed' })
  expect(error.message).toBe(
    `GET /api/v1/namespaces/sandbox/pods/web-0: cannot connect to 127.0.0.1:${server.port}: ` +
      `proxy localhost:${url.port}: it answered CONNECT with 407 Proxy Authentication Required`,
  )
})

test('a proxy that is not there is named', async () => {
  const server = await serve()
  const proxy = await ConnectProxy.start()
  const { url } = proxy
  await proxy.close()
  const error = await failure(connect(server.config({ proxy: url })).get(pods, pod))
  expect(error.message).toMatch(/cannot connect to 127.0.0.1:\d+: proxy localhost:\d+: .*ECONNREFUSED/)
})

test('a proxy with a certificate of somebody else is not used', async () => {
  const server = await serve()
  const proxy = opening(await ConnectProxy.start({ pair: await makeTlsPair('impostor') }))
  const error = await failure(connect(server.config({ proxy: proxy.url })).get(pods, pod))
  expect(error.message).toMatch(/proxy localhost:\d+: .*self-signed certificate/)
  expect(proxy.asked).toEqual([])
})

test('the server behind a proxy must prove itself as without one', async () => {
  const server = await serve()
  const proxy = opening(await ConnectProxy.start())
  const config = server.config({ proxy: proxy.url, serverName: 'somebody-else' })
  expect((await failure(connect(config).get(pods, pod))).message).toMatch(/cannot connect to .*somebody-else/)
})

test('a connection through a proxy that has gone silent is found', async () => {
  const server = await serve()
  const stalling = opening(await StallingProxy.start(server.port))
  const proxy = opening(await ConnectProxy.start({ pair }))
  const config = { ...server.config({ proxy: proxy.url }), server: `https://127.0.0.1:${stalling.port}` }
  const client = connect(config, { pingInterval: 50, pingTimeout: 450 })
  await client.get(pods, pod)
  stalling.stall()
  expect((await failure(client.create(pods, { metadata: pod }))).message).toMatch(/no sign of life/)
  await client.get(pods, pod)
  expect(proxy.asked).toHaveLength(2)
})

test('a call that is aborted while its tunnel is made ends with that reason', async () => {
  const server = await serve()
  const silent = opening(await ConnectProxy.start({ refusal: '' }))
  const controller = new AbortController()
  const call = connect(server.config({ proxy: silent.url })).get(pods, pod, { signal: controller.signal })
  await expect.poll(() => silent.asked.length).toBe(1)
  const reason = new Error('changed my mind')
  controller.abort(reason)
  await expect(call).rejects.toBe(reason)
})

test.each([
  ['socks5://user:s3cret@proxy:1080', /^PLACE: SOCKS proxies are not supported/],
  ['ftp://s3cret', /^PLACE: expected http:\/\/host:port/],
  ['s3cret', /^PLACE: expected http:\/\/host:port/],
])('the proxy %j is refused, and not repeated', (text, message) => {
  expect(() => parseProxy(text, 'PLACE')).toThrow(message)
  expect(() => parseProxy(text, 'PLACE')).not.toThrow(/s3cret/)
})

test('the environment names a proxy, in either case, with or without its scheme', () => {
  const through = (env: Record<string, string>): string | undefined =>
    proxyFromEnvironment(env, 'https://api:6443')?.href
  expect(through({ HTTPS_PROXY: 'http://proxy:3128' })).toBe('http://proxy:3128/')
  expect(through({ https_proxy: 'https://proxy:3128' })).toBe('https://proxy:3128/')
  expect(through({ HTTPS_PROXY: 'proxy:3128' })).toBe('http://proxy:3128/')
  expect(through({ HTTPS_PROXY: 'http://upper:1', https_proxy: 'http://lower:1' })).toBe('http://upper:1/')
  expect(through({ HTTPS_PROXY: '', https_proxy: '' })).toBeUndefined()
  // Only https requests are made here.
  expect(through({ HTTP_PROXY: 'http://proxy:3128', ALL_PROXY: 'http://proxy:3128' })).toBeUndefined()
  expect(() => through({ HTTPS_PROXY: 'socks5://proxy' })).toThrow('HTTPS_PROXY: SOCKS proxies are not supported')
})

// What golang.org/x/net/http/httpproxy documents of NO_PROXY, and what its source does.
test.each([
  ['*', 'api', true],
  ['api', 'api', true],
  ['API', 'api', true],
  [' other , api ', 'api', true],
  ['example.com', 'example.com', true],
  ['example.com', 'api.example.com', true],
  ['example.com', 'notexample.com', false],
  ['.example.com', 'api.example.com', true],
  ['.example.com', 'example.com', false],
  ['*.example.com', 'api.example.com', true],
  ['*.example.com', 'example.com', false],
  ['example.com:6443', 'api.example.com', true],
  ['example.com:443', 'api.example.com', false],
  ['10.96.0.1', '10.96.0.1', true],
  ['10.96.0.1:6443', '10.96.0.1', true],
  ['10.96.0.1:443', '10.96.0.1', false],
  ['10.96.0.0/12', '10.96.0.1', true],
  ['10.96.0.0/12', '10.112.0.1', false],
  ['10.96.0.0/99', '10.96.0.1', false],
  ['0.1', '10.96.0.1', false],
  ['fd00::/8', '[fd00::1]', true],
  ['fd00::1', '[fd00::1]', true],
  ['[fd00::1]:6443', '[fd00::1]', true],
  ['[fd00::1]:443', '[fd00::1]', false],
  ['fd00::/8', '[fe00::1]', false],
  ['10.0.0.0/8', 'api', false],
  [':6443', 'api', false],
  [',, ', 'api', false],
  ['', 'localhost', true],
  ['', '127.3.2.1', true],
  ['', '[::1]', true],
])('NO_PROXY=%j excepts %j: %j', (exceptions, host, excepted) => {
  const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: exceptions }
  expect(proxyFromEnvironment(env, `https://${host}:6443`) === undefined).toBe(excepted)
  const lower = { https_proxy: 'http://proxy:3128', no_proxy: exceptions }
  expect(proxyFromEnvironment(lower, `https://${host}:6443`) === undefined).toBe(excepted)
})

test('whatever NO_PROXY holds, a server is reached through the proxy or directly', () => {
  const item = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.domain(), fc.stringMatching(/^[[\]:*./0-9a-f]{0,12}$/))
  fc.assert(
    fc.property(fc.array(item), fc.oneof(fc.domain(), fc.ipV4()), (items, host) => {
      const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: items.join(',') }
      expect([undefined, 'http://proxy:3128/']).toContain(proxyFromEnvironment(env, `https://${host}`)?.href)
      const excepted = { ...env, NO_PROXY: [...items.filter((text) => !text.includes(',')), host].join(',') }
      expect(proxyFromEnvironment(excepted, `https://${host}`)).toBeUndefined()
    }),
  )
})
