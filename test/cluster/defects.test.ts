import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, kubeletRoot, nodeMounts, nodePath } from './node.ts'
import { createPod, type Pod } from './pod.ts'
import { until } from './until.ts'

// Defects of the Go csi-driver that only a real API server shows, on the socket of the built driver.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'defects'

let driver: DriverProcess
let client: UnixClient
let owner: Pod

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  // A pod that waits for a volume that no driver serves: the garbage collector leaves requests alone whose owner is there.
  const volumes = { tls: { driver: 'nobody.example', attributes: {} } }
  owner = await createPod(cluster, { namespace, name: 'owner', volumes })
  driver = await DriverProcess.start(cluster)
  client = new UnixClient(nodePath(node, driverPaths.socket))
})

afterAll(async () => {
  client?.close()
  await driver?.stop()
})

/** A volume of the owner, as a kubelet names it. */
interface Volume {
  readonly id: string
  readonly target: string
}

async function newVolume(): Promise<Volume> {
  const id = `csi-${createHash('sha256').update(randomUUID()).digest('hex')}`
  const target = join(kubeletRoot, 'pods', owner.uid, 'volumes', 'kubernetes.io~csi', id, 'mount')
  await mkdir(dirname(nodePath(node, target)), { recursive: true })
  return { id, target }
}

async function publish({ id, target }: Volume, issuerGroup: string): Promise<void> {
  await client.call(Node.method.nodePublishVolume, {
    volumeId: id,
    targetPath: target,
    volumeCapability: { accessType: { case: 'mount', value: {} }, accessMode: { mode: 1 } },
    volumeContext: {
      'csi.storage.k8s.io/ephemeral': 'true',
      'csi.storage.k8s.io/pod.name': owner.name,
      'csi.storage.k8s.io/pod.namespace': namespace,
      'csi.storage.k8s.io/pod.uid': owner.uid,
      'csi.storage.k8s.io/serviceAccount.name': 'default',
      'csi.cert-manager.io/issuer-name': 'ca-issuer',
      'csi.cert-manager.io/issuer-group': issuerGroup,
      'csi.cert-manager.io/key-algorithm': 'ECDSA',
      'csi.cert-manager.io/dns-names': 'web.example',
    },
    readonly: true,
  })
}

async function unpublish({ id, target }: Volume): Promise<void> {
  await client.call(Node.method.nodeUnpublishVolume, { volumeId: id, targetPath: target })
}

async function requests(): Promise<readonly string[]> {
  const names = await kubectl(controlPlane, ['get', 'certificaterequests', '-n', namespace, '-o', 'name'])
  return names.split('\n').filter((name) => name !== '')
}

/** All ids of volumes and requests that stand in the strings of a heap snapshot. */
async function idsIn(snapshot: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  let rest = ''
  for await (const part of createReadStream(snapshot, 'latin1')) {
    const text = rest + (part as string)
    for (const [id] of text.matchAll(/csi-[0-9a-f]{64}|podpass-[0-9a-f]{32}/g)) found.add(id)
    rest = text.slice(-100)
  }
  return found
}

test('defect 7, deleted requests stay in memory: after 1,000 of them the driver remembers none but the last few', async () => {
  const folder = join(node.directory, 'heap')
  await mkdir(folder)
  await driver.stop()
  // The node's directory has the same path on the node as here.
  await driver.start({ NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}` })
  const gone: Volume[] = []
  const publishAll = async (count: number, issuerGroup: string) => {
    const volumes = await Promise.all(Array.from({ length: count }, () => newVolume()))
    gone.push(...volumes)
    return { volumes, answers: Promise.allSettled(volumes.map((volume) => publish(volume, issuerGroup))) }
  }
  for (let rounds = 0; rounds < 5; rounds++) {
    const { volumes, answers } = await publishAll(20, 'cert-manager.io')
    await answers
    await Promise.all(volumes.map((volume) => unpublish(volume)))
  }
  // Nobody answers these, so they are deleted while they wait.
  for (let rounds = 0; rounds < 9; rounds++) {
    const { volumes, answers } = await publishAll(100, 'nobody.example')
    await until('the requests', async () => (await requests()).length >= volumes.length)
    await Promise.all(volumes.map((volume) => unpublish(volume)))
    await answers
  }
  await until('every request to be gone', async () => (await requests()).length === 0)

  const live = await newVolume()
  await publish(live, 'cert-manager.io')
  process.kill(driver.pid, 'SIGUSR2')
  const name = await until('the heap snapshot', async () =>
    (await readdir(folder)).find((file) => file.endsWith('.heapsnapshot')),
  )
  // The signal is handled between two turns of the event loop, so whoever is answered next finds it written.
  await unpublish(live)
  const remembered = await idsIn(join(folder, name))
  expect(remembered).toContain(live.id)
  expect(gone).toHaveLength(1000)
  expect(gone.filter(({ id }) => remembered.has(id)).length).toBeLessThan(gone.length / 20)
  expect(remembered.size).toBeLessThan(gone.length / 10)
}, 400_000)

test('defect 12, a stop waits for calls: SIGTERM answers all that wait, and the process ends in order', async () => {
  await driver.stop()
  await driver.start()
  client.close()
  client = new UnixClient(nodePath(node, driverPaths.socket))
  const volumes = await Promise.all(Array.from({ length: 20 }, () => newVolume()))
  const before = driver.log.length
  const answers = Promise.allSettled(volumes.map((volume) => publish(volume, 'nobody.example')))
  await until('the requests', async () => (await requests()).length === volumes.length)
  await driver.stop()
  const told = { code: status.UNAVAILABLE, details: 'the driver is stopping' }
  expect(await answers).toEqual(
    volumes.map(() => expect.objectContaining({ reason: expect.objectContaining(told) as unknown }) as unknown),
  )
  expect(driver.log.slice(before).some(({ message }) => message === 'stopping')).toBe(true)

  await driver.start()
  client.close()
  client = new UnixClient(nodePath(node, driverPaths.socket))
  await Promise.all(volumes.map((volume) => unpublish(volume)))
  await until('every request to be gone', async () => (await requests()).length === 0)
  const ids = new Set(volumes.map(({ id }) => id))
  expect((await nodeMounts(node)).filter((path) => path.split('/').some((part) => ids.has(part)))).toEqual([])
  expect(await execOnNode(node, 'ls', join(driverPaths.dataRoot, 'volumes'))).toBe('')
})
