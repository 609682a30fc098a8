import { constants } from 'node:http2'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { KubernetesClient } from './client.ts'
import {
  answer,
  FaultyServer,
  makeTlsPair,
  type Received,
  type Responder,
  type TlsPair,
} from './fixtures/faulty-server.ts'
import { configMaps } from './resource.ts'

let pair: TlsPair
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('server')
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

async function start(respond: Responder): Promise<{ server: FaultyServer; client: KubernetesClient }> {
  const server = await FaultyServer.start(pair, respond)
  const client = new KubernetesClient(server.config())
  opened.push(server, client)
  return { server, client }
}

function event(name: string, type = 'ADDED'): string {
  return `${JSON.stringify({ type, object: { metadata: { name } } })}\n`
}

/** The names that a watch tells of, and the code of the error that ends it. */
async function told(client: KubernetesClient): Promise<(string | undefined)[]> {
  const names: (string | undefined)[] = []
  try {
    for await (const { object } of client.watch(configMaps)) names.push(object.metadata.name)
  } catch (error) {
    names.push(`${(error as { code?: string }).code}: ${(error as Error).message}`)
  }
  return names
}

/** Sends chunks one after the other, each after the one before has left. */
async function send({ stream }: Received, chunks: readonly (Buffer | string)[]): Promise<void> {
  stream.respond({ ':status': 200 })
  for (const chunk of chunks) {
    await new Promise<void>((resolve) => void stream.write(chunk, () => resolve()))
    await new Promise((resolve) => void setImmediate(resolve))
  }
}

test('events are whole however their bytes arrive, and the end of the watch is the end', async () => {
  const bytes = Buffer.from(event('a') + event('größer') + event('c'))
  const { client } = await start(
    (request) =>
      void send(
        request,
        [...bytes].map((byte) => Buffer.from([byte])),
      ).then(() => request.stream.end()),
  )
  expect(await told(client)).toEqual(['a', 'größer', 'c'])
})

test('an event as large as an object can be arrives whole', async () => {
  const name = 'x'.repeat(4 << 20)
  const { client } = await start((request) => void send(request, [event(name)]).then(() => request.stream.end()))
  expect(await told(client)).toEqual([name])
})

test('an event that is cut short is an error, after those before it', async () => {
  const { client } = await start(
    (request) => void send(request, [event('a'), event('b').slice(0, 20)]).then(() => request.stream.end()),
  )
  const [first, second] = await told(client)
  expect(first).toBe('a')
  expect(second).toMatch(/^KUBERNETES_CONNECTION: GET .*: the watch ended in the middle of an event$/)
})

test('a connection that is cut is an error', async () => {
  const { client, server } = await start((request) => void send(request, [event('a')]).then(() => server.cut()))
  expect(await told(client)).toEqual(['a', expect.stringMatching(/^KUBERNETES_CONNECTION: .* lost: /)])
})

test('a watch that the server refuses, or ends with a Status, is an error of the API', async () => {
  const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }
  const { client, server } = await start((request) => answer(request, 410, status))
  const refused = /^KUBERNETES_API: GET .* was answered with 410 Expired: too old resource version$/
  expect(await told(client)).toEqual([expect.stringMatching(refused)])
  server.respond = (request) =>
    void send(request, [event('a'), `${JSON.stringify({ type: 'ERROR', object: status })}\n`])
  expect(await told(client)).toEqual(['a', expect.stringMatching(refused)])
})

test('what is no watch event is an error', async () => {
  const { client, server } = await start((request) => void send(request, ['{"type":"MELTED","object":{}}\n']))
  expect(await told(client)).toEqual([expect.stringMatching(/unknown watch event "MELTED"/)])
  server.respond = (request) => void send(request, ['nonsense\n'])
  expect(await told(client)).toEqual([expect.stringMatching(/a watch event is not JSON/)])
})

test('who has seen enough ends the watch on the server', async () => {
  const { client, server } = await start((request) => void send(request, [event('a')]))
  for await (const { object } of client.watch(configMaps)) {
    expect(object.metadata.name).toBe('a')
    break
  }
  await expect.poll(() => server.received[0]?.stream.rstCode).toBe(constants.NGHTTP2_CANCEL)
})

test('a watch that is aborted ends with the reason', async () => {
  const { client } = await start((request) => void send(request, [event('a')]))
  const controller = new AbortController()
  const reason = new Error('stopped')
  const watching = (async () => {
    for await (const _ of client.watch(configMaps, { signal: controller.signal })) controller.abort(reason)
  })()
  await expect(watching).rejects.toBe(reason)
})
