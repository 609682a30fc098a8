import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import type { ConnectionConfig } from '../../src/kubernetes/connection-config.ts'
import { ApiError } from '../../src/kubernetes/errors.ts'
import { StallingProxy } from '../../src/kubernetes/fixtures/stalling-proxy.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import type { ConfigMap } from '../../src/kubernetes/object.ts'
import { Reflector, type ReflectorOptions } from '../../src/kubernetes/reflector.ts'
import { configMaps } from '../../src/kubernetes/resource.ts'
import { claimPort } from './claim.ts'
import { ControlPlane } from './control-plane.ts'
import { apply } from './kubectl.ts'
import { until } from './until.ts'

let controlPlane: ControlPlane
let config: ConnectionConfig
let client: KubernetesClient
let namespace: string
let namespaces = 0
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  controlPlane = await ControlPlane.start()
  config = await loadKubeconfig({ path: controlPlane.access.adminKubeconfig })
  client = new KubernetesClient(config)
})

beforeEach(async () => {
  namespace = `reflector-${(namespaces += 1)}`
  await apply(controlPlane.access, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  // The controllers put one into each namespace.
  await until('the root CA', () => client.get(configMaps, { namespace, name: 'kube-root-ca.crt' }))
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

afterAll(async () => {
  await client?.close()
  await controlPlane?.close()
})

function opening<T extends { close(): Promise<void> }>(thing: T): T {
  opened.push(thing)
  return thing
}

/** What a reflector told of each object, and what it makes of it. */
class Witness {
  /** For each object, the notes it was told with, in order; `gone` for its end. */
  readonly told = new Map<string, string[]>()
  readonly troubles: string[] = []
  recoveries = 0
  readonly reflector: Reflector<ConfigMap, string>

  constructor(more: Partial<ReflectorOptions<ConfigMap, string>> = {}) {
    this.reflector = opening(
      new Reflector<ConfigMap, string>({
        client,
        resource: configMaps,
        namespace,
        labelSelector: 'podpass.test=yes',
        transform: ({ metadata, data }) => `${metadata.name} ${data?.['note']}`,
        handler: {
          added: (_object, kept) => this.#note(kept),
          modified: (_object, kept) => this.#note(kept),
          deleted: (kept) => this.#note(`${kept.split(' ')[0]} gone`),
        },
        onTrouble: (trouble) => void this.troubles.push(trouble.message),
        onRecovered: () => {
          this.recoveries += 1
        },
        ...more,
      }),
    )
  }

  #note(kept: string): void {
    const [name = '', note = ''] = kept.split(' ')
    this.told.set(name, [...(this.told.get(name) ?? []), note])
  }

  story(): Record<string, readonly string[]> {
    return Object.fromEntries(this.told)
  }
}

function note(name: string, text: string): ConfigMap {
  return { metadata: { namespace, name, labels: { 'podpass.test': 'yes' } }, data: { note: text } }
}

async function write(name: string, text: string): Promise<void> {
  await client.apply(configMaps, note(name, text), { fieldManager: 'test' })
}

async function remove(name: string): Promise<void> {
  await client.delete(configMaps, { namespace, name })
}

/** Does something until it works: the API server is away for a while. */
async function persistently(act: () => Promise<unknown>): Promise<void> {
  await until('the API server', async () => {
    await act().catch((error: unknown) => {
      // An earlier attempt was carried out, though its answer was lost.
      if (!(error instanceof ApiError && error.status === 404)) throw error
    })
    return true
  })
}

test.each([
  ['streamed', true],
  ['paged', false],
])('a %s list and its watch tell every change once', async (_kind, streamingList) => {
  await write('a', '1')
  await write('b', '1')
  const witness = new Witness({ streamingList, pageSize: 1 })
  await witness.reflector.synced
  expect(witness.story()).toEqual({ a: ['1'], b: ['1'] })
  await write('c', '1')
  await write('a', '2')
  await remove('b')
  const story = { a: ['1', '2'], b: ['1', 'gone'], c: ['1'] }
  await expect.poll(() => witness.story()).toEqual(story)
  expect([...witness.reflector.values()].sort()).toEqual(['a 2', 'c 1'])
  expect(witness.troubles).toEqual([])
})

test('an object that leaves the selection is told as gone', async () => {
  await write('a', '1')
  const witness = new Witness()
  await witness.reflector.synced
  const labels = { 'podpass.test': 'no' }
  await client.apply(
    configMaps,
    { ...note('a', '2'), metadata: { namespace, name: 'a', labels } },
    { fieldManager: 'test' },
  )
  await expect.poll(() => witness.story()).toEqual({ a: ['1', 'gone'] })
})

test('watches that the server keeps ending lose nothing and double nothing', async () => {
  const count = { watches: 0 }
  const witness = new Witness({
    client: {
      pages: (resource, options) => client.pages(resource, options),
      watch(resource, options) {
        count.watches += 1
        return client.watch(resource, { ...options, timeoutSeconds: 1 })
      },
    },
  })
  await witness.reflector.synced
  const expected: Record<string, string[]> = {}
  for (let round = 0; count.watches < 6; round += 1) {
    const name = `n${round % 7}`
    const before = expected[name] ?? []
    expected[name] = before
    if (before.length > 0 && before.at(-1) !== 'gone') {
      await remove(name)
      before.push('gone')
    } else {
      await write(name, String(round))
      before.push(String(round))
    }
    await new Promise((resolve) => void setTimeout(resolve, 50))
  }
  await expect.poll(() => witness.story()).toEqual(expected)
  expect(witness.troubles).toEqual([])
})

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'an API server that ends by %s and comes back loses no event',
  async (signal) => {
    const witness = new Witness()
    await witness.reflector.synced
    // Each object is written until that worked, by somebody with a connection of their own, and half of them deleted again.
    const state = { stopped: false, written: 0 }
    const writer = (async () => {
      while (!state.stopped || state.written % 2 === 1) {
        const name = `w${state.written}`
        await persistently(() => write(name, 'here'))
        if (state.written % 2 === 1) await persistently(() => remove(name))
        state.written += 1
      }
    })()
    await until('some objects', () => witness.told.size > 20)
    await controlPlane.stopApiServer(signal)
    await until('trouble', () => witness.troubles.length > 0)
    await controlPlane.startApiServer()
    const before = witness.told.size
    await until('more objects', () => witness.told.size > before + 20)
    state.stopped = true
    await writer
    await write('last', 'here')
    await until('the last object', () => witness.told.has('last'))
    expect(witness.recoveries).toBeGreaterThan(0)
    const { items } = await client.list(configMaps, { namespace, labelSelector: 'podpass.test=yes' })
    const names = items.map(({ metadata }) => `${metadata.name} here`)
    expect([...witness.reflector.values()].sort()).toEqual(names.sort())
    expect(names).toHaveLength(Math.ceil(state.written / 2) + 1)
    for (const [name, notes] of witness.told) {
      const isOdd = Number(name.slice(1)) % 2 === 1
      expect([name, notes]).toEqual([name, isOdd ? ['here', 'gone'] : ['here']])
    }
  },
)

test('a version that etcd has compacted brings a new list, with an end for everything that has gone', async () => {
  for (const name of ['kept', 'changed', 'deleted', 'replaced']) await write(name, '1')
  const { port, claim } = await claimPort()
  opening(claim)
  const target = Number(new URL(config.server).port)
  let proxy = await StallingProxy.start(target, port)
  const behindProxy = opening(new KubernetesClient({ ...config, server: `https://127.0.0.1:${port}` }))
  const witness = new Witness({ client: behindProxy })
  await witness.reflector.synced

  await proxy.close()
  await until('trouble', () => witness.troubles.length > 0)
  await write('changed', '2')
  await remove('deleted')
  await remove('replaced')
  await write('replaced', '2')
  await write('new', '2')
  const { resourceVersion } = await client.list(configMaps, { namespace })
  await compact(controlPlane.access.etcdEndpoint, resourceVersion)
  // Its cache still knows what etcd has forgotten.
  await controlPlane.stopApiServer('SIGKILL')
  await controlPlane.startApiServer()
  const expired = await collect(client.watch(configMaps, { namespace, resourceVersion: '1' }))
  expect(expired).toMatchObject({ status: 410, reason: 'Expired' })

  proxy = opening(await StallingProxy.start(target, port))
  await expect
    .poll(() => witness.story(), { timeout: 60_000 })
    .toEqual({ kept: ['1'], changed: ['1', '2'], deleted: ['1', 'gone'], replaced: ['1', 'gone', '2'], new: ['2'] })
  await write('kept', '3')
  await expect.poll(() => witness.told.get('kept')).toEqual(['1', '3'])
})

test('a list whose later pages etcd has compacted is still complete', async () => {
  for (const name of ['a', 'b', 'c']) await write(name, '1')
  const pages = client.pages(configMaps, { namespace, labelSelector: 'podpass.test=yes', limit: 1 })
  expect((await pages.next()).value?.items[0]?.metadata.name).toBe('a')
  await write('a', '2')
  const { resourceVersion } = await client.list(configMaps, { namespace })
  await compact(controlPlane.access.etcdEndpoint, resourceVersion)
  await controlPlane.stopApiServer('SIGKILL')
  await controlPlane.startApiServer()
  await expect(pages.next()).rejects.toMatchObject({ status: 410 })

  // The same inside of a reflector, which has to find its own way out of it.
  let isFirst = true
  const witness = new Witness({
    streamingList: false,
    pageSize: 1,
    client: {
      watch: (resource, options) => client.watch(resource, options),
      async *pages(resource, options) {
        for await (const page of client.pages(resource, options)) {
          yield page
          if (!isFirst) continue
          isFirst = false
          await write('b', '2')
          await compact(
            controlPlane.access.etcdEndpoint,
            (await client.list(configMaps, { namespace })).resourceVersion,
          )
          await controlPlane.stopApiServer('SIGKILL')
          await controlPlane.startApiServer()
        }
      },
    },
  })
  await witness.reflector.synced
  expect(witness.story()).toEqual({ a: ['2'], b: ['2'], c: ['1'] })
})

test('a connection that went silent is noticed, and the watch goes on by another', async () => {
  await write('a', '1')
  const proxy = opening(await StallingProxy.start(Number(new URL(config.server).port)))
  const server = `https://127.0.0.1:${proxy.port}`
  const behindProxy = opening(new KubernetesClient({ ...config, server }, { pingInterval: 200, pingTimeout: 2_000 }))
  const witness = new Witness({ client: behindProxy })
  await witness.reflector.synced
  proxy.stall()
  await write('a', '2')
  await write('b', '1')
  await expect.poll(() => witness.story(), { timeout: 30_000 }).toEqual({ a: ['1', '2'], b: ['1'] })
  expect(witness.troubles[0]).toMatch(/no sign of life for 2.2 s/)
  expect(proxy.connections).toBe(2)
})

/** Throws away what etcd knows from before a revision, through its JSON gateway. */
async function compact(endpoint: string, revision: string): Promise<void> {
  const answer = await new Promise<string>((resolve, reject) => {
    const call = request(`${endpoint}/v3/kv/compaction`, { method: 'POST' }, (response) => {
      text(response).then((body) => (response.statusCode === 200 ? resolve(body) : reject(new Error(body))), reject)
    })
    call.on('error', reject)
    call.end(JSON.stringify({ revision, physical: true }))
  })
  expect(answer).toContain('header')
}

/** The error that a watch ends with. */
async function collect(watch: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const event of watch) return event
    return 'ended'
  } catch (error) {
    return error
  }
}
