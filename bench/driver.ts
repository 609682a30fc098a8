import { cp, mkdir, mkdtemp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Daemon } from '../test/cluster/daemon.ts'
import type { Kubelet } from './kubelet.ts'
import { untilQuiet } from './process-figures.ts'
import type { Worker } from './worker.ts'

const project = join(import.meta.dirname, '..')

/**
 * Copies the built program, so that a build that is made meanwhile changes nothing of what is measured.
 *
 * @param dist - the folder of the bundles
 * @param directory - takes the copy
 * @returns the path of the launcher
 */
export async function copyProgram(dist: string, directory: string): Promise<string> {
  const program = join(directory, 'program')
  await cp(dist, join(program, 'dist'), { recursive: true })
  // koffi is native and stays outside of the bundles; Node itself may be a package, too.
  await symlink(join(project, 'node_modules'), join(program, 'node_modules'))
  return join(program, 'dist/podpass.cjs')
}

/** How the driver reaches the API server: as in a pod, without a kubeconfig, which it would have to load a YAML reader for. */
export interface BenchApi {
  readonly server: string
  readonly certificateAuthority: string
  readonly token: string
}

export interface DriverOptions {
  /** The launcher, as {@link copyProgram} gives it. */
  readonly program: string
  /** What has to stand before a command so that it runs in the mount namespace. */
  readonly within: readonly string[]
  /** Of that namespace; on a mount that is shared. Takes the socket, the data root and the pods. */
  readonly directory: string
  readonly api: BenchApi
  readonly metricsPort: number
  readonly kubelet: Worker<Kubelet>
  /** More flags of `podpass driver`. */
  readonly flags: readonly string[]
  readonly log: string
}

/** The built driver with the flags of the DaemonSet that ships, as `deploy/driver/daemonset.yaml` has them. */
export class BenchDriver {
  readonly dataRoot: string
  readonly #options: DriverOptions
  readonly #socket: string
  #daemon: Daemon | undefined

  private constructor(options: DriverOptions, folder: string) {
    this.#options = options
    this.#socket = join(folder, 'csi.sock')
    this.dataRoot = join(folder, 'data')
  }

  /** Starts a driver with a data root of its own. Resolves once its socket serves. */
  static async start(options: DriverOptions): Promise<BenchDriver> {
    const plugins = join(options.directory, 'plugins')
    await mkdir(plugins, { recursive: true })
    const driver = new BenchDriver(options, await mkdtemp(join(plugins, 'podpass-')))
    await driver.start()
    return driver
  }

  get pid(): number {
    if (this.#daemon === undefined) throw new Error('the driver does not run')
    return this.#daemon.pid
  }

  /** Starts it, again after {@link kill9}. @returns milliseconds until its socket served */
  async start(): Promise<number> {
    const { program, within, directory, api, metricsPort, kubelet, log, flags } = this.#options
    const own = {
      'node-id': 'bench-node',
      endpoint: `unix://${this.#socket}`,
      'registration-dir': join(directory, 'plugins_registry'),
      'data-root': this.dataRoot,
      'pods-dir': join(directory, 'pods'),
      server: api.server,
      'certificate-authority': api.certificateAuthority,
      token: api.token,
      'metrics-bind-address': `127.0.0.1:${metricsPort}`,
    }
    const args = ['driver', ...Object.entries(own).map(([name, value]) => `--${name}=${value}`), ...flags]
    const [command, ...rest] = [...within, process.execPath, program, ...args] as [string, ...string[]]
    const connected = kubelet.call('connect', this.#socket)
    const started = performance.now()
    this.#daemon = await Daemon.start(command, rest, { log })
    await Promise.race([connected, this.#daemon.failure()])
    return performance.now() - started
  }

  /** @see {@link untilQuiet} */
  quiet(enough?: number): Promise<void> {
    return untilQuiet(this.pid, enough)
  }

  async kill9(): Promise<void> {
    await this.#daemon?.close('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9()
  }
}
