import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KubernetesClient } from '../kubernetes/client.ts'
import { answer, FaultyServer, makeTlsPair, type Responder } from '../kubernetes/fixtures/faulty-server.ts'
import { apiPodMetadata, PodGoneError, PodUnreadableError, referencedMetadata } from './pod-metadata.ts'

describe('the labels and annotations that attributes refer to', () => {
  const prefix = 'csi.cert-manager.io/'

  test('are found in all attributes that expand, each once, under either spelling', () => {
    expect(
      referencedMetadata({
        [`${prefix}dns-names`]: "${POD_LABELS['a']}.x,${POD_LABELS['example.com/b']}${POD_ANNOTATIONS['c']}",
        [`${prefix}literal-subject`]: "CN=\\24{POD_LABELS['a']}",
        [`${prefix}email-addresses`]: "${POD_LABELS['d']}@example.com",
      }),
    ).toEqual({ labels: ['a', 'example.com/b', 'd'], annotations: ['c'] })
  })

  test('are none elsewhere', () => {
    expect(
      referencedMetadata({
        [`${prefix}dns-names`]: '${POD_NAME}',
        [`${prefix}ip-sans`]: "${POD_LABELS['a']}",
        [`${prefix}issuer-name`]: "${POD_LABELS['a']}",
        'example.com/annotation': "${POD_LABELS['a']}",
        'csi.storage.k8s.io/pod.name': "${POD_LABELS['a']}",
      }),
    ).toBeUndefined()
  })
})

const pod = { namespace: 'sandbox', name: 'web-0', uid: 'u', serviceAccount: 'web' }
const keys = { labels: ['app', 'nope'], annotations: ['owner'] }

let server: FaultyServer
let client: KubernetesClient

beforeAll(async () => {
  server = await FaultyServer.start(await makeTlsPair('server'), () => {})
  client = new KubernetesClient(server.config())
})

afterAll(async () => {
  await client.close()
  await server.close()
})

function read(respond: Responder, timeout = 60_000, signal = new AbortController().signal): Promise<unknown> {
  server.respond = respond
  return apiPodMetadata(client).read(pod, keys, timeout, signal)
}

async function problem(respond: Responder, timeout?: number, signal?: AbortSignal): Promise<unknown> {
  return read(respond, timeout, signal).catch((error: unknown) => error)
}

function status(code: number, reason: string): Responder {
  return (request) => answer(request, code, { kind: 'Status', code, reason, message: `it is ${reason}` })
}

test('only what is asked for is read of the pod, and nothing of its spec', async () => {
  const metadata = {
    name: 'web-0',
    namespace: 'sandbox',
    uid: 'u',
    labels: { app: 'web', other: 'x' },
    annotations: { owner: '' },
  }
  const found = await read((request) => answer(request, 200, { metadata }))
  expect(found).toEqual({ labels: { app: 'web' }, annotations: { owner: '' } })
  const [request] = server.received.slice(-1)
  expect(request?.path).toBe('/api/v1/namespaces/sandbox/pods/web-0')
  expect(request?.headers.accept).toContain('PartialObjectMetadata')
})

test('a pod without labels and annotations has none', async () => {
  const metadata = { name: 'web-0', uid: 'u' }
  expect(await read((request) => answer(request, 200, { metadata }))).toEqual({ labels: {}, annotations: {} })
})

test('a pod that is gone, and another of its name, are final errors', async () => {
  const gone = await problem(status(404, 'NotFound'))
  expect(gone).toBeInstanceOf(PodGoneError)
  expect(String(gone)).toContain('labels and annotations of pod sandbox/web-0 cannot be read, since it is gone')
  const other = await problem((request) =>
    answer(request, 200, { metadata: { name: 'web-0', uid: 'other', labels: { app: 'evil' } } }),
  )
  expect(other).toBeInstanceOf(PodGoneError)
  expect(String(other)).toContain('pod sandbox/web-0 is another one by now (its uid is other, not u)')
})

test('a missing right can be mended, and the text says how', async () => {
  const forbidden = await problem(status(403, 'Forbidden'))
  expect(forbidden).toBeInstanceOf(PodUnreadableError)
  expect(String(forbidden)).toContain("the driver's service account needs the right to get pods")
})

test('an API server that fails, or does not answer, can be asked again', async () => {
  const failing = await problem(status(500, 'InternalError'))
  expect(failing).toBeInstanceOf(PodUnreadableError)
  expect(String(failing)).toContain('it is InternalError')
  expect(await problem(() => {}, 50)).toBeInstanceOf(PodUnreadableError)
  // A deadline that has passed already.
  expect(await problem(() => {}, -1)).toBeInstanceOf(PodUnreadableError)
})

test('who waits is answered with the reason why the wait ends', async () => {
  const ending = new AbortController()
  const waiting = problem(() => ending.abort(new Error('the driver is stopping')), 60_000, ending.signal)
  expect(await waiting).toBeInstanceOf(PodUnreadableError)
  expect(String(await waiting)).toContain('the driver is stopping')
})
