import { access, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { issue } from './certificate-authority.ts'
import { claimPort } from './claim.ts'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { baseImage, writeImage, type Image } from './image.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { kubectl } from './kubectl.ts'
import { logTail } from './log-tail.ts'
import { claimPodNetwork } from './pod-network.ts'
import type { Prerequisites } from './prerequisites.ts'
import { until } from './until.ts'
import { Workspace } from './workspace.ts'

/** Where a running node is. Plain data, so it can be handed to another process. */
export interface NodeAccess {
  /** The name of its Node object, which is also the address that its kubelet serves on. */
  readonly name: string
  /** Everything of this node; logs are in `log/`, one file a component. It is gone once the node is closed. */
  readonly directory: string
  /** The first process of the node's mount and PID namespace, as this machine numbers it. */
  readonly pid: number
  /** Where the kubelet answers 200 while it is well. */
  readonly healthEndpoint: string
}

/** The kubelet's root directory, in the node's own mount namespace. */
export const kubeletRoot = '/var/lib/kubelet'

/**
 * A real node on this machine: containerd and a kubelet in a mount and a PID namespace of their own, pods with a network. When
 * the first process of the namespace ends, every process, mount and network of the node ends with it.
 */
export class Node {
  readonly access: NodeAccess
  readonly #parts: AsyncDisposableStack

  private constructor(access: NodeAccess, parts: AsyncDisposableStack) {
    this.access = access
    this.#parts = parts
  }

  /**
   * Resolves once the node is Ready.
   *
   * @param name - an address in 127.0.0.0/8: a kubelet named by an address serves there (kubelet nodestatus/setters.go), so exec
   *   and logs work with everything on loopback
   */
  static async start(
    controlPlane: ControlPlaneAccess,
    { pluginDirectory }: Prerequisites,
    name = '127.0.0.1',
  ): Promise<Node> {
    await using parts = new AsyncDisposableStack()
    const { directory, cgroup } = parts.use(await Workspace.create())
    const [kubelet, health, pods] = [await claimPort(), await claimPort(), await claimPodNetwork()]
    for (const { claim } of [kubelet, health, pods]) parts.use(claim)
    const ports = { kubelet: kubelet.port, health: health.port }

    for (const part of ['bin', 'cni', 'log']) await mkdir(join(directory, part))
    await symlink(controlPlane.kubelet, join(directory, 'bin/kubelet'))
    await writeFile(join(directory, 'kubelet.name'), name)
    await writeFile(join(directory, 'containerd.toml'), containerdConfig(pluginDirectory))
    await writeFile(join(directory, 'cni/pods.conflist'), JSON.stringify(networkConfig(pods.subnet)))
    const config = kubeletConfig(name, ports, cgroup, controlPlane.certificateAuthority)
    await writeFile(join(directory, 'kubelet.json'), JSON.stringify(config, null, 2))
    await writeKubeletCredentials(controlPlane, directory, name)

    const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
    const program = ['bash', join(import.meta.dirname, 'node-init.sh'), directory]
    const log = (component: string): string => join(directory, 'log', component)
    const init = parts.use(await Daemon.start('unshare', [...namespaces, ...program], { log: log('init') }))
    const failure = init.failure()
    const pid = await until('the node to have its namespaces', () => onlyChild(init.pid), { orFail: failure })
    const access = { name, directory, pid, healthEndpoint: `http://127.0.0.1:${ports.health}/healthz` }
    await until('containerd', () => exists(nodePath(access, '/run/containerd/containerd.sock')), { orFail: failure })
    await importImage(access, baseImage)
    try {
      await kubectl(controlPlane, ['wait', `node/${name}`, '--for=create', '--timeout=60s'])
      await kubectl(controlPlane, ['wait', `node/${name}`, '--for=condition=Ready', '--timeout=60s'])
    } catch (cause) {
      throw new Error(`the node does not get ready; its kubelet says:\n${await logTail(log('kubelet'))}`, { cause })
    }
    return new Node(access, parts.move())
  }

  /** Ends everything that runs on the node and removes what it left. Pods are not asked. */
  async close(): Promise<void> {
    await this.#parts.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** A path on the node as a path of this process. Absolute links on the node lead astray; see proc(5), /proc/PID/root. */
export function nodePath(node: NodeAccess, path: string): string {
  return join(`/proc/${node.pid}/root`, path)
}

/** What has to stand before a command so that it runs on the node, in its mount and PID namespace. */
export function onNode(node: NodeAccess): readonly [command: string, ...args: readonly string[]] {
  return ['nsenter', '--target', String(node.pid), '--mount', '--pid', '--']
}

/** Runs a command on the node. @returns its standard output */
export function execOnNode(node: NodeAccess, command: string, ...args: readonly string[]): Promise<string> {
  const [enter, ...entering] = onNode(node)
  return run(enter, [...entering, command, ...args])
}

/** Makes an image and gives it to the node's containerd; pods that use it say `imagePullPolicy: Never`. */
export async function importImage(node: NodeAccess, image: Image): Promise<void> {
  const directory = await mkdtemp(join(node.directory, 'image-'))
  const archive = join(directory, 'image.tar')
  await writeImage(archive, image)
  await execOnNode(
    node,
    'ctr',
    '--namespace',
    'k8s.io',
    'images',
    'import',
    join('/run/node', basename(directory), 'image.tar'),
  )
}

/**
 * Asks a kubelet's own API as the cluster's administrator. The API server's proxy does not go to loopback addresses.
 *
 * @param path - such as `/stats/summary`
 */
export async function askKubelet(controlPlane: ControlPlaneAccess, node: NodeAccess, path: string): Promise<string> {
  const field = 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}'
  const port = await kubectl(controlPlane, ['get', 'node', node.name, '-o', field])
  const pki = join(controlPlane.directory, 'pki')
  const [cert, key] = [await readFile(join(pki, 'admin.crt')), await readFile(join(pki, 'admin.key'))]
  // A kubelet without a serving certificate makes one that nobody has signed.
  const asked = request({ host: node.name, port, path, cert, key, rejectUnauthorized: false, agent: false })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const body = await text(response)
  if (response.statusCode !== 200) throw new Error(`the kubelet answers ${path} with ${response.statusCode}: ${body}`)
  return body
}

/** Ends the kubelet, whereupon the node starts it again, and resolves once it is well. Containers go on, as on any node. */
export async function restartKubelet(node: NodeAccess): Promise<void> {
  const pidFile = nodePath(node, '/run/kubelet.pid')
  const before = await readFile(pidFile, 'utf8')
  await execOnNode(node, 'kill', before.trim())
  await until('another kubelet', async () => (await readFile(pidFile, 'utf8')) !== before)
  await until('the kubelet to be well', async () => (await fetch(node.healthEndpoint)).ok)
}

/** Where something is mounted on the node, from the oldest mount to the newest. */
export async function nodeMounts(node: NodeAccess): Promise<readonly string[]> {
  const lines = (await readFile(`/proc/${node.pid}/mountinfo`, 'utf8')).trim().split('\n')
  return lines.map((line) => line.split(' ')[4] ?? '')
}

/** The id of the one child that a process has; undefined where it has none yet. */
export async function onlyChild(pid: number): Promise<number | undefined> {
  const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
  return child ? Number(child) : undefined
}

async function writeKubeletCredentials(
  controlPlane: ControlPlaneAccess,
  directory: string,
  name: string,
): Promise<void> {
  const authority = { certificate: controlPlane.certificateAuthority, key: controlPlane.certificateAuthorityKey }
  const subject = { commonName: `system:node:${name}`, organizations: ['system:nodes'] }
  const pair = await issue(authority, directory, 'kubelet', subject)
  await writeKubeconfig(join(directory, 'kubelet.kubeconfig'), controlPlane.server, controlPlane.certificateAuthority, {
    'client-certificate': pair.certificate,
    'client-key': pair.key,
  })
}

async function exists(path: string): Promise<boolean> {
  await access(path)
  return true
}

function containerdConfig(pluginDirectory: string): string {
  return `version = 2
root = "/run/node/containerd"
state = "/run/containerd"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${baseImage.name}"
  # A machine may withhold CAP_SYS_RESOURCE, without which no score can be lowered.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${pluginDirectory}"
  conf_dir = "/run/node/cni"
`
}

function networkConfig(subnet: string): object {
  const ipam = { type: 'host-local', ranges: [[{ subnet }]], dataDir: '/run/node/ipam' }
  return { cniVersion: '0.4.0', name: 'pods', plugins: [{ type: 'ptp', ipMasq: false, ipam }, { type: 'loopback' }] }
}

interface KubeletPorts {
  readonly kubelet: number
  readonly health: number
}

/** KubeletConfiguration v1beta1. */
function kubeletConfig(address: string, ports: KubeletPorts, cgroup: string, clientCAFile: string): object {
  const nothingFree = '0%'
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address,
    port: ports.kubelet,
    healthzPort: ports.health,
    readOnlyPort: 0,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile } },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    // Pods are looked at again, and volumes republished, every 2 to 3 seconds, not every 60 to 90.
    syncFrequency: '2s',
    // Not every minute.
    volumeStatsAggPeriod: '5s',
    volumePluginDir: '/run/node/volume-plugins',
    resolvConf: '',
    // Below the cgroup that node-init.sh makes. Old machines have cgroup v1.
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    // A machine that is nearly full, or swaps, is good enough for a test.
    failSwapOn: false,
    evictionHard: Object.fromEntries(
      ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available'].map((signal) => [
        signal,
        nothingFree,
      ]),
    ),
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
  }
}
