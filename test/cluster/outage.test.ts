import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { VolumeReport } from '../../src/driver/volume-report.ts'
import { CertManager, createCaIssuer } from './cert-manager.ts'
import type { ClusterAccess } from './cluster.ts'
import { ControlPlane } from './control-plane.ts'
import { DriverProcess, driverName, driverPaths, installDriver, isRegistered, isServing } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { type MountedCertificate, readContainerCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { Node, nodeMounts, nodePath } from './node.ts'
import { containerOf, createPod, deletePod, type Pod, type PodSpec, runningContainers, runPod } from './pod.ts'
import { checkPrerequisites } from './prerequisites.ts'
import { until } from './until.ts'

// The API server, or cert-manager, is away at every phase of a volume's life. What runs goes on, what waits is done by itself once
// they are back, and nothing is asked for twice. This cluster is the file's own, since it does without its API server.

const namespace = 'outage'
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
/** Renewed 10 to 20 seconds after it was issued. */
const shortLived = { ...attributes, 'csi.cert-manager.io/duration': '2m', 'csi.cert-manager.io/renew-before': '100s' }

const parts = new AsyncDisposableStack()
let controlPlane: ControlPlane
let certManager: CertManager
let cluster: ClusterAccess
let driver: DriverProcess
const pods: Pod[] = []

beforeAll(async () => {
  controlPlane = parts.use(await ControlPlane.start())
  const node = parts.use(await Node.start(controlPlane.access, await checkPrerequisites()))
  certManager = parts.use(await CertManager.start(controlPlane.access, console.error))
  cluster = { controlPlane: controlPlane.access, node: node.access }
  await createNamespace(cluster.controlPlane, namespace)
  await createCaIssuer(cluster.controlPlane, namespace, 'ca-issuer')
  await installDriver(cluster.controlPlane)
  driver = await DriverProcess.start(cluster, ['--publish-timeout=5s'])
})

afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => deletePod(cluster.controlPlane, pod)))
  await until('every request to be gone', async () => (await requests()).length === 0)
})

afterAll(async () => {
  await driver?.stop()
  await parts.disposeAsync()
})

function podWith(name: string, volumeAttributes: Readonly<Record<string, string>>): PodSpec {
  return { namespace, name, volumes: { tls: { driver: driverName, attributes: volumeAttributes } } }
}

/** Cuts the API server's connections, and starts it again after some work. */
async function withoutApiServer(work: () => Promise<unknown>): Promise<void> {
  await controlPlane.stopApiServer('SIGKILL')
  try {
    await work()
  } finally {
    driver.resume()
    await controlPlane.startApiServer()
  }
}

/** A pod that runs, and what can be looked into without an API server: its container. */
async function start(name: string, volumeAttributes: Readonly<Record<string, string>>) {
  const pod = await runPod(cluster, podWith(name, volumeAttributes))
  pods.push(pod)
  const container = await containerOf(cluster.controlPlane, pod)
  const read = (): Promise<MountedCertificate> => readContainerCertificate(cluster.node, container, '/tls')
  return { pod, container, read, before: serialOf(await read()) }
}

/** A pod that the kubelet knows and that waits for its volume. */
async function wait(name: string): Promise<Pod> {
  const pod = await createPod(cluster, podWith(name, attributes))
  pods.push(pod)
  const known = ['wait', 'pod', name, '-n', namespace, '--for=jsonpath={.status.startTime}', '--timeout=60s']
  await kubectl(cluster.controlPlane, known)
  return pod
}

async function ready({ name }: Pod): Promise<void> {
  await kubectl(cluster.controlPlane, ['wait', 'pod', name, '-n', namespace, '--for=condition=Ready', '--timeout=150s'])
}

function serialOf({ leaf, key }: MountedCertificate): string {
  expect(leaf.checkPrivateKey(key)).toBe(true)
  return leaf.serialNumber
}

/** The UIDs of the certificate requests that there are. */
async function requests(): Promise<readonly string[]> {
  const path = 'jsonpath={.items[*].metadata.uid}'
  const listed = await kubectl(cluster.controlPlane, ['get', 'certificaterequests', '-n', namespace, '-o', path])
  return listed.split(' ').filter((uid) => uid !== '')
}

async function inspect(pod: Pod): Promise<VolumeReport> {
  const volumes = JSON.parse(await driver.ask('inspect', '--json')) as VolumeReport[]
  const found = volumes.find((volume) => volume.pod?.uid === pod.uid)
  if (found === undefined) throw new Error(`the driver knows no volume of pod ${pod.name}`)
  return found
}

async function renewed(volume: { readonly read: () => Promise<MountedCertificate>; readonly before: string }) {
  const isNew = async (): Promise<boolean> => serialOf(await volume.read()) !== volume.before
  // Who signs has to find back to the API server, too.
  await until('the renewed certificate to reach the container', isNew, { timeout: 150_000 })
}

describe('without an API server', () => {
  test('a first publish fails, and succeeds by itself once the server is back, with one request', async () => {
    const seen = driver.log.length
    driver.pause()
    const pod = await wait('first')
    await withoutApiServer(async () => {
      driver.resume()
      await driver.logged(({ message, pod }) => message === 'issuance failed' && pod === `${namespace}/first`, seen)
      await driver.logged(({ message, code }) => message === 'call refused' && code === 'UNAVAILABLE', seen)
    })
    await ready(pod)
    expect(await requests()).toHaveLength(1)
  })

  test('a request that was created waits for its answer, and is not created again', async () => {
    await certManager.stopController()
    const pod = await wait('answer')
    const [created] = await until('the request', async () => {
      const found = await requests()
      return found.length > 0 && found
    })
    const seen = driver.log.length
    await withoutApiServer(() =>
      driver.logged(({ message }) => message.startsWith('certificate requests cannot be watched'), seen),
    )
    await certManager.startController()

    await ready(pod)
    expect(await requests()).toEqual([created])
  })

  test('a container keeps its pair while renewal fails, and gets the next one once the server is back', async () => {
    const volume = await start('renewal', shortLived)
    const seen = driver.log.length
    await withoutApiServer(async () => {
      await driver.logged(({ message }) => message === 'renewal failed', seen)
      expect(serialOf(await volume.read())).toBe(volume.before)
      expect((await inspect(volume.pod)).lastError).toMatch(/cannot be created: .*ECONNREFUSED/)
    })
    await renewed(volume)
    await until('the superseded request to be gone', async () => (await requests()).length === 1)
    expect(driver.log.slice(seen).filter(({ message }) => message === 'certificate renewed')).toHaveLength(1)
  })

  test('a pod that is deleted leaves nothing on its node, and no request once the server is back', async () => {
    const { pod, container } = await start('unpublish', attributes)
    driver.pause()
    const { name } = pod
    await kubectl(cluster.controlPlane, ['delete', 'pod', name, '-n', namespace, '--wait=false'])
    await until('its container to be gone', async () => !(await runningContainers(cluster.node)).includes(container))
    await withoutApiServer(async () => {
      driver.resume()
      await until('its mounts to be gone', async () => (await mounts()).length === 0)
      const folder = nodePath(cluster.node, join(driverPaths.dataRoot, 'volumes'))
      await until('its folder to be gone', async () => (await readdir(folder)).length === 0)
    })
    await until('the request to be gone', async () => (await requests()).length === 0)
    expect(await mounts()).toEqual([])
  })

  test('a driver that starts takes up what is there, and is registered and renews once the server is back', async () => {
    const [steady, renewing] = await Promise.all([start('steady', attributes), start('renewing', shortLived)])
    const requestsBefore = await requests()
    let seen = 0
    await withoutApiServer(async () => {
      await driver.kill9()
      seen = driver.log.length
      await driver.start({}, isServing)
      const report = await inspect(steady.pod)
      expect(report).toMatchObject({ state: 'issued', shown: true })
      expect(report.lastError).toBeUndefined()
      expect(serialOf(await steady.read())).toBe(steady.before)
      await driver.logged(({ message }) => message === 'renewal failed', seen)
      expect(serialOf(await renewing.read())).toBe(renewing.before)
    })
    await renewed(renewing)
    await driver.logged(isRegistered, seen, 150_000)
    expect(serialOf(await steady.read())).toBe(steady.before)
    expect(driver.log.slice(seen).filter(({ message }) => message === 'certificate issued')).toEqual([])
    expect((await requests()).filter((uid) => requestsBefore.includes(uid))).toHaveLength(1)
  })
})

test('an API server that hangs holds up a renewal and breaks nothing', async () => {
  const volume = await start('hanging', shortLived)
  controlPlane.pauseApiServer()
  try {
    await until('the renewal to be under way', async () => (await inspect(volume.pod)).state === 'renewing')
    expect(serialOf(await volume.read())).toBe(volume.before)
  } finally {
    controlPlane.resumeApiServer()
  }
  await renewed(volume)
  await until('the superseded request to be gone', async () => (await requests()).length === 1)
})

test("without cert-manager's controllers pods are told what they wait for, and what waits is done once they are back", async () => {
  const volume = await start('kept', shortLived)
  await certManager.stopController()
  const pod = await wait('waiting')
  const told = await until('the pod to be told', async () => {
    const selector = 'involvedObject.name=waiting,reason=CertificatePending'
    const path = 'jsonpath={.items[*].message}'
    const events = ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', path]
    return (await kubectl(cluster.controlPlane, events)) || undefined
  })
  expect(told).toMatch(/CertificateRequest outage\/podpass-[0-9a-f]{32}: .*The request is kept/)
  await until('the renewal to be under way', async () => (await inspect(volume.pod)).state === 'renewing')
  expect(serialOf(await volume.read())).toBe(volume.before)

  await certManager.startController()

  await Promise.all([ready(pod), renewed(volume)])
  await until('one request a pod', async () => (await requests()).length === 2)
})

async function mounts(): Promise<readonly string[]> {
  return (await nodeMounts(cluster.node)).filter((path) => /podpass\/data\/volumes|kubernetes\.io~csi/.test(path))
}
