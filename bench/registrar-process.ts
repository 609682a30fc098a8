import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { claimPort } from '../test/cluster/claim.ts'
import { Daemon } from '../test/cluster/daemon.ts'
import { until } from '../test/cluster/until.ts'
import { type EntryCalls, sumOf } from './spire-server.ts'

export interface RegistrarOptions {
  /** The launcher, as `copyProgram` gives it. */
  readonly program: string
  /** Of Node, before the program. */
  readonly nodeFlags: readonly string[]
  /** Takes the configuration and the log. */
  readonly directory: string
  readonly kubeconfig: string
  /** In HCL. */
  readonly configuration: string
  /** The namespace of its lock. */
  readonly namespace: string
}

/** The built registrar as its Deployment runs it. */
export class BenchRegistrar {
  readonly daemon: Daemon
  /** When its process was started, in epoch milliseconds. */
  readonly startedAt: number
  readonly #metrics: string

  private constructor(daemon: Daemon, startedAt: number, metrics: string) {
    this.daemon = daemon
    this.startedAt = startedAt
    this.#metrics = metrics
  }

  /** Resolves as soon as its process runs. */
  static async start(options: RegistrarOptions): Promise<BenchRegistrar> {
    const { program, nodeFlags, directory, kubeconfig, configuration, namespace } = options
    const folder = await mkdtemp(join(directory, 'registrar-'))
    const file = join(folder, 'registrar.conf')
    await writeFile(file, configuration)
    // Nobody but it listens there once the claim has ended.
    const { port, claim } = await claimPort()
    await claim.close()
    const own = ['--config', file, '--kubeconfig', kubeconfig, '--metrics-bind-address', `127.0.0.1:${port}`]
    const startedAt = Date.now()
    const daemon = await Daemon.start(process.execPath, [...nodeFlags, program, 'registrar', ...own], {
      log: join(directory, 'log/registrar'),
      env: { MY_POD_NAMESPACE: namespace },
    })
    return new BenchRegistrar(daemon, startedAt, `http://127.0.0.1:${port}/metrics`)
  }

  get pid(): number {
    return this.daemon.pid
  }

  /** Resolves once it owns at least so many entries and has nothing more to write. */
  async settled(entries: number): Promise<void> {
    const isSettled = async (): Promise<boolean> => {
      const text = await this.#read()
      const owned = sumOf(text, 'podpass_registrar_entries')
      const dirty = sumOf(text, 'podpass_registrar_dirty_keys')
      // Its own entries may be among the first that it lists.
      const listings = sumOf(text, 'podpass_registrar_verifications_total')
      return listings > 0 && owned >= entries && dirty === 0
    }
    await until('the registrar to settle', isSettled, {
      timeout: 300_000,
      interval: 250,
      orFail: this.daemon.failure(),
    })
  }

  /** Calls as it counts them itself; `list` counts whole listings and not their pages. */
  async calls(): Promise<EntryCalls> {
    const text = await this.#read()
    const sum = (method: string): number => sumOf(text, 'podpass_registrar_calls_total', `method="${method}"`)
    const list = sumOf(text, 'podpass_registrar_verifications_total')
    return { create: sum('create'), update: sum('update'), delete: sum('delete'), list }
  }

  /** It gives its lock up, so that the next one need not wait for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.close('SIGTERM')
  }

  async #read(): Promise<string> {
    return await (await fetch(this.#metrics)).text()
  }
}
