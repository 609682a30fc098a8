import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeSelector } from '../src/issuer/request-identity.ts'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import type { Pod } from '../src/kubernetes/object.ts'
import { certificateRequests, pods } from '../src/kubernetes/resource.ts'
import { claimPort } from '../test/cluster/claim.ts'
import { buildComponent } from '../test/cluster/components/build.ts'
import { certManager } from '../test/cluster/components/cert-manager/recipe.ts'
import { ControlPlane, type ControlPlaneAccess } from '../test/cluster/control-plane.ts'
import { installDriver } from '../test/cluster/driver-process.ts'
import { createToken, serviceAccountKubeconfig, userKubeconfig } from '../test/cluster/kubeconfig.ts'
import { apply, kubectl } from '../test/cluster/kubectl.ts'
import { createNamespace } from '../test/cluster/namespace.ts'
import { until } from '../test/cluster/until.ts'
import { BenchDriver, copyProgram, type DriverOptions } from './driver.ts'
import type { Kubelet, Volume } from './kubelet.ts'
import { MountNamespace } from './mount-namespace.ts'
import type { KeyAlgorithm, Requester } from './requester.ts'
import type { Signer } from './signer.ts'
import { Worker } from './worker.ts'

/** A pod that volumes belong to. It exists, because requests of a pod that does not are garbage collected, and is never scheduled. */
export interface BenchPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface GroundOptions {
  /** The folder of the bundles. */
  readonly dist: string
  /** More flags of `podpass driver`. */
  readonly driverFlags: readonly string[]
  /** Takes a line about what takes long. */
  readonly say: (line: string) => void
}

/** How long the signer waits, in milliseconds. */
export const signerPause = 10

const namespace = 'bench'
const driverAccount = { namespace: 'podpass', name: 'podpass-driver' }
const requesterAccount = { namespace: 'podpass', name: 'bench-requester' }

/** All that the measurements stand on: a real API server, a signer, a kubelet's part, and a node's mounts. */
export class Ground {
  readonly controlPlane: ControlPlaneAccess
  readonly admin: KubernetesClient
  /** Measures the floor. */
  readonly requester: Worker<Requester>
  /** Asks the driver for volumes. */
  readonly kubelet: Worker<Kubelet>
  /** Where the kubelet's directory is, in a mount namespace of its own. */
  readonly directory: string
  readonly #driver: DriverOptions
  readonly #parts: AsyncDisposableStack
  readonly #pods: BenchPod[] = []
  #volumesSoFar = 0

  private constructor(
    controlPlane: ControlPlaneAccess,
    admin: KubernetesClient,
    requester: Worker<Requester>,
    driver: DriverOptions,
    parts: AsyncDisposableStack,
  ) {
    this.controlPlane = controlPlane
    this.admin = admin
    this.requester = requester
    this.kubelet = driver.kubelet
    this.directory = driver.directory
    this.#driver = driver
    this.#parts = parts
  }

  static async start({ dist, driverFlags, say }: GroundOptions): Promise<Ground> {
    await using parts = new AsyncDisposableStack()
    say('starting etcd and kube-apiserver')
    const controlPlane = parts.use(await ControlPlane.start({ say })).access
    await install(controlPlane, say)
    const masters = await userKubeconfig(controlPlane, 'bench', ['system:masters'])
    const admin = new KubernetesClient(await loadKubeconfig({ path: masters }))
    parts.defer(() => admin.close())

    const directory = join(controlPlane.directory, 'kubelet')
    await mkdir(join(directory, 'pods'), { recursive: true })
    const program = await copyProgram(dist, controlPlane.directory)
    const mounts = parts.adopt(await MountNamespace.start(directory), (mounts) => mounts.close())
    const close = (worker: { close(): Promise<void> }): Promise<void> => worker.close()
    const signer = parts.adopt(await Worker.start<Signer>('signer.ts'), close)
    const requester = parts.adopt(await Worker.start<Requester>('requester.ts'), close)
    const kubelet = parts.adopt(await Worker.start<Kubelet>('kubelet.ts', mounts.within), close)
    await signer.call('start', masters, signerPause)
    const { kubeconfig: requesterKubeconfig } = await serviceAccountKubeconfig(controlPlane, requesterAccount)
    await requester.call('start', requesterKubeconfig)

    const { server, certificateAuthority } = controlPlane
    const token = await createToken(controlPlane, driverAccount)
    const metrics = await claimPort()
    parts.defer(() => metrics.claim.close())
    const driver: DriverOptions = {
      program,
      within: mounts.within,
      directory,
      api: { server, certificateAuthority, token },
      metricsPort: metrics.port,
      kubelet,
      flags: driverFlags,
      log: join(controlPlane.directory, 'log/driver'),
    }
    return new Ground(controlPlane, admin, requester, driver, parts.move())
  }

  /** Ends everything, the last started first. */
  async close(): Promise<void> {
    await this.#parts.disposeAsync()
  }

  /**
   * A driver that knows no volumes, has read what it needs of the API, and has served one volume.
   *
   * @param flags - more flags of `podpass driver`
   */
  async startDriver(flags: readonly string[] = []): Promise<BenchDriver> {
    const driver = await BenchDriver.start({ ...this.#driver, flags: [...this.#driver.flags, ...flags] })
    const [first] = await this.volumes(1, 'ECDSA')
    if (first === undefined) throw new Error('there is no pod')
    await this.kubelet.call('publishPatiently', first)
    await this.unpublish([first])
    return driver
  }

  /** The first pods of the benchmark, which stay for its whole run. */
  async pods(count: number): Promise<readonly BenchPod[]> {
    const missing = Array.from({ length: Math.max(0, count - this.#pods.length) }, (_, index) => index)
    const before = this.#pods.length
    const made = await Promise.all(missing.map((index) => createPod(this.admin, `pod-${before + index}`)))
    this.#pods.push(...made)
    return this.#pods.slice(0, count)
  }

  /**
   * New volumes, one for a pod.
   *
   * @param attributes - beside issuer, name and key algorithm; without the prefix
   */
  async volumes(
    count: number,
    algorithm: KeyAlgorithm,
    attributes: Readonly<Record<string, string>> = {},
  ): Promise<readonly Volume[]> {
    const all = {
      'issuer-name': 'bench',
      'dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
      'key-algorithm': algorithm,
      ...attributes,
    }
    const prefixed = Object.entries(all).map(([name, value]) => [`csi.cert-manager.io/${name}`, value])
    return (await this.pods(count)).map((pod) => {
      const name = `tls-${this.#volumesSoFar++}`
      return {
        // As the kubelet makes it (csi_mounter.go, makeVolumeHandle).
        id: `csi-${createHash('sha256').update(`${pod.uid}${name}`).digest('hex')}`,
        target: join(this.directory, 'pods', pod.uid, 'volumes/kubernetes.io~csi', name, 'mount'),
        context: {
          ...Object.fromEntries(prefixed),
          'csi.storage.k8s.io/ephemeral': 'true',
          'csi.storage.k8s.io/pod.name': pod.name,
          'csi.storage.k8s.io/pod.namespace': pod.namespace,
          'csi.storage.k8s.io/pod.uid': pod.uid,
          'csi.storage.k8s.io/serviceAccount.name': 'default',
        },
      }
    })
  }

  /**
   * Publishes volumes, all at once.
   *
   * @returns milliseconds until each answer
   * @throws where one of them is not what a pod needs, because then its time means nothing
   */
  async publish(volumes: readonly Volume[]): Promise<readonly number[]> {
    const latencies = await this.kubelet.call('publish', volumes)
    await this.check(volumes)
    return latencies
  }

  /** @throws where a volume does not show a certificate with its key, read-only */
  async check(volumes: readonly Volume[]): Promise<void> {
    const problems = await this.kubelet.call('check', volumes)
    if (problems.length > 0) throw new Error(`${problems.length} problems with volumes, such as: ${problems[0]}`)
  }

  /** Takes volumes away, and waits until the driver has deleted their requests. */
  async unpublish(volumes: readonly Volume[]): Promise<void> {
    const others = (await this.requests()).size - volumes.length
    await this.kubelet.call('unpublish', volumes)
    await until('the requests to be gone', async () => (await this.requests()).size <= Math.max(0, others))
  }

  /** The UIDs of the driver's requests. */
  async requests(): Promise<ReadonlySet<string>> {
    const labelSelector = nodeSelector('bench-node')
    const { items } = await this.admin.list(certificateRequests, { namespace, labelSelector, metadataOnly: true })
    return new Set(items.map(({ metadata }) => metadata.uid ?? ''))
  }

  /** How many calls, watches included, the driver has made to the API server so far. */
  async apiCalls(): Promise<number> {
    const metrics = await kubectl(this.controlPlane, ['get', '--raw', '/metrics'])
    const counted = /^apiserver_flowcontrol_dispatched_requests_total\{flow_schema="podpass-driver",.*\} (\S+)$/gm
    return [...metrics.matchAll(counted)].reduce((sum, [, count]) => sum + Number(count), 0)
  }
}

/** What has to be in the cluster: cert-manager's kinds, the driver's rights, and the same rights for who measures the floor. */
async function install(controlPlane: ControlPlaneAccess, say: (line: string) => void): Promise<void> {
  const definitions = join(await buildComponent(certManager, say), 'crds')
  await kubectl(controlPlane, ['apply', '--server-side', '-f', definitions])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', '--timeout=60s', '-f', definitions])
  await installDriver(controlPlane)
  await createNamespace(controlPlane, namespace)
  const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true }
  await apply(
    controlPlane,
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: requesterAccount },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: requesterAccount.name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'podpass-driver' },
      subjects: [{ kind: 'ServiceAccount', ...requesterAccount }],
    },
    {
      // It treats the driver like every service account; its name is what the API server counts calls by.
      apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
      kind: 'FlowSchema',
      metadata: { name: 'podpass-driver' },
      spec: {
        priorityLevelConfiguration: { name: 'workload-low' },
        matchingPrecedence: 8000,
        distinguisherMethod: { type: 'ByUser' },
        rules: [
          {
            subjects: [{ kind: 'ServiceAccount', serviceAccount: driverAccount }],
            resourceRules: [everything],
            nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
          },
        ],
      },
    },
  )
}

async function createPod(admin: KubernetesClient, name: string): Promise<BenchPod> {
  const container = { name: 'main', image: 'none.test/none:1', imagePullPolicy: 'Never' }
  const pod: Pod & { spec: object } = { metadata: { namespace, name }, spec: { containers: [container] } as object }
  const { metadata } = await admin.create(pods, pod)
  return { namespace, name, uid: metadata.uid ?? '' }
}
