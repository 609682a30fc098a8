import { readdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { VolumeReport } from '../../src/driver/volume-report.ts'
import { createCaIssuer } from './cert-manager.ts'
import { driverName } from './driver-process.ts'
import { chartDataRoot, GoDriverChart, importChartImages } from './go-driver-chart.ts'
import { apply, kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, importImage, kubeletRoot, nodeMounts, nodePath } from './node.ts'
import { deletePod, execInPod, type Pod, type PodSpec, runPod, volumeIdOf } from './pod.ts'
import { podpassImage } from './program-image.ts'
import { until } from './until.ts'

// Whoever swaps the image of a DaemonSet of cert-manager's csi-driver, and nothing else, keeps every pod running and renewed.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const image = 'podpass.test/podpass:1'

/** Milliseconds in which the sidecars are built where no run has built them yet. */
const buildTime = 900_000

beforeAll(async () => {
  await importChartImages(cluster)
  await importImage(node, await podpassImage(image))
}, buildTime)

describe.each([
  { by: 'with its own account', namespace: 'swap-account', useTokenRequest: false },
  { by: 'with the tokens of pods', namespace: 'swap-tokens', useTokenRequest: true },
])('a csi-driver that makes requests $by is replaced by its image alone', ({ namespace, useTokenRequest }) => {
  const attributes = {
    'csi.cert-manager.io/issuer-name': 'ca-issuer',
    'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
    'csi.cert-manager.io/duration': '60s',
  }
  /** A pod that says so when its files are not there at any time. */
  const podWith = (name: string, more: Readonly<Record<string, string>> = {}): PodSpec => ({
    namespace,
    name,
    command: ['sh', '-c', 'while :; do [ -s /tls/tls.crt ] && [ -s /tls/tls.key ] || echo gone; sleep 0.1; done'],
    volumes: { tls: { driver: driverName, attributes: { ...attributes, ...more }, readOnly: true } },
  })
  const group = 2000

  let chart: GoDriverChart
  /** What runs before the swap, each pod with what it read then. */
  let plain: Pod
  let unprivileged: Pod
  let lenient: Pod
  let halfWritten: Pod
  const before = new Map<Pod, MountedCertificate>()
  let containersBefore: string
  let requestsBefore: readonly string[]
  let tokensBefore: string

  beforeAll(async () => {
    await createNamespace(controlPlane, namespace)
    await createCaIssuer(controlPlane, namespace, 'ca-issuer')
    if (useTokenRequest) await letPodsMakeRequests(namespace)
    chart = await GoDriverChart.install(cluster, useTokenRequest)
    const asUser = { runAsUser: 1000, runAsGroup: 1000, fsGroup: group }
    const pods = await Promise.all([
      runPod(cluster, podWith('plain')),
      runPod(cluster, { ...podWith('unprivileged'), securityContext: asUser }),
      runPod(cluster, podWith('lenient', { 'csi.cert-manager.io/renew-before': '-5s' })),
      runPod(cluster, podWith('half-written')),
    ])
    ;[plain, unprivileged, lenient, halfWritten] = pods
    for (const pod of pods) before.set(pod, await read(pod))
    containersBefore = await containers()
    requestsBefore = await requests()
    tokensBefore = await filesWithTokens()
    const metadata = nodePath(node, join(folderOf(halfWritten), 'metadata.json'))
    await chart.swapImage(image, () => truncate(metadata, 300))
  })

  afterAll(async () => {
    for (const pod of before.keys()) await deletePod(controlPlane, pod)
    await chart?.uninstall()
  })

  test.each(['plain', 'unprivileged', 'lenient'] as const)(
    'the container of the pod %s reads a renewed pair, whose key and certificate fit',
    async (name) => {
      const pod = { plain, unprivileged, lenient }[name]
      const renewed = await nextCertificate(pod)
      expect(renewed.leaf.checkPrivateKey(renewed.key)).toBe(true)
      expect(renewed.leaf.subjectAltName).toBe(`DNS:${name}.${namespace}.svc.cluster.local`)
    },
  )

  test('no container was restarted, and none ever missed its files', async () => {
    expect(await containers()).toBe(containersBefore)
    for (const pod of before.keys()) expect(await kubectl(controlPlane, ['logs', '-n', namespace, pod.name])).toBe('')
  })

  test('volumes stay in the folder that their pods see, with the group of the pod', async () => {
    expect(await execInPod(controlPlane, unprivileged, 'stat', '-L', '-c', '%a %g', '/tls/tls.key')).toBe(
      `440 ${group}\n`,
    )
    const folders = (await inspect()).map(({ directory }) => directory)
    const adopted = [...before.keys()].map((pod) => `/csi-data-dir/inmemfs/${volumeIdOf(pod, 'tls')}`)
    expect(folders.sort()).toEqual(adopted.sort())
  })

  test.runIf(useTokenRequest)('what could not be read is made whole by the next publish', async () => {
    await until('it to be whole', async () => (await inspect()).every(({ state }) => state !== 'unmanaged'))
    const renewed = await nextCertificate(halfWritten)
    expect(renewed.leaf.checkPrivateKey(renewed.key)).toBe(true)
  })

  test.skipIf(useTokenRequest)('what cannot be read is listed and left as it is', async () => {
    expect((await inspect()).filter(({ state }) => state === 'unmanaged')).toEqual([
      expect.objectContaining({ volumeId: volumeIdOf(halfWritten, 'tls') }),
    ])
    expect((await read(halfWritten)).leaf.serialNumber).toBe(before.get(halfWritten)?.leaf.serialNumber)
  })

  test('renewals are asked for by whom the chart says, and requests of the former driver are let alone', async () => {
    const users = await kubectl(controlPlane, [
      'get',
      'certificaterequests',
      '-n',
      namespace,
      '-o',
      'jsonpath={range .items[*]}{.metadata.name} {.spec.username}{"\\n"}{end}',
    ])
    const ours = users.split('\n').filter((line) => line.startsWith('podpass-'))
    const account = useTokenRequest ? `${namespace}:default` : 'cert-manager:cert-manager-csi-driver'
    expect(new Set(ours.map((line) => line.split(' ')[1]))).toEqual(new Set([`system:serviceaccount:${account}`]))
    expect(await requests()).toEqual(expect.arrayContaining([...requestsBefore]))
  })

  test.runIf(useTokenRequest)('no token is left in the memory of the former driver', async () => {
    expect(tokensBefore).toContain('metadata.json')
    expect(await filesWithTokens()).toBe('')
  })

  test("the rights of the chart's role are enough, and each that is missing is told once", async () => {
    const warnings = (await chart.log()).filter((line) => line.includes('"level":"warn"'))
    const about = (what: string): readonly string[] => warnings.filter((line) => line.includes(what))
    expect(about('the CSIDriver object cannot be read')).toHaveLength(1)
    expect(about('events cannot be written')).toHaveLength(1)
    expect(warnings).toHaveLength(2)
  })

  test('the sidecars go on: the kubelet finds the driver well', async () => {
    const { name } = await chart.pod()
    const status = await kubectl(controlPlane, ['get', 'pod', name, '-n', 'cert-manager', '-o', 'json'])
    const { containerStatuses } = (JSON.parse(status) as { status: { containerStatuses: { restartCount: number }[] } })
      .status
    expect(containerStatuses.map(({ restartCount }) => restartCount)).toEqual([0, 0, 0])
  })

  test('a new pod gets a volume of the new kind', async () => {
    const fresh = await runPod(cluster, podWith('fresh'))
    const { leaf, key } = await read(fresh)
    expect(leaf.checkPrivateKey(key)).toBe(true)
    const reports = await inspect()
    expect(reports.map(({ directory }) => directory)).toContain(`/csi-data-dir/volumes/${volumeIdOf(fresh, 'tls')}`)
    await deletePod(controlPlane, fresh)
  })

  test('pods that are deleted leave nothing', async () => {
    for (const pod of before.keys()) await deletePod(controlPlane, pod)
    expect(await readdir(nodePath(node, join(chartDataRoot, 'inmemfs')))).toEqual([])
    expect(await readdir(nodePath(node, join(chartDataRoot, 'volumes')))).toEqual([])
    const places = [...before.keys()].map((pod) => join(kubeletRoot, 'pods', pod.uid, 'volumes'))
    const mounts = await nodeMounts(node)
    expect(mounts.filter((mount) => places.some((place) => mount.startsWith(place)))).toEqual([])
    await until('every request to be gone', async () => (await requests()).length === 0)
  })

  function read(pod: Pod): Promise<MountedCertificate> {
    return readMountedCertificate(controlPlane, pod, '/tls')
  }

  /** What the container reads once it reads something else than before the swap. */
  function nextCertificate(pod: Pod): Promise<MountedCertificate> {
    return until('a new certificate', async () => {
      const now = await read(pod)
      return now.leaf.serialNumber === before.get(pod)?.leaf.serialNumber ? undefined : now
    })
  }

  /** Each container with its id and how often it was restarted. */
  function containers(): Promise<string> {
    const fields = '{range .items[*].status.containerStatuses[*]}{.containerID} {.restartCount}{"\\n"}{end}'
    return kubectl(controlPlane, ['get', 'pods', '-n', namespace, '-o', `jsonpath=${fields}`])
  }

  async function requests(): Promise<readonly string[]> {
    const names = await kubectl(controlPlane, ['get', 'certificaterequests', '-n', namespace, '-o', 'name'])
    return names.split('\n').filter((name) => name !== '')
  }

  async function inspect(): Promise<readonly VolumeReport[]> {
    const podpass = ['/usr/local/bin/node', '/podpass/dist/podpass.cjs']
    return JSON.parse(
      await chart.exec(...podpass, 'driver', 'inspect', '--data-root=csi-data-dir', '--json'),
    ) as VolumeReport[]
  }
})

/** The folder on the node that the former driver keeps a pod's volume in. */
function folderOf(pod: Pod): string {
  return join(chartDataRoot, 'inmemfs', volumeIdOf(pod, 'tls'))
}

/** The files below the data root that hold a token: each is a JWT, whose header begins with this in base64. */
function filesWithTokens(): Promise<string> {
  return execOnNode(node, 'sh', '-c', `grep -rlF -D skip eyJhbGciOi ${chartDataRoot} || [ $? = 1 ]`)
}

/** What `--use-token-request` asks of a namespace: that the accounts of its pods may create requests. */
async function letPodsMakeRequests(namespace: string): Promise<void> {
  const metadata = { namespace, name: 'create-requests' }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  await apply(
    controlPlane,
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['create'] }],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'create-requests' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace }],
    },
  )
}
