import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverName, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { createPod, deletePod, type Pod, type PodSpec, runPod } from './pod.ts'
import { until } from './until.ts'

// Names made of the pod's labels and annotations, which the driver reads from the API server: the kubelet does not hand them over.

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'variables'

const names = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/common-name': "${POD_ANNOTATIONS['example.com/owner']}",
  'csi.cert-manager.io/dns-names': "${POD_LABELS['app.kubernetes.io/name']}.${POD_NAMESPACE}.svc",
  'csi.cert-manager.io/uri-sans':
    "spiffe://cluster.local/app/${POD_LABELS['app.kubernetes.io/name']}/${POD_ANNOTATIONS['example.com/owner']},spiffe://cluster.local/node/${NODE_NAME}",
}
const spec = {
  namespace,
  labels: { 'app.kubernetes.io/name': 'shop' },
  annotations: { 'example.com/owner': 'Night shift, B' },
  volumes: { tls: { driver: driverName, attributes: names } },
} satisfies Omit<PodSpec, 'name'>
const sans = `DNS:shop.variables.svc, URI:spiffe://cluster.local/app/shop/Night%20shift%2C%20B, URI:spiffe://cluster.local/node/${cluster.node.name}`

let driver: DriverProcess
const running: Pod[] = []

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster)
})

afterEach(async () => {
  await Promise.all(running.splice(0).map((pod) => deletePod(controlPlane, pod)))
})

afterAll(async () => {
  await driver?.stop()
  // Whatever a test took from it, the driver's account has its rights again.
  await installDriver(controlPlane)
})

async function label(pod: Pod, value: string): Promise<void> {
  const change = ['--overwrite', `app.kubernetes.io/name=${value}`]
  await kubectl(controlPlane, ['label', 'pod', pod.name, '-n', namespace, ...change])
}

function eventsOf(pod: Pod): Promise<string> {
  const selector = `involvedObject.name=${pod.name}`
  const path = 'jsonpath={.items[*].message}'
  return kubectl(controlPlane, ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', path])
}

async function isReady(pod: Pod): Promise<void> {
  await kubectl(controlPlane, ['wait', 'pod', pod.name, '-n', namespace, '--for=condition=Ready', '--timeout=170s'])
}

function read(pod: Pod): Promise<MountedCertificate> {
  return readMountedCertificate(controlPlane, pod, '/tls')
}

test("a certificate has names of the pod's labels and annotations, and keeps them after the pod was relabelled", async () => {
  const shortLived = { 'csi.cert-manager.io/duration': '2m', 'csi.cert-manager.io/renew-before': '100s' }
  const attributes = { ...names, ...shortLived }
  const pod = await runPod(cluster, { ...spec, name: 'shop-0', volumes: { tls: { driver: driverName, attributes } } })
  running.push(pod)
  const before = await read(pod)
  expect(before.leaf.subject).toBe(String.raw`CN=Night shift\, B`)
  expect(before.leaf.subjectAltName?.replaceAll('"', '')).toBe(sans)

  await label(pod, 'bank')
  const newer = async (than: MountedCertificate): Promise<MountedCertificate | undefined> => {
    const now = await read(pod)
    return now.leaf.serialNumber === than.leaf.serialNumber ? undefined : now
  }
  const renewed = await until('a renewal', () => newer(before))
  expect(renewed.leaf.subjectAltName).toBe(before.leaf.subjectAltName)

  // What was read is stored, so a driver that starts again does not ask again.
  await driver.kill9()
  await driver.start()
  const again = await until('a renewal by another process', () => newer(renewed))
  expect(again.leaf.subjectAltName).toBe(before.leaf.subjectAltName)
  expect(again.leaf.subject).toBe(before.leaf.subject)
})

test('a pod whose label fits no name waits, is told why, and starts once the label was changed', async () => {
  const pod = await createPod(cluster, { ...spec, name: 'mislabelled', labels: { 'app.kubernetes.io/name': 'a.b' } })
  running.push(pod)
  await until('the kubelet to say what is wrong', async () =>
    (await eventsOf(pod)).includes(`the value "a.b" of POD_LABELS['app.kubernetes.io/name'] cannot stand here`),
  )
  await label(pod, 'shop')
  await isReady(pod)
  expect((await read(pod)).leaf.subjectAltName?.replaceAll('"', '')).toBe(sans)
})

test('without the right to get pods such a pod waits, is told so, and starts once the right is there; others start', async () => {
  const path = '--patch=[{"op":"test","path":"/rules/2/resources","value":["pods"]},{"op":"remove","path":"/rules/2"}]'
  await kubectl(controlPlane, ['patch', 'clusterrole', 'podpass-driver', '--type=json', path])
  const { 'csi.cert-manager.io/issuer-name': issuer } = names
  const plain = { 'csi.cert-manager.io/issuer-name': issuer, 'csi.cert-manager.io/dns-names': '${POD_NAME}.example' }
  running.push(
    await runPod(cluster, { namespace, name: 'plain', volumes: { tls: { driver: driverName, attributes: plain } } }),
  )
  const pod = await createPod(cluster, { ...spec, name: 'unread' })
  running.push(pod)
  await until('the kubelet to say what is missing', async () =>
    (await eventsOf(pod)).includes("the driver's service account needs the right to get pods"),
  )
  await installDriver(controlPlane)
  await isReady(pod)
  expect((await read(pod)).leaf.subjectAltName?.replaceAll('"', '')).toBe(sans)
})
