import { createHash, X509Certificate } from 'node:crypto'
import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest'
import { createCaIssuer, createSelfSignedIssuer } from './cert-manager.ts'
import { run } from './command.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate, verifyWithOpenssl } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, kubeletRoot, nodeMounts, nodePath, restartKubelet } from './node.ts'
import { createPod, deletePod, execInPod, type Pod, type PodSpec, runPod } from './pod.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'sandbox'

/** The volume of the first example that users see, whose CA issuer has the name it has there. */
const exampleAttributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
/** Renewed 10 to 20 seconds after it was issued (100 seconds and up to a tenth of them before its end), long before it ends. */
const shortLived = {
  ...exampleAttributes,
  'csi.cert-manager.io/duration': '2m',
  'csi.cert-manager.io/renew-before': '100s',
}

let driver: DriverProcess
let issuerCa: string
const running = new Map<string, Pod>()

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  issuerCa = await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster)
})

afterEach(async () => {
  await Promise.all([...running.values()].map((pod) => remove(pod)))
})

afterAll(async () => {
  await driver?.stop()
})

test('the container of a pod reads a key, a certificate with the names of the pod, and the CA that signed it', async () => {
  const pod = await start('my-csi-app', exampleAttributes)

  const { leaf, key, chainPem, caPem } = await read(pod)

  const name = 'my-csi-app.sandbox.svc.cluster.local'
  expect(leaf.subjectAltName).toBe(`DNS:${name}`)
  expect(leaf.checkPrivateKey(key)).toBe(true)
  expect(leaf.verify(new X509Certificate(issuerCa).publicKey)).toBe(true)
  expect(new X509Certificate(caPem).fingerprint256).toBe(new X509Certificate(issuerCa).fingerprint256)
  await verifyWithOpenssl(controlPlane.directory, chainPem, caPem, name)
  await expect(
    verifyWithOpenssl(controlPlane.directory, chainPem, caPem, 'other.sandbox.svc.cluster.local'),
  ).rejects.toThrow('mismatch')
})

test('the container cannot write to its volume', async () => {
  const pod = await start('reader', exampleAttributes)
  await expect(execInPod(controlPlane, pod, 'touch', '/tls/more')).rejects.toThrow('Read-only file system')
})

test('each of two pods has a key of its own', async () => {
  const [one, other] = await Promise.all([start('one', exampleAttributes), start('other', exampleAttributes)])
  const [first, second] = await Promise.all([read(one), read(other)])
  expect(publicKeyOf(first)).not.toBe(publicKeyOf(second))
  expect(second.leaf.checkPrivateKey(first.key)).toBe(false)
})

test("the private key is in its node's memory, on no disk and in no log", async () => {
  const pod = await start('secret', exampleAttributes)
  const [, secret = ''] = (await read(pod)).keyPem.split('\n')
  const grep = ['grep', '-rlF', '-D', 'skip', secret] as const

  expect(await execOnNode(node, ...grep, driverPaths.dataRoot)).toContain('tls.key')
  // Seen from outside of the node's mount namespace, its folders show what is on the disk below the mounts.
  for (const folder of [node.directory, join(controlPlane.directory, 'log')]) {
    await expect(run(grep[0], [...grep.slice(1), folder])).rejects.toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: '',
    })
  }
})

test('a pod that is deleted leaves nothing on the node and no request in the API', async () => {
  const [requestsBefore, foldersBefore] = [await requests(), await dataFolders()]
  const pod = await start('passing', exampleAttributes)
  expect((await mountsOf(pod)).length).toBeGreaterThan(0)
  expect(await requests()).not.toEqual(requestsBefore)

  await remove(pod)

  expect(await mountsOf(pod)).toEqual([])
  expect(await dataFolders()).toEqual(foldersBefore)
  await until("the pod's folder to be gone", async () => !(await exists(nodePath(node, podFolder(pod)))))
  await until('the request to be gone', async () => (await requests()).join() === requestsBefore.join())
})

test('a certificate is renewed under the running pod, with a new key that matches', async () => {
  const pod = await start('renewed', shortLived)
  const before = await read(pod)

  const after = await nextCertificate(pod, before)

  expect(after.leaf.checkPrivateKey(after.key)).toBe(true)
  expect(publicKeyOf(after)).not.toBe(publicKeyOf(before))
  await verifyWithOpenssl(controlPlane.directory, after.chainPem, issuerCa, 'renewed.sandbox.svc.cluster.local')
})

test('a driver that is killed and started again issues nothing anew, and the next renewal still reaches the pod', async () => {
  const [steady, renewing] = await Promise.all([start('steady', exampleAttributes), start('renewing', shortLived)])
  const [steadyBefore, renewingBefore] = await Promise.all([read(steady), read(renewing)])
  const requestsBefore = await requests()
  const seen = driver.log.length

  await driver.kill9()
  expect((await read(steady)).leaf.serialNumber).toBe(steadyBefore.leaf.serialNumber)
  await driver.start()
  const renewed = await nextCertificate(renewing, renewingBefore)

  expect(renewed.leaf.checkPrivateKey(renewed.key)).toBe(true)
  // It came when it was due, not when the driver came back.
  const due = renewingBefore.leaf.validToDate.getTime() - 110_000
  expect(renewed.leaf.validFromDate.getTime()).toBeGreaterThanOrEqual(due)
  expect((await read(steady)).leaf.serialNumber).toBe(steadyBefore.leaf.serialNumber)
  const issuedAnew = driver.log.slice(seen).filter(({ message }) => message === 'certificate issued')
  expect(issuedAnew).toEqual([])
  const requestOfSteady = requestsBefore.filter((request) => request.includes('steady'))
  expect((await requests()).filter((request) => request.includes('steady'))).toEqual(requestOfSteady)

  await remove(steady)
  expect(await mountsOf(steady)).toEqual([])
})

test('a kubelet that is restarted publishes its volumes again, and no certificate changes', async () => {
  const pod = await start('kept', exampleAttributes)
  const before = await read(pod)
  const requestsBefore = await requests()
  const seen = driver.log.length

  await restartKubelet(node)
  await driver.logged(
    ({ message, method, volume }) =>
      message === 'call answered' && method === 'NodePublishVolume' && volume === volumeIdOf(pod),
    seen,
  )

  const after = await until('the pod to be known again', () => read(pod))
  expect(after.leaf.serialNumber).toBe(before.leaf.serialNumber)
  expect(await requests()).toEqual(requestsBefore)
})

test('a pod that names a SelfSigned issuer does not run, its events say why, and it can be deleted', async () => {
  await createSelfSignedIssuer(controlPlane, namespace, 'self-signed')
  const attributes = { ...exampleAttributes, 'csi.cert-manager.io/issuer-name': 'self-signed' }
  const pod = await createPod(cluster, podWith('hopeless', attributes))
  running.set(pod.name, pod)

  const events = ['get', 'events', '-n', namespace, '--field-selector', `involvedObject.uid=${pod.uid}`, '-o', 'yaml']
  await until('an event', async () =>
    (await kubectl(controlPlane, events)).includes('a SelfSigned issuer cannot serve a volume'),
  )

  await remove(pod)
  expect(await mountsOf(pod)).toEqual([])
  await until('the requests to be gone', async () => !(await requests()).some((name) => name.includes('hopeless')))
})

test('the driver may make requests, and may not read secrets or pods', async () => {
  const may = (...what: readonly string[]): Promise<boolean> =>
    kubectl(controlPlane, ['auth', 'can-i', ...what, '-A', '--as=system:serviceaccount:podpass:podpass-driver']).then(
      () => true,
      () => false,
    )
  expect(await may('create', 'certificaterequests.cert-manager.io')).toBe(true)
  expect(await may('get', 'secrets')).toBe(false)
  expect(await may('list', 'pods')).toBe(false)
  expect(await may('update', 'certificaterequests.cert-manager.io/status')).toBe(false)
})

/** Runs a pod with one volume, at /tls, that is gone after the test. */
async function start(name: string, attributes: Readonly<Record<string, string>>): Promise<Pod> {
  const pod = await runPod(cluster, podWith(name, attributes))
  running.set(name, pod)
  return pod
}

function podWith(name: string, attributes: Readonly<Record<string, string>>): PodSpec {
  return { namespace, name, volumes: { tls: { driver: driverName, attributes } } }
}

async function remove(pod: Pod): Promise<void> {
  await deletePod(controlPlane, pod)
  running.delete(pod.name)
}

function read(pod: Pod): Promise<MountedCertificate> {
  return readMountedCertificate(controlPlane, pod, '/tls')
}

/** What the container reads once it reads something else. */
function nextCertificate(pod: Pod, before: MountedCertificate): Promise<MountedCertificate> {
  return until('a new certificate', async () => {
    const now = await read(pod)
    return now.leaf.serialNumber === before.leaf.serialNumber ? undefined : now
  })
}

function publicKeyOf({ leaf }: MountedCertificate): string {
  return leaf.publicKey.export({ type: 'spki', format: 'der' }).toString('hex')
}

/** The certificate requests there are, each with its pod and its UID. */
async function requests(): Promise<readonly string[]> {
  const fields = '{range .items[*]}{.metadata.ownerReferences[0].name} {.metadata.name} {.metadata.uid}{"\\n"}{end}'
  const listed = await kubectl(controlPlane, [
    'get',
    'certificaterequests',
    '-n',
    namespace,
    '-o',
    `jsonpath=${fields}`,
  ])
  return listed.trim().split('\n').sort()
}

/** The id that the kubelet gives to a pod's volume `tls` (csi_mounter.go, makeVolumeHandle). */
function volumeIdOf(pod: Pod): string {
  return `csi-${createHash('sha256').update(`${pod.uid}tls`).digest('hex')}`
}

function podFolder(pod: Pod): string {
  return join(kubeletRoot, 'pods', pod.uid)
}

/** Where the pod's volume `tls` is mounted on the node: the driver's private memory and what the pod sees. */
async function mountsOf(pod: Pod): Promise<readonly string[]> {
  const target = join(podFolder(pod), 'volumes/kubernetes.io~csi/tls')
  return (await nodeMounts(node)).filter((path) => path.startsWith(target) || path.includes(volumeIdOf(pod)))
}

async function dataFolders(): Promise<readonly string[]> {
  return (await readdir(nodePath(node, driverPaths.dataRoot), { recursive: true })).sort()
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
