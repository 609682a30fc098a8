import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { buildComponent } from './components/build.ts'
import { csiSanity } from './components/csi-sanity/recipe.ts'
import { CsiController } from './csi-controller.ts'
import { CsiProxy } from './csi-proxy.ts'
import { DriverProcess, driverPaths, installDriver } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, nodeMounts, nodePath } from './node.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'sanity'

let driver: DriverProcess

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster)
})

afterAll(() => driver?.stop())

/** What is for controllers, snapshots, staging and volumes' contents: nothing that an inline volume has. */
const notForNodePlugins =
  'Controller|ListSnapshots|GetSnapshot|DeleteSnapshot|CreateSnapshot|ExpandVolume|ModifyVolume|GroupController|ListVolumes' +
  '|ValidateVolume|SnapshotMetadata|NodeStage|NodeUnstage'

/** A test as csi-sanity reports it (ginkgo's JSON report). */
interface SpecReport {
  readonly ContainerHierarchyTexts: readonly string[] | null
  readonly LeafNodeText: string
  readonly State: string
}

test('csi-sanity finds nothing wrong, with volumes that are really published and unpublished', async () => {
  const binaries = await buildComponent(csiSanity, console.error)
  // On the node as here: a path below the node's directory is the same in both.
  const directory = await mkdtemp(join(node.directory, 'sanity-'))
  const [socket, controllerSocket] = [join(directory, 'csi.sock'), join(directory, 'controller.sock')]
  const attributes = {
    'csi.cert-manager.io/issuer-name': 'ca-issuer',
    'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
  }
  const controller = await CsiController.start({ controlPlane, socket: controllerSocket, namespace, attributes })
  const proxy = await CsiProxy.start(socket, nodePath(node, driverPaths.socket))

  try {
    await execOnNode(
      node,
      'env',
      // csi-sanity waits for ever for a connection that is ready before it has looked once (csi-test v5.4.0 utils.Connect). With one
      // thread it looks first.
      'GOMAXPROCS=1',
      join(binaries, 'csi-sanity'),
      `--csi.endpoint=unix://${socket}`,
      `--csi.controllerendpoint=unix://${controllerSocket}`,
      `--csi.mountdir=${directory}/mount`,
      `--csi.stagingdir=${directory}/staging`,
      `--ginkgo.skip=${notForNodePlugins}`,
      `--ginkgo.json-report=${directory}/report.json`,
      '--ginkgo.no-color',
    )
  } finally {
    proxy.close()
    controller.close()
  }
  const [suite] = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as [
    { readonly SpecReports: readonly SpecReport[] },
  ]
  const reports = suite.SpecReports.map((spec) => ({
    name: [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(', '),
    state: spec.State,
  }))
  const passed = reports.filter(({ state }) => state === 'passed').map(({ name }) => name)
  const all = [
    'Identity Service, GetPluginCapabilities, should return appropriate capabilities',
    'Identity Service, Probe, should return appropriate information',
    'Identity Service, GetPluginInfo, should return appropriate information',
    'Node Service, NodeGetCapabilities, should return appropriate capabilities',
    'Node Service, NodeGetInfo, should return appropriate values',
    'Node Service, NodePublishVolume, should fail when no volume id is provided',
    'Node Service, NodePublishVolume, should fail when no target path is provided',
    'Node Service, NodePublishVolume, should fail when no volume capability is provided',
    'Node Service, NodeUnpublishVolume, should fail when no volume id is provided',
    'Node Service, NodeUnpublishVolume, should fail when no target path is provided',
    'Node Service, NodeUnpublishVolume, should remove target path',
    'Node Service, should work',
    'Node Service, should be idempotent',
  ]
  expect(new Set(passed)).toEqual(new Set(all))
  expect((await nodeMounts(node)).filter((path) => path.startsWith(directory))).toEqual([])
  const left = ['get', 'certificaterequests', '-n', namespace, '-o', 'name']
  await until('the requests to be gone', async () => (await kubectl(controlPlane, left)) === '')
})
