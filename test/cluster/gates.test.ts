import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { askKubelet, nodePath, restartKubelet } from './node.ts'
import { createPod, deletePod, execInPod, type Pod, runPod, targetOf, volumeIdOf } from './pod.ts'
import { until } from './until.ts'

// What else an operator can ask of a node: gates before a certificate is asked for, looking into a driver, statistics, events.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'gates'
const gate = 'gates.example.com/identity'
const manifest = join(import.meta.dirname, '../../deploy/readiness-gates/rbac.yaml')
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}

let driver: DriverProcess
const pods: Pod[] = []

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  await kubectl(controlPlane, ['apply', '-f', manifest])
  driver = await DriverProcess.start(cluster, [
    '--continue-on-not-ready',
    `--pod-readiness-gate=pod-annotation:${gate}`,
    '--pod-readiness-gate=pod-ip:any',
    '--volume-stats',
  ])
})

afterEach(() => Promise.all(pods.splice(0).map((pod) => deletePod(controlPlane, pod))))

afterAll(async () => {
  await driver?.stop()
  // Other files look at what the driver may do without gates.
  await kubectl(controlPlane, ['delete', '-f', manifest, '--ignore-not-found'])
})

/** @param annotations - with the gate's, a pod gets its certificate as soon as it has an address */
async function start(name: string, annotations: Readonly<Record<string, string>>): Promise<Pod> {
  const volumes = { tls: { driver: driverName, attributes } }
  const pod = await runPod(cluster, { namespace, name, volumes, annotations })
  pods.push(pod)
  return pod
}

async function annotate(pod: Pod, value: string): Promise<void> {
  await kubectl(controlPlane, ['annotate', 'pod', pod.name, '-n', namespace, '--overwrite', `${gate}=${value}`])
}

async function filesOf(pod: Pod): Promise<readonly string[]> {
  const listed = await execInPod(controlPlane, pod, 'ls', '/tls')
  return listed.split('\n').filter((name) => name !== '')
}

function requests(): Promise<string> {
  return kubectl(controlPlane, ['get', 'certificaterequests', '-n', namespace, '-o', 'name'])
}

async function serialOf(pod: Pod): Promise<string> {
  const { leaf, key } = await readMountedCertificate(controlPlane, pod, '/tls')
  expect(leaf.checkPrivateKey(key)).toBe(true)
  return leaf.serialNumber
}

describe('with readiness gates', () => {
  test('a pod starts with an empty volume, and its certificate is asked for once every gate is open', async () => {
    const pod = await start('gated', {})
    expect(await filesOf(pod)).toEqual([])
    expect(await requests()).toBe('')
    expect(await driver.ask('inspect')).toMatch(new RegExp(`${namespace}/gated +csi-[0-9a-f]+ +requesting`))

    // An annotation without a value opens nothing.
    await annotate(pod, '')
    await restartKubelet(node)
    expect(await until('the kubelet to serve again', () => filesOf(pod))).toEqual([])
    await annotate(pod, 'granted')

    await until('the certificate', async () => (await filesOf(pod)).includes('tls.crt'))
    expect(await filesOf(pod)).toEqual(['ca.crt', 'tls.crt', 'tls.key'])
    await serialOf(pod)
    expect((await requests()).trim().split('\n')).toHaveLength(1)
  })

  test('a driver that is killed while a gate is closed goes on waiting, and asks when it opens', async () => {
    const pod = await start('killed', {})
    await driver.kill9()
    await driver.start()
    expect(await filesOf(pod)).toEqual([])
    await annotate(pod, 'granted')
    await until('the certificate', async () => (await filesOf(pod)).includes('tls.crt'))
    await serialOf(pod)
  })

  test('a gate that opens by itself, such as the address, needs nobody', async () => {
    const pod = await start('addressed', { [gate]: 'granted' })
    await until('the certificate', async () => (await filesOf(pod)).includes('tls.crt'))
    expect(await filesOf(pod)).toEqual(['ca.crt', 'tls.crt', 'tls.key'])
  })
})

describe('looking into a driver', () => {
  test('inspect shows the volumes of the node, and renew gives one a new certificate at once', async () => {
    const pod = await start('inspected', { [gate]: 'granted' })
    await until('the certificate', async () => (await filesOf(pod)).includes('tls.crt'))
    const before = await serialOf(pod)
    const id = volumeIdOf(pod, 'tls')

    expect(await driver.ask('inspect')).toMatch(
      new RegExp(`${namespace}/inspected +${id.slice(0, 12)}\\S* +issued .*ca-issuer`),
    )

    expect(await driver.ask('renew', id.slice(0, 16))).toContain(`renewing ${namespace}/inspected ${id}`)
    await until('the renewed certificate', async () => (await serialOf(pod)) !== before)
    await expect(driver.ask('renew', 'csi-of-nobody')).rejects.toThrow(
      'no volume of this node has an id that starts with "csi-of-nobody"',
    )
  })

  test('the kubelet asks how full a volume is, and hears whether its certificate is well', async () => {
    const pod = await start('measured', { [gate]: 'granted' })
    await until('the certificate', async () => (await filesOf(pod)).includes('tls.crt'))

    const before = await statisticsTaken()
    await until('the kubelet to take statistics', async () => (await statisticsTaken()) > before)

    const client = new UnixClient(nodePath(node, driverPaths.socket))
    try {
      const asked = { volumeId: volumeIdOf(pod, 'tls'), volumePath: targetOf(pod, 'tls') }
      const { usage, volumeCondition } = await client.call(Node.method.nodeGetVolumeStats, asked)
      const [bytes, inodes] = usage
      expect(bytes?.total).toBe(4n * 1024n * 1024n)
      expect(bytes?.used).toBeGreaterThan(0n)
      expect(inodes?.used).toBeGreaterThan(3n)
      const chain = await execInPod(controlPlane, pod, 'cat', '/tls/tls.crt')
      const end = new X509Certificate(chain).validToDate.toISOString()
      expect(volumeCondition).toMatchObject({ abnormal: false, message: `the certificate holds until ${end}` })
      await expect(client.call(Node.method.nodeGetVolumeStats, { ...asked, volumePath: '/other' })).rejects.toThrow(
        'is not published at /other',
      )
    } finally {
      client.close()
    }
  })
})

test('what a pod is told again and again is one event with a count', async () => {
  await driver.stop()
  driver = await DriverProcess.start(cluster, ['--publish-timeout=2s'])
  const volumes = {
    tls: { driver: driverName, attributes: { ...attributes, 'csi.cert-manager.io/issuer-name': 'of-nobody' } },
  }
  pods.push(await createPod(cluster, { namespace, name: 'told', volumes }))
  const columns = 'jsonpath={range .items[*]}{.source.component} {.reason} {.count} {.message}{"\\n"}{end}'
  const selector = 'involvedObject.name=told'
  const list = ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', columns]
  const pending = async (): Promise<readonly string[]> =>
    (await kubectl(controlPlane, list))
      .split('\n')
      .filter((line) => line.startsWith('podpass-driver CertificatePending'))
  const counted = await until('the event to be counted', async () => {
    const lines = await pending()
    return lines.some((line) => Number(line.split(' ')[2]) >= 3) && lines
  })
  expect(counted).toHaveLength(1)
  expect(counted[0]).toMatch(/CertificateRequest gates\/podpass-[0-9a-f]{32}: .*of-nobody/)
})

/** How often the kubelet has taken a volume's statistics, by its own count of CSI calls that went well. */
async function statisticsTaken(): Promise<number> {
  const metrics = await askKubelet(controlPlane, node, '/metrics')
  const line = metrics
    .split('\n')
    .find((text) => /^csi_operations_seconds_count\{.*code="OK".*\/NodeGetVolumeStats"/.test(text))
  return Number(line?.split(' ').at(-1) ?? 0)
}
