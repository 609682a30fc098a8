import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { nodeMounts, nodePath } from './node.ts'
import { createPod, deletePod, type Pod, runPod } from './pod.ts'
import { until } from './until.ts'

// Restarts are free: the driver is killed with -9 at every step of a certificate's way, and started again.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'crash'
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
/** Renewed 10 to 20 seconds after it was issued. */
const shortLived = { ...attributes, 'csi.cert-manager.io/duration': '2m', 'csi.cert-manager.io/renew-before': '100s' }

let driver: DriverProcess

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster)
})

afterAll(() => driver?.stop())

/** Starts the driver so that it is killed at a step (kill-at.cjs). */
async function startToDie(step: string): Promise<void> {
  await driver.stop()
  const preload = `--require=${join(import.meta.dirname, 'kill-at.cjs')}`
  await driver.start({ NODE_OPTIONS: preload, PODPASS_TEST_KILL_AT: step })
}

async function requests(): Promise<readonly string[]> {
  const names = await kubectl(controlPlane, ['get', 'certificaterequests', '-n', namespace, '-o', 'name'])
  return names.split('\n').filter((name) => name !== '')
}

async function expectWhole(pod: Pod): Promise<string> {
  const { leaf, key } = await readMountedCertificate(controlPlane, pod, '/tls')
  expect(leaf.checkPrivateKey(key)).toBe(true)
  return leaf.serialNumber
}

/** What a volume has left on the node, once its requests are gone. */
async function leftovers(): Promise<readonly string[]> {
  await until('every request to be gone', async () => (await requests()).length === 0)
  const folders = await readdir(nodePath(node, join(driverPaths.dataRoot, 'volumes')))
  const mounts = await nodeMounts(node)
  return [...folders, ...mounts.filter((mount) => mount.includes('podpass/data/volumes'))]
}

describe.each([
  ['the key is stored', 'before rename /pending/key.pem 1'],
  ['the request is created', 'after rename /pending/request.json 1'],
  ['what the API server answered is stored', 'before rename /pending/request.json 2'],
  ['the files are swapped', 'before rename /..data 1'],
  ['the certificate is recorded', 'after rename /..data 1'],
])('killed during a first publish, before %s', (_before, step) => {
  test('the pod gets its certificate from the one request that there is', async () => {
    await startToDie(step)
    const pod = await createPod(cluster, {
      namespace,
      name: 'published',
      volumes: { tls: { driver: driverName, attributes } },
    })
    await driver.ended()
    await driver.start()
    await kubectl(controlPlane, [
      'wait',
      'pod',
      'published',
      '-n',
      namespace,
      '--for=condition=Ready',
      '--timeout=150s',
    ])
    await expectWhole(pod)
    expect(await requests()).toHaveLength(1)
    await deletePod(controlPlane, pod)
    expect(await leftovers()).toEqual([])
  })
})

describe.each([
  ['the request is created', 'after rename /pending/request.json 1'],
  ['the files are swapped', 'before rename /..data 1'],
])('killed during a renewal, before %s', (_before, step) => {
  test('the pod keeps a whole pair and gets the next one', async () => {
    await driver.stop()
    await driver.start()
    const pod = await runPod(cluster, {
      namespace,
      name: 'renewed',
      volumes: { tls: { driver: driverName, attributes: shortLived } },
    })
    const serial = await expectWhole(pod)
    await startToDie(step)
    await driver.ended()
    await expectWhole(pod)
    await driver.start()
    await until('the renewed certificate to reach the pod', async () => (await expectWhole(pod)) !== serial)
    await deletePod(controlPlane, pod)
    expect(await leftovers()).toEqual([])
  })
})

test('killed during an unpublish, the pod still goes and nothing is left', async () => {
  await driver.stop()
  await driver.start()
  const pod = await runPod(cluster, {
    namespace,
    name: 'unpublished',
    volumes: { tls: { driver: driverName, attributes } },
  })
  await startToDie('before unlink /state.json 1')
  const deleted = deletePod(controlPlane, pod)
  await driver.ended()
  await driver.start()
  await deleted
  expect(await leftovers()).toEqual([])
})
