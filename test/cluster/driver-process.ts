import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ClusterAccess } from './cluster.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { DaemonEndedError } from './daemon.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { kubectl } from './kubectl.ts'
import { execOnNode, kubeletRoot, nodePath, onlyChild, onNode } from './node.ts'
import { TimedOutError, until } from './until.ts'

const project = join(import.meta.dirname, '../..')
const plugin = join(kubeletRoot, 'plugins/podpass')

/** The name that the driver registers under. */
export const driverName = 'csi.cert-manager.io'

/** Paths of the driver on its node. */
export const driverPaths = { socket: join(plugin, 'csi.sock'), dataRoot: join(plugin, 'data') } as const

/** A line of the driver's log. */
export interface LogEntry {
  readonly message: string
  readonly [field: string]: unknown
}

/** The line that tells that the kubelet sends volumes. */
export function isRegistered({ message }: LogEntry): boolean {
  return message === 'the kubelet has registered the driver'
}

/** The line that tells that the socket is served and everything that was there is taken up. */
export function isServing({ message }: LogEntry): boolean {
  return message === 'serving'
}

/** Creates the driver's namespace, account, rights and CSIDriver object from the manifests that ship. */
export async function installDriver(controlPlane: ControlPlaneAccess): Promise<void> {
  for (const manifest of ['rbac.yaml', 'csidriver.yaml']) {
    await kubectl(controlPlane, ['apply', '-f', join(project, 'deploy/driver', manifest)])
  }
}

/**
 * The built driver as a DaemonSet's pod would run it: on the node, with its own service account and no other rights. Its log is
 * `log/driver` in the control plane's directory.
 */
export class DriverProcess {
  readonly #cluster: ClusterAccess
  readonly #kubeconfig: string
  readonly #flags: readonly string[]
  readonly #log: LogEntry[] = []
  readonly #listeners = new Set<() => void>()
  #child: ChildProcess | undefined
  #pid = 0

  private constructor(cluster: ClusterAccess, kubeconfig: string, flags: readonly string[]) {
    this.#cluster = cluster
    this.#kubeconfig = kubeconfig
    this.#flags = flags
  }

  /**
   * Starts the driver, which {@link installDriver} has made known, and resolves once the kubelet has registered it.
   *
   * @param flags - more flags of `podpass driver`
   * @param kubeconfig - who it is to the API server. @default its own service account, by a token
   */
  static async start(
    cluster: ClusterAccess,
    flags: readonly string[] = [],
    kubeconfig?: string,
  ): Promise<DriverProcess> {
    const account = { namespace: 'podpass', name: 'podpass-driver' }
    const own = kubeconfig ?? (await serviceAccountKubeconfig(cluster.controlPlane, account)).kubeconfig
    await mkdir(nodePath(cluster.node, plugin), { recursive: true })
    const driver = new DriverProcess(cluster, own, flags)
    await driver.start()
    return driver
  }

  /** Its process id, as this machine numbers it. */
  get pid(): number {
    return this.#pid
  }

  /** Everything it has logged, over all its starts. */
  get log(): readonly LogEntry[] {
    return this.#log
  }

  /**
   * Starts it again after it has ended and resolves once the kubelet has registered it.
   *
   * @param environment - more variables for this start
   * @param isUp - tells by a line of its log that it is up; without an API server, the kubelet registers nothing
   */
  async start(environment: Readonly<Record<string, string>> = {}, isUp = isRegistered): Promise<void> {
    const { node } = this.#cluster
    const flags = {
      'node-id': node.name,
      endpoint: `unix://${driverPaths.socket}`,
      'registration-dir': join(kubeletRoot, 'plugins_registry'),
      'data-root': driverPaths.dataRoot,
      kubeconfig: this.#kubeconfig,
      'log-level': 'debug',
    }
    const dying = ['setpriv', '--pdeathsig', 'KILL', '--']
    const program = [process.execPath, join(project, 'dist/podpass.cjs'), 'driver']
    const args = [...Object.entries(flags).map(([name, value]) => `--${name}=${value}`), ...this.#flags]
    // Twice, because entering a PID namespace takes a fork: the driver dies with nsenter, and nsenter with this process.
    const [command, ...rest] = [...dying, ...onNode(node), ...dying, ...program, ...args] as [string, ...string[]]
    const seen = this.#log.length
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // What this process was given for itself, such as NODE_OPTIONS, is not the driver's.
      env: { PATH: process.env['PATH'], ...environment },
      detached: true,
    })
    this.#child = child
    for (const output of [child.stdout, child.stderr]) createInterface(output).on('line', (line) => this.#take(line))
    child.on('exit', () => this.#notify())
    await once(child, 'spawn')
    this.#pid = await until('the driver to be on the node', () => onlyChild(child.pid ?? 0))
    await this.logged(isUp, seen)
  }

  /**
   * Waits for a line of its log.
   *
   * @param from - how many lines, from the first on, are not looked at
   * @throws {DaemonEndedError} where it ends first
   * @throws {TimedOutError} after `timeout` milliseconds
   */
  async logged(matches: (entry: LogEntry) => boolean, from: number, timeout = 60_000): Promise<LogEntry> {
    const deadline = AbortSignal.timeout(timeout)
    for (;;) {
      const found = this.#log.slice(from).find(matches)
      if (found) return found
      const last = this.#log.slice(-10).map((entry) => JSON.stringify(entry))
      if (!this.#runs()) throw new DaemonEndedError(`the driver ended:\n${last.join('\n')}`)
      if (deadline.aborted)
        throw new TimedOutError(`the driver did not log what was waited for, but:\n${last.join('\n')}`)
      await this.#change(deadline)
    }
  }

  /** Ends it as a kubelet does, and waits for that. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Ends it without giving it a chance, and waits for that. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Stops its process where it is, until {@link resume}: whoever calls it waits. */
  pause(): void {
    process.kill(this.#pid, 'SIGSTOP')
  }

  resume(): void {
    // nsenter stops itself with its child, and would not see its end.
    this.#child?.kill('SIGCONT')
    process.kill(this.#pid, 'SIGCONT')
  }

  /** Runs `podpass driver` on its node with a command for the one that runs there. @returns its standard output */
  ask(...command: readonly string[]): Promise<string> {
    const program = [join(project, 'dist/podpass.cjs'), 'driver', ...command, '--data-root', driverPaths.dataRoot]
    // What this process was given for itself is not for the program.
    return execOnNode(this.#cluster.node, 'env', '--unset=NODE_OPTIONS', process.execPath, ...program)
  }

  /** Waits until it has ended by itself. */
  async ended(): Promise<void> {
    const child = this.#child
    if (child && this.#runs()) await once(child, 'close', { signal: AbortSignal.timeout(60_000) })
  }

  #runs(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || !this.#runs()) return
    const ended = once(child, 'close')
    process.kill(this.#pid, signal)
    await ended
  }

  #take(line: string): void {
    appendFileSync(join(this.#cluster.controlPlane.directory, 'log/driver'), `${line}\n`)
    this.#log.push(line.startsWith('{') ? (JSON.parse(line) as LogEntry) : { message: line })
    this.#notify()
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Resolves with the next line, when the process ends, or when it is too late. */
  #change(deadline: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done)
        deadline.removeEventListener('abort', done)
        resolve()
      }
      this.#listeners.add(done)
      deadline.addEventListener('abort', done)
    })
  }
}
