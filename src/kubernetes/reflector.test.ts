import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { KubernetesClient } from './client.ts'
import { answer, FaultyServer, makeTlsPair, type Received, type TlsPair } from './fixtures/faulty-server.ts'
import { hastyClock } from './fixtures/hasty-clock.ts'
import { ApiError, ConnectionError } from './errors.ts'
import type { ConfigMap } from './object.ts'
import { Reflector, type ReflectorOptions } from './reflector.ts'
import { configMaps } from './resource.ts'

let pair: TlsPair
let server: FaultyServer
let client: KubernetesClient
let told: string[]
let troubles: string[]
let log: string[]
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('server')
})

beforeEach(async () => {
  server = await FaultyServer.start(pair, (request) => answer(request, 500, {}))
  client = new KubernetesClient(server.config(), { clock: hastyClock(), timeout: 1_000_000 })
  opened.push(server, client)
  told = []
  troubles = []
  log = []
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

function reflect(more: Partial<ReflectorOptions<ConfigMap, string>> = {}): Reflector<ConfigMap, string> {
  const write = (_fields: object, text: string): void => void log.push(text)
  const sink = { debug() {}, info() {}, warn: write, error: write, child: () => sink }
  const reflector = new Reflector<ConfigMap, string>({
    client,
    resource: configMaps,
    namespace: 'sandbox',
    transform: ({ metadata, data }) => `${metadata.name}@${metadata.resourceVersion}${data?.['note'] ?? ''}`,
    handler: {
      added: (_object, kept) => void told.push(`+${kept}`),
      modified: (_object, kept, before) => void told.push(`${before}>${kept}`),
      deleted: (kept) => void told.push(`-${kept}`),
    },
    onTrouble: (trouble) => void troubles.push(trouble.message),
    onRecovered: () => void troubles.push('recovered'),
    clock: hastyClock(),
    log: sink,
    ...more,
  })
  opened.push(reflector)
  return reflector
}

function object(name: string, resourceVersion: string): ConfigMap {
  return { metadata: { name, namespace: 'sandbox', uid: `uid-${name}`, resourceVersion } }
}

function event(type: string, item: object): string {
  return `${JSON.stringify({ type, object: item })}\n`
}

/** The bookmark behind the last object of a streamed list. */
function listEnd(resourceVersion: string): string {
  const annotations = { 'k8s.io/initial-events-end': 'true' }
  return event('BOOKMARK', { metadata: { resourceVersion, annotations } })
}

function expired(): string {
  return event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' })
}

/** Answers requests one after the other, the last way for all that follow. */
function script(...answers: ((request: Received) => void)[]): void {
  let next = 0
  server.respond = (request) => answers[Math.min(next++, answers.length - 1)]?.(request)
}

/** Accepts a watch and sends events; the watch stays open. */
function stream(...lines: readonly string[]): (request: Received) => void {
  return ({ stream }) => {
    stream.respond({ ':status': 200 })
    stream.write(lines.join('') || '\n')
  }
}

/** The same, and the server ends the watch behind them. */
function streamAndEnd(...lines: readonly string[]): (request: Received) => void {
  return ({ stream }) => {
    stream.respond({ ':status': 200 })
    stream.end(lines.join(''))
  }
}

function refuse(status: number, reason = '', headers: Readonly<Record<string, string>> = {}) {
  return (request: Received): void => answer(request, status, { kind: 'Status', reason, message: reason }, headers)
}

function list(items: readonly ConfigMap[], resourceVersion: string, next?: string) {
  const metadata = { resourceVersion, ...(next === undefined ? {} : { continue: next }) }
  return (request: Received): void => answer(request, 200, { items, metadata })
}

/** The queries of the requests so far, without what is random or the same for all. */
function queries(): string[] {
  return server.received.map(({ path }) => {
    const query = new URL(path, 'https://api').searchParams
    for (const name of ['timeoutSeconds', 'allowWatchBookmarks', 'resourceVersionMatch']) query.delete(name)
    return decodeURIComponent(query.toString())
  })
}

test('a streamed list is complete with its bookmark, and the watch goes on in it', async () => {
  script(stream(event('ADDED', object('a', '1')), listEnd('5'), event('MODIFIED', object('a', '6'))))
  const reflector = reflect()
  await reflector.synced
  await expect.poll(() => told).toEqual(['+a@1', 'a@1>a@6'])
  expect(reflector.hasSynced).toBe(true)
  expect([reflector.size, reflector.get('a', 'sandbox'), ...reflector.values()]).toEqual([1, 'a@6', 'a@6'])
  expect(queries()).toEqual(['watch=true&sendInitialEvents=true'])
})

test('a watch that closes is resumed where it ended, bookmarks counted', async () => {
  script(
    streamAndEnd(event('ADDED', object('a', '1')), listEnd('5')),
    streamAndEnd(event('MODIFIED', object('a', '7'))),
    streamAndEnd(event('BOOKMARK', { metadata: { resourceVersion: '9' } })),
    stream(event('DELETED', object('a', '10'))),
  )
  reflect()
  await expect.poll(() => told).toEqual(['+a@1', 'a@1>a@7', '-a@7'])
  expect(queries()).toEqual([
    'watch=true&sendInitialEvents=true',
    'watch=true&resourceVersion=5',
    'watch=true&resourceVersion=7',
    'watch=true&resourceVersion=9',
  ])
  expect(troubles).toEqual([])
})

test('an event that is cut short is told by the next watch, and none twice', async () => {
  const second = event('ADDED', object('b', '7'))
  script(streamAndEnd(listEnd('5'), event('ADDED', object('a', '6')), second.slice(0, 30)), stream(second))
  reflect()
  await expect.poll(() => told).toEqual(['+a@6', '+b@7'])
  expect(queries()[1]).toBe('watch=true&resourceVersion=6')
  expect(troubles).toEqual([expect.stringMatching(/middle of an event/), 'recovered'])
})

test.each([
  ['in the watch', stream(expired())],
  ['as a status', refuse(410, 'Expired')],
])('a version that has expired, told %s, brings a new list, whose difference is told', async (_where, refusal) => {
  script(
    streamAndEnd(...['a', 'b', 'c'].map((name) => event('ADDED', object(name, '1'))), listEnd('5')),
    refusal,
    stream(
      event('ADDED', object('b', '1')),
      event('ADDED', { ...object('c', '30'), metadata: { ...object('c', '30').metadata, uid: 'another' } }),
      event('ADDED', object('d', '31')),
      listEnd('40'),
      event('ADDED', object('e', '41')),
    ),
  )
  const reflector = reflect()
  await expect.poll(() => told).toEqual(['+a@1', '+b@1', '+c@1', '-c@1', '+c@30', '+d@31', '-a@1', '+e@41'])
  expect([...reflector.values()].sort()).toEqual(['b@1', 'c@30', 'd@31', 'e@41'])
  expect(troubles).toEqual([])
})

test('a list that breaks off in the middle ends nothing', async () => {
  script(
    streamAndEnd(event('ADDED', object('a', '1')), event('ADDED', object('b', '1')), listEnd('5')),
    stream(expired()),
    ({ stream }) => {
      stream.respond({ ':status': 200 })
      stream.write(event('ADDED', object('a', '1')), () => server.cut())
    },
    stream(event('ADDED', object('a', '1')), event('ADDED', object('b', '1')), listEnd('50')),
  )
  const reflector = reflect()
  await expect.poll(() => server.received.length).toBe(4)
  await expect.poll(() => troubles.at(-1)).toBe('recovered')
  expect(told).toEqual(['+a@1', '+b@1'])
  expect(reflector.size).toBe(2)
})

test('a server without streaming lists is asked for pages', async () => {
  script(
    refuse(422, 'Invalid'),
    list([object('a', '1')], '9', 'more'),
    list([object('b', '2')], '9'),
    stream(event('ADDED', object('c', '10'))),
  )
  reflect({ pageSize: 1 })
  await expect.poll(() => told).toEqual(['+a@1', '+b@2', '+c@10'])
  expect(queries()).toEqual([
    'watch=true&sendInitialEvents=true',
    'limit=1',
    'limit=1&continue=more',
    'watch=true&resourceVersion=9',
  ])
  expect(troubles).toEqual([])
})

test('a server that takes a streaming list for a plain watch is asked for pages after a while', async () => {
  script(
    stream(event('ADDED', object('a', '1'))),
    list([object('a', '1')], '9'),
    stream(event('ADDED', object('b', '10'))),
  )
  const reflector = reflect()
  await reflector.synced
  await expect.poll(() => told).toEqual(['+a@1', '+b@10'])
  expect(queries().slice(1)).toEqual(['limit=500', 'watch=true&resourceVersion=9'])
})

test('pages that expire while they are read are asked for as one', async () => {
  script(list([object('a', '1')], '9', 'more'), refuse(410, 'Expired'), list([object('b', '2')], '12'), stream())
  reflect({ streamingList: false, pageSize: 1 })
  await expect.poll(() => told).toEqual(['+a@1', '+b@2', '-a@1'])
  await expect.poll(() => queries().length).toBe(4)
  expect(queries().slice(2)).toEqual(['limit=0', 'watch=true&resourceVersion=12'])
})

test('missing rights, a missing kind and a busy server are reported each time, and outlived', async () => {
  script(
    refuse(403, 'Forbidden'),
    refuse(404, 'NotFound'),
    refuse(401, 'Unauthorized'),
    refuse(429, 'TooManyRequests', { 'retry-after': '3' }),
    stream(event('ADDED', object('a', '1')), listEnd('5')),
  )
  const reflector = reflect()
  await reflector.synced
  expect(told).toEqual(['+a@1'])
  expect(troubles).toEqual([
    ...['Forbidden', 'NotFound', 'Unauthorized', 'TooManyRequests'].map(
      (reason) => expect.stringContaining(reason) as unknown,
    ),
    'recovered',
  ])
})

test('a server that is back after an outage and still refuses is asked again soon, however long it was away', async () => {
  const outage = 12
  let asked = 0
  const waits: number[] = []
  const away: ReflectorOptions<ConfigMap, string>['client'] = {
    pages: (resource, options) => client.pages(resource, options),
    async *watch(resource, options) {
      asked++
      if (asked <= outage) throw new ConnectionError('cannot connect', 'not-executed')
      if (asked === outage + 1) throw new ApiError('GET /', 429, { message: 'storage is initializing' }, 1000)
      yield* client.watch(resource, options)
    },
  }
  script(stream(event('ADDED', object('a', '5')), listEnd('5')))
  const clock = hastyClock((delay) => void (delay < 60_000 && waits.push(delay)))
  await reflect({ client: away, clock, random: () => 0 }).synced
  expect(waits.slice(0, outage).at(-1)).toBe(5000)
  expect(waits[outage]).toBe(1000)
})

test('it waits at least as long as a busy server wants', async () => {
  const delays: number[] = []
  script(refuse(429, 'TooManyRequests', { 'retry-after': '30' }), stream(listEnd('5')))
  await reflect({ clock: hastyClock((delay) => delays.push(delay)) }).synced
  expect(delays).toContain(30_000)
})

test('a handler that fails is logged and holds up nothing', async () => {
  script(stream(event('ADDED', object('a', '1')), event('ADDED', object('b', '2')), listEnd('5')))
  const reflector = reflect({
    handler: {
      added(_object, kept) {
        told.push(kept)
        throw new Error('oops')
      },
    },
  })
  await reflector.synced
  expect(told).toEqual(['a@1', 'b@2'])
  expect(reflector.size).toBe(2)
  expect(log).toEqual(['a handler failed', 'a handler failed'])
})

test('whoever is told of trouble cannot cause more', async () => {
  script(refuse(403, 'Forbidden'), stream(listEnd('5')))
  const fail = (): void => {
    throw new Error('oops')
  }
  await reflect({ onTrouble: fail, onRecovered: fail }).synced
  expect(log).toEqual(['a handler failed', 'a handler failed'])
})

test('an object that becomes unreadable is kept as it was, also by a new list', async () => {
  script(
    streamAndEnd(event('ADDED', object('a', '1')), listEnd('5')),
    stream(event('MODIFIED', object('a', 'bad')), expired()),
    stream(event('ADDED', object('a', 'bad')), event('ADDED', object('b', '7')), listEnd('9')),
  )
  reflect({
    transform({ metadata }) {
      if (metadata.resourceVersion === 'bad') throw new TypeError('no spec')
      return String(metadata.name)
    },
  })
  await expect.poll(() => told).toEqual(['+a', '+b'])
})

test('an object that nobody can read is passed over', async () => {
  script(stream(event('ADDED', object('odd', '1')), event('ADDED', object('b', '2')), listEnd('5')))
  const reflector = reflect({
    transform({ metadata }) {
      if (metadata.name === 'odd') throw new TypeError('no spec')
      return String(metadata.name)
    },
  })
  await reflector.synced
  expect([...reflector.values()]).toEqual(['b'])
  expect(log).toEqual(['object cannot be read, passed over'])
})

test('managedFields never reach anybody', async () => {
  const whole = { ...object('a', '1'), metadata: { ...object('a', '1').metadata, managedFields: [{ manager: 'x' }] } }
  script(stream(event('ADDED', whole), listEnd('5')))
  const seen: object[] = []
  await reflect({ handler: { added: ({ metadata }) => void seen.push(metadata) } }).synced
  expect(seen).toEqual([object('a', '1').metadata])
})

test('selectors, namespace and the wish for metadata alone go with every request', async () => {
  script(refuse(422), list([], '9'), stream())
  reflect({ labelSelector: 'a=b', fieldSelector: 'spec.nodeName=n', metadataOnly: true })
  await expect.poll(() => server.received.length).toBe(3)
  for (const { path, headers } of server.received) {
    expect(path).toMatch(/^\/api\/v1\/namespaces\/sandbox\/configmaps\?/)
    expect(decodeURIComponent(path)).toContain('labelSelector=a=b&fieldSelector=spec.nodeName=n')
    expect(headers.accept).toContain('as=PartialObjectMetadata')
  }
})

test('a reflector that is closed tells nothing more, and whoever waits for it hears so', async () => {
  script(stream(event('ADDED', object('a', '1'))))
  const reflector = reflect()
  await expect.poll(() => told).toEqual(['+a@1'])
  const [request] = server.received
  await reflector.close()
  await expect(reflector.synced).rejects.toThrow('the reflector of configmaps was closed')
  await expect.poll(() => request?.stream.destroyed).toBe(true)
  await reflector.close()
  expect(server.received).toHaveLength(1)
})

test('a reflector outlives a server that is gone for a while', async () => {
  script(streamAndEnd(event('ADDED', object('a', '1')), listEnd('5')), ({ session }) => session.destroy())
  reflect()
  await expect.poll(() => troubles.length).toBeGreaterThan(3)
  script(stream(event('MODIFIED', object('a', '8'))))
  await expect.poll(() => told).toEqual(['+a@1', 'a@1>a@8'])
  expect(queries().at(-1)).toBe('watch=true&resourceVersion=5')
})
