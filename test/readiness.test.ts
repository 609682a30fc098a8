import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { CsiDriverGuard } from '../src/driver/csi-driver-guard.ts'
import { readinessProblems } from '../src/driver/readiness.ts'
import { registrationSocket } from '../src/driver/registration.ts'
import { Registration } from '../src/gen/pluginregistration/api_pb.ts'
import { CertManagerIssuer } from '../src/issuer/cert-manager.ts'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import {
  answer,
  FaultyServer,
  makeTlsPair,
  type Received,
  type TlsPair,
} from '../src/kubernetes/fixtures/faulty-server.ts'
import { UnixClient } from '../src/runtime/grpc-client.ts'
import { silentLog } from '../src/runtime/log.ts'
import { type MetricsServer, serveMetrics } from '../src/runtime/metrics-server.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode } from './support/node.ts'

// What /readyz answers, asked over HTTP: each thing that keeps a driver from serving new volumes, and when it is over.

let pair: TlsPair
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  pair = await makeTlsPair('api')
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

function opening<T extends { close(): Promise<void> }>(thing: T): T {
  opened.push(thing)
  return thing
}

const name = 'csi.cert-manager.io'
const right = { podInfoOnMount: true, volumeLifecycleModes: ['Ephemeral'] }

/** An API server with at most one object, which refuses lists and watches where a test wants it. */
class WatchedApi {
  /** The CSIDriver object's spec; undefined where there is no such object. */
  csiDriver: object | undefined = right
  /** What lists and watches of a kind are answered with. */
  readonly refusals = new Map<string, number>()
  readonly #streams = new Map<string, Received>()
  #version = 5

  readonly respond = (request: Received): void => {
    const kind = /([a-z]+)\?/.exec(request.path)?.[1] ?? ''
    const refusal = this.refusals.get(kind)
    if (refusal !== undefined) {
      answer(request, refusal, { kind: 'Status', code: refusal, message: 'not now' })
      return
    }
    const resourceVersion = String(this.#version)
    if (!request.path.includes('watch=true')) {
      const items = kind === 'csidrivers' ? this.#objects() : []
      answer(request, 200, { metadata: { resourceVersion }, items })
      return
    }
    this.#streams.set(kind, request)
    request.stream.respond({ ':status': 200 })
    if (kind === 'csidrivers') for (const object of this.#objects()) tell(request, 'ADDED', object)
    const annotations = { 'k8s.io/initial-events-end': 'true' }
    tell(request, 'BOOKMARK', { metadata: { resourceVersion, annotations } })
  }

  /** Changes the CSIDriver object under the watch there is. */
  change(spec: object): void {
    this.csiDriver = spec
    this.#version += 1
    const watch = this.#streams.get('csidrivers')
    if (watch !== undefined) for (const object of this.#objects()) tell(watch, 'MODIFIED', object)
  }

  /** Ends the watch of a kind. */
  cut(kind: string): void {
    this.#streams.get(kind)?.stream.close()
  }

  #objects(): readonly object[] {
    const metadata = { name, uid: 'u', resourceVersion: String(this.#version) }
    return this.csiDriver === undefined ? [] : [{ metadata, spec: this.csiDriver }]
  }
}

function tell({ stream }: Received, type: string, object: object): void {
  stream.write(`${JSON.stringify({ type, object })}\n`)
}

/** A driver with all that its readiness depends on. */
async function start(options: { readonly api?: WatchedApi; readonly registers?: boolean } = {}) {
  const { api = new WatchedApi(), registers = false } = options
  const clock = new ManualClock()
  const apiServer = opening(await FaultyServer.start(pair, api.respond))
  const client = opening(new KubernetesClient(apiServer.config()))
  const guard = opening(new CsiDriverGuard(name, client, false, clock, silentLog))
  const needs = { useTokenRequest: false, isNeeded: () => true }
  const issuer = opening(new CertManagerIssuer({ client, nodeId: 'node-1', log: silentLog, clock, ...needs }))
  let node: TestNode | undefined
  const problems = (): Promise<readonly string[]> =>
    readinessProblems({
      driver: () => node?.driver,
      obstacle: () => guard.obstacle(),
      watches: [
        { what: 'certificate requests', outage: () => issuer.outage() },
        { what: 'CSIDriver objects', outage: () => guard.outage() },
      ],
      clock,
    })
  const metrics = await serveMetrics('127.0.0.1:0', new Registry(), silentLog, problems)
  opening(metrics as MetricsServer)
  const readyz = async (): Promise<string> => {
    const answered = await fetch(`http://127.0.0.1:${metrics?.port}/readyz`)
    return `${answered.status} ${(await answered.text()).trim()}`
  }
  const startNode = async (): Promise<TestNode> => {
    node = opening(await TestNode.start({}))
    if (registers) {
      await node.stopDriver()
      await node.startDriver({ registrationDirectory: node.folder })
    }
    return node
  }
  return { api, clock, readyz, startNode }
}

test('a driver is not ready before its socket is served, and ready from then on', async () => {
  const { readyz, startNode } = await start()
  await expect.poll(readyz).toBe('503 the socket is not served yet')
  await startNode()
  expect(await readyz()).toBe('200 ok')
})

test('a driver is not ready while the CSIDriver object has not been read', async () => {
  const api = new WatchedApi()
  api.refusals.set('csidrivers', 500)
  const { clock, readyz, startNode } = await start({ api })
  await startNode()
  await expect.poll(readyz).toMatch(/^503 the CSIDriver object csi.cert-manager.io has not been read yet: .*not now/)
  api.refusals.clear()
  clock.advance(45_000)
  await expect.poll(readyz).toBe('200 ok')
})

test('a driver without the right to read CSIDriver objects is ready', async () => {
  const api = new WatchedApi()
  api.refusals.set('csidrivers', 403)
  const { clock, readyz, startNode } = await start({ api })
  await startNode()
  await expect.poll(readyz).toBe('200 ok')
  clock.advance(3600_000)
  expect(await readyz()).toBe('200 ok')
})

test('a driver is not ready as long as the CSIDriver object is wrong or missing', async () => {
  const api = new WatchedApi()
  api.csiDriver = undefined
  const { readyz, startNode } = await start({ api })
  await startNode()
  await expect
    .poll(readyz)
    .toBe('503 there is no CSIDriver object csi.cert-manager.io; create it (deploy/driver/csidriver.yaml)')
  api.change({ ...right, podInfoOnMount: false })
  await expect.poll(readyz).toBe('503 the CSIDriver object csi.cert-manager.io must have podInfoOnMount: true')
  api.change(right)
  await expect.poll(readyz).toBe('200 ok')
})

test('a driver that registers itself is not ready until the kubelet has taken it', async () => {
  const { readyz, startNode } = await start({ registers: true })
  const { folder } = await startNode()
  await expect.poll(readyz).toBe('503 the kubelet has not registered this driver yet')
  const kubelet = new UnixClient(registrationSocket(folder, name))
  const notify = (pluginRegistered: boolean, error: string) =>
    kubelet.call(Registration.method.notifyRegistrationStatus, { pluginRegistered, error })
  await notify(false, 'no such node')
  expect(await readyz()).toBe('503 the kubelet does not register this driver: no such node')
  await notify(true, '')
  expect(await readyz()).toBe('200 ok')
  kubelet.close()
})

test('a driver is not ready once its watch has failed for a minute, and tells since when and why', async () => {
  const { api, clock, readyz, startNode } = await start()
  await startNode()
  await expect.poll(readyz).toBe('200 ok')
  api.refusals.set('certificaterequests', 500)
  const since = new Date(clock.now()).toISOString()
  api.cut('certificaterequests')
  // The watch is tried again as the clock moves on; a failure of less than a minute is everyday life.
  for (let second = 0; second < 59; second++) {
    clock.advance(1000)
    expect(await readyz()).toBe('200 ok')
  }
  await expect
    .poll(async () => {
      clock.advance(1000)
      return readyz()
    })
    .toMatch(new RegExp(`^503 certificate requests have not been watched since ${since.slice(0, 16)}.*not now`))
  api.refusals.clear()
  await expect
    .poll(async () => {
      clock.advance(30_000)
      return readyz()
    })
    .toBe('200 ok')
})

test('a driver whose data root is gone, or another one, is not ready', async () => {
  const { readyz, startNode } = await start()
  const { folder } = await startNode()
  const dataRoot = join(folder, 'data')
  await expect.poll(readyz).toBe('200 ok')
  await rename(dataRoot, `${dataRoot}.away`)
  expect(await readyz()).toMatch(new RegExp(`^503 the data root ${dataRoot} cannot be used: ENOENT`))
  await mkdir(dataRoot)
  expect(await readyz()).toMatch(/cannot be used: ENOENT/)
  await writeFile(join(dataRoot, 'lock'), '')
  expect(await readyz()).toBe(`503 the data root ${dataRoot} is another folder than at the start: restart the driver`)
  await rename(dataRoot, `${dataRoot}.empty`)
  await rename(`${dataRoot}.away`, dataRoot)
  expect(await readyz()).toBe('200 ok')
})

test.skipIf(process.geteuid?.() === 0)('a driver that may not write to its data root is not ready', async () => {
  const { readyz, startNode } = await start()
  const { folder } = await startNode()
  await expect.poll(readyz).toBe('200 ok')
  await chmod(join(folder, 'data'), 0o500)
  expect(await readyz()).toMatch(/^503 the data root .* cannot be used: EACCES/)
  await chmod(join(folder, 'data'), 0o700)
})

test('everything that is wrong is told, a line each', async () => {
  const api = new WatchedApi()
  api.csiDriver = { ...right, podInfoOnMount: false }
  const { readyz } = await start({ api })
  await expect
    .poll(readyz)
    .toBe('503 the socket is not served yet\nthe CSIDriver object csi.cert-manager.io must have podInfoOnMount: true')
})
