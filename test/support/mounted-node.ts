import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { askRenewal, askVolumes } from '../../src/driver/control.ts'
import type { VolumeReport } from '../../src/driver/volume-report.ts'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import { type MountEntry, parseMountInfo } from '../../src/volume/mount-info.ts'
import { newVolume, publishCall, type TestVolume } from './node.ts'
import type { NodeMessage } from './node-program.ts'

const isRoot = process.geteuid?.() === 0
const unshare = [...(isRoot ? [] : ['--user', '--map-root-user']), '--mount', '--propagation', 'private']
const enter = [...(isRoot ? [] : ['--user', '--preserve-credentials']), '--mount']

/** Why no mounts can be made here; undefined where they can. */
export function mountingObstacle(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-'))
  try {
    const mount = ['mount', '-t', 'tmpfs', 'probe', folder]
    const { status, error, stderr } = spawnSync('unshare', [...unshare, ...mount], { encoding: 'utf8' })
    return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n')[0])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * A driver with real mounts, in a mount namespace that outlives it, as a node's does. The namespace ends with the process that holds
 * it, and that ends with this one, so no mount is ever left on the machine.
 */
export class MountedNode {
  readonly folder: string
  readonly #holder: ChildProcess
  readonly #drivers = new Set<ChildProcess>()
  #client: UnixClient
  #volumes = 0

  private constructor(folder: string, holder: ChildProcess) {
    this.folder = folder
    this.#holder = holder
    this.#client = new UnixClient(join(folder, 'csi.sock'))
  }

  /** Makes the namespace and its folders; the driver is started by {@link startDriver}. */
  static async start(): Promise<MountedNode> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-'))
    await mkdir(join(folder, 'pods'))
    const holder = spawn('unshare', [...unshare, 'sh', '-c', 'echo ready; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    return new MountedNode(folder, holder)
  }

  /** Where a path of the namespace is seen from outside. */
  path(...parts: readonly string[]): string {
    return join(`/proc/${this.#holder.pid}/root`, ...parts)
  }

  /** Starts a driver. A second one waits for the end of the first. */
  async startDriver(): Promise<MountedDriver> {
    const program = [process.execPath, join(import.meta.dirname, 'node-program.ts'), this.folder]
    const child = spawn('nsenter', ['--target', String(this.#holder.pid), ...enter, '--', ...program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#drivers.add(child)
    child.once('exit', () => this.#drivers.delete(child))
    const [first] = (await once(child, 'message')) as [NodeMessage]
    const ready =
      first.is === 'ready' ? Promise.resolve(first) : once(child, 'message').then(([message]) => message as NodeMessage)
    return {
      pid: child.pid ?? 0,
      waited: first.is === 'waiting',
      ready: ready.then((message) => {
        // Each process has a socket of its own.
        this.#client.close()
        this.#client = new UnixClient(join(this.folder, 'csi.sock'))
        return message.is === 'ready' ? message.obstacle : undefined
      }),
      end: async (signal) => {
        const ended = once(child, 'exit')
        child.kill(signal)
        await ended
      },
    }
  }

  async volume(attributes: Readonly<Record<string, string>> = {}): Promise<TestVolume> {
    const volume = newVolume(join(this.folder, 'pods'), this.#volumes++, attributes)
    await mkdir(dirname(volume.target), { recursive: true })
    return volume
  }

  async publish(volume: TestVolume): Promise<void> {
    await this.#client.call(Node.method.nodePublishVolume, publishCall(volume))
  }

  async unpublish({ id, target }: TestVolume): Promise<void> {
    await this.#client.call(Node.method.nodeUnpublishVolume, { volumeId: id, targetPath: target })
  }

  async renew({ id }: TestVolume): Promise<void> {
    await askRenewal(join(this.folder, 'data'), id)
  }

  async report({ id }: TestVolume): Promise<VolumeReport | undefined> {
    return (await askVolumes(join(this.folder, 'data'))).find(({ volumeId }) => volumeId === id)
  }

  /** A file as the pod sees it. */
  read({ target }: TestVolume, file: string): Promise<string> {
    return readFile(this.path(target, file), 'utf8')
  }

  /** The private memory of a volume, as the namespace names it. */
  memory({ id }: TestVolume): string {
    return join(this.folder, 'data', 'volumes', id)
  }

  /** The mounts of the namespace below its folder. */
  async mounts(): Promise<MountEntry[]> {
    const all = parseMountInfo(await readFile(`/proc/${this.#holder.pid}/mountinfo`, 'utf8'))
    return all.filter(({ mountPoint }) => mountPoint.startsWith(this.folder))
  }

  /** Runs a command in the namespace, and gives its output. */
  async run(...command: readonly string[]): Promise<string> {
    const args = ['--target', String(this.#holder.pid), ...enter, '--', ...command]
    return (await promisify(execFile)('nsenter', args)).stdout
  }

  /** A process in a namespace of its own, with a copy of every mount of this one. It ends with its standard input. */
  async stranger(): Promise<ChildProcess> {
    const private_ = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; exec cat']
    const child = spawn('nsenter', ['--target', String(this.#holder.pid), ...enter, '--', ...private_], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    return child
  }

  async close(): Promise<void> {
    this.#client.close()
    const processes = [...this.#drivers, this.#holder]
    await Promise.all(
      processes.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      }),
    )
    await rm(this.folder, { recursive: true })
  }
}

/** One process of the driver. */
export interface MountedDriver {
  readonly pid: number
  /** Whether it had to wait for another one. */
  readonly waited: boolean
  /** Resolves once it serves, with what is wrong with the mounts that its folders lie in. */
  readonly ready: Promise<string | undefined>
  /** Ends it, and waits for that. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}
