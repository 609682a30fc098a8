import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { VolumeReport } from '../../src/driver/volume-report.ts'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { createCaIssuer } from './cert-manager.ts'
import { claimPort } from './claim.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { type MountedCertificate, readContainerCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, kubeletRoot, nodeMounts, nodePath, restartKubelet } from './node.ts'
import {
  containerOf,
  deletePod,
  killContainer,
  type Pod,
  runningContainers,
  runPod,
  targetOf,
  volumeIdOf,
} from './pod.ts'
import { until } from './until.ts'

// The memory of volumes is gone: all of it in a reboot, or that of one volume, unmounted by somebody under a running pod.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'reboot'
const volumes = join(driverPaths.dataRoot, 'volumes')
const bootId = '/proc/sys/kernel/random/boot_id'
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
/** Renewed 10 to 20 seconds after it was issued. */
const shortLived = { ...attributes, 'csi.cert-manager.io/duration': '2m', 'csi.cert-manager.io/renew-before': '100s' }

const parts = new AsyncDisposableStack()
let metrics: string
let driver: DriverProcess
const pods: Pod[] = []

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  const { port, claim } = await claimPort()
  parts.use(claim)
  metrics = `http://127.0.0.1:${port}/metrics`
  driver = await DriverProcess.start(cluster, ['--volume-stats', `--metrics-bind-address=127.0.0.1:${port}`])
})

afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => deletePod(controlPlane, pod)))
  await until('nothing to be left on the node', async () => (await leftovers()).length === 0)
})

afterAll(async () => {
  await driver?.stop()
  await parts.disposeAsync()
})

/** A pod that runs, with its container and the certificate that it has. */
async function start(name: string, volumeAttributes: Readonly<Record<string, string>> = attributes) {
  const pod = await runPod(cluster, {
    namespace,
    name,
    volumes: { tls: { driver: driverName, attributes: volumeAttributes } },
  })
  pods.push(pod)
  const container = await containerOf(controlPlane, pod)
  const before = serialOf(await readContainerCertificate(node, container, '/tls'))
  return { pod, id: volumeIdOf(pod, 'tls'), target: targetOf(pod, 'tls'), container, before }
}

type Volume = Awaited<ReturnType<typeof start>>

function serialOf({ leaf, key }: MountedCertificate): string {
  expect(leaf.checkPrivateKey(key)).toBe(true)
  return leaf.serialNumber
}

/** What the very container sees that the test began with. */
async function seenBy({ container }: Volume): Promise<string> {
  return serialOf(await readContainerCertificate(node, container, '/tls'))
}

async function renewedFor(volume: Volume, before: string): Promise<string> {
  return until('the renewed certificate to reach the container', async () => {
    const serial = await seenBy(volume)
    return serial !== before && serial
  })
}

/** Unmounts as somebody would who tidies up: the mount is gone from the node at once, whoever still uses it. */
async function unmount(path: string): Promise<void> {
  await execOnNode(node, 'umount', '--lazy', path)
}

/** Has the kubelet publish its volumes again, and waits for the answer. */
async function republish({ id }: Volume): Promise<void> {
  const seen = driver.log.length
  await restartKubelet(node)
  await driver.logged(
    ({ message, method, volume }) => message === 'call answered' && method === 'NodePublishVolume' && volume === id,
    seen,
  )
}

/** Folders and mounts of volumes that the node has. */
async function leftovers(): Promise<readonly string[]> {
  const mounts = await nodeMounts(node)
  const folders = await readdir(nodePath(node, volumes))
  return [...folders, ...mounts.filter((path) => /podpass\/data\/volumes|kubernetes\.io~csi/.test(path))]
}

/** What the disk holds below the mount of a volume's memory, as seen from outside of the node's mount namespace. */
async function onDisk({ id }: Volume): Promise<readonly string[]> {
  return readdir(join(node.directory, 'kubelet', volumes.slice(kubeletRoot.length), id))
}

async function eventsOf({ pod }: Volume): Promise<string> {
  const selector = `involvedObject.name=${pod.name},reason=VolumeMemoryUnmounted`
  const path = 'jsonpath={.items[*].message}'
  return kubectl(controlPlane, ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', path])
}

async function losses(outcome: 'regained' | 'lost'): Promise<number> {
  const text = await (await fetch(metrics)).text()
  const line = new RegExp(`^podpass_volume_memory_losses_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm')
  return Number(line.exec(text)?.[1] ?? 0)
}

async function inspect({ id }: Volume): Promise<VolumeReport | undefined> {
  const reports = JSON.parse(await driver.ask('inspect', '--json')) as VolumeReport[]
  return reports.find(({ volumeId }) => volumeId === id)
}

async function conditionOf({ id, target }: Volume): Promise<unknown> {
  const client = new UnixClient(nodePath(node, driverPaths.socket))
  try {
    return (await client.call(Node.method.nodeGetVolumeStats, { volumeId: id, volumePath: target })).volumeCondition
  } finally {
    client.close()
  }
}

test('after a reboot a pod gets a new key under its old volume id, and what was left of others is cleaned up', async () => {
  const [stays, goes] = await Promise.all([start('stays'), start('goes')])
  await driver.kill9()
  // All that a reboot takes with it: the driver, the containers, every mount, the boot id.
  await execOnNode(
    node,
    'sh',
    '-c',
    `cat /proc/sys/kernel/random/uuid > /run/boot-id && mount --bind /run/boot-id ${bootId}`,
  )
  try {
    for (const { id, target } of [stays, goes]) {
      await unmount(target)
      await unmount(join(volumes, id))
      expect(await readdir(nodePath(node, join(volumes, id)))).toEqual([])
    }
    await kubectl(controlPlane, ['delete', 'pod', 'goes', '-n', namespace, '--force', '--grace-period=0'])
    for (const container of await runningContainers(node)) await killContainer(node, container).catch(() => {})
    await restartKubelet(node)
    await driver.start()

    const { pod } = stays
    const container = await until('another container to run', async () => {
      const now = await containerOf(controlPlane, pod)
      return now !== stays.container && (await runningContainers(node)).includes(now) && now
    })
    const after = await until('its certificate', () => readContainerCertificate(node, container, '/tls'))
    expect(serialOf(after)).not.toBe(stays.before)
    expect(await readdir(nodePath(node, volumes))).toEqual([stays.id])
    expect(await inspect(stays)).toMatchObject({ state: 'issued', shown: true })
    await deletePod(controlPlane, pod)
  } finally {
    await unmount(bootId)
    // What it writes from now on is of this boot again.
    await driver.kill9()
    await driver.start()
  }
})

describe('a volume whose private memory was unmounted under its running pod', () => {
  test('is renewed where its container sees it, and nothing is written to the disk', async () => {
    const volume = await start('renewing', shortLived)
    const regained = await losses('regained')
    await unmount(join(volumes, volume.id))
    expect(await conditionOf(volume)).toMatchObject({
      abnormal: true,
      message: expect.stringContaining('was unmounted by somebody') as string,
    })

    const second = await renewedFor(volume, volume.before)

    expect(await losses('regained')).toBe(regained + 1)
    await until('the pod to be told', async () => (await eventsOf(volume)).includes('are renewed there'))
    expect(await onDisk(volume)).toEqual([])
    await driver.kill9()
    await driver.start()
    await renewedFor(volume, second)
    expect(await onDisk(volume)).toEqual([])
  })

  test('is found through its mount at the next publish, which answers OK, and is renewed from then on', async () => {
    const volume = await start('published')
    await unmount(join(volumes, volume.id))

    await republish(volume)

    expect(await seenBy(volume)).toBe(volume.before)
    expect(await inspect(volume)).toMatchObject({ state: 'issued', shown: true, detached: false })
    await until('the pod to be told', async () => (await eventsOf(volume)).includes('are renewed there'))
    await driver.ask('renew', volume.id)
    await renewedFor(volume, volume.before)
    expect(await conditionOf(volume)).toMatchObject({ abnormal: false })
  })

  test('is found through its mount also by a driver that did not run at the time', async () => {
    const volume = await start('dead')
    await driver.kill9()
    await unmount(join(volumes, volume.id))
    await driver.start()

    await republish(volume)

    expect(await seenBy(volume)).toBe(volume.before)
    expect(await inspect(volume)).toMatchObject({ state: 'issued', shown: true, detached: false })
    await driver.ask('renew', volume.id)
    await renewedFor(volume, volume.before)
    expect(await onDisk(volume)).toEqual([])
  })

  test('and whose mount is gone too, tells by event, metric and condition that the pod must be restarted', async () => {
    const volume = await start('detached')
    const lost = await losses('lost')
    await unmount(volume.target)
    await unmount(join(volumes, volume.id))

    await republish(volume)

    await until('the pod to be told', async () => (await eventsOf(volume)).includes('restart the pod'))
    expect(await losses('lost')).toBe(lost + 1)
    expect(await conditionOf(volume)).toMatchObject({
      abnormal: true,
      message: expect.stringContaining('restart the pod') as string,
    })
    expect(await seenBy(volume)).toBe(volume.before)
    expect(await onDisk(volume)).toEqual([])

    // A container that starts from now on gets the new certificate.
    await killContainer(node, volume.container)
    const container = await until('another container to run', async () => {
      const now = await containerOf(controlPlane, volume.pod)
      return now !== volume.container && (await runningContainers(node)).includes(now) && now
    })
    const after = await until('its certificate', () => readContainerCertificate(node, container, '/tls'))
    expect(serialOf(after)).not.toBe(volume.before)
  })
})
