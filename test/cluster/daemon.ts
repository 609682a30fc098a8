import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { logTail } from './log-tail.ts'

/** A server that ended while somebody waited for it. */
export class DaemonEndedError extends Error {
  override readonly name = 'DaemonEndedError'
  readonly code = 'DAEMON_ENDED'
}

export interface DaemonOptions {
  /** The file that takes its output, appended. */
  readonly log: string
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
}

/**
 * A server that runs beside the tests and never outlives the process that started it: it carries a parent-death signal (prctl(2)
 * PR_SET_PDEATHSIG), so the kernel ends it even after a kill -9.
 */
export class Daemon {
  readonly command: string
  readonly log: string
  readonly pid: number
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>
  readonly #child: ChildProcess

  private constructor(command: string, log: string, child: ChildProcess) {
    if (child.pid === undefined) throw new DaemonEndedError(`${command} cannot be started`)
    this.command = command
    this.log = log
    this.pid = child.pid
    this.#child = child
    this.ended = once(child, 'exit').then(() => {})
  }

  static async start(command: string, args: readonly string[], options: DaemonOptions): Promise<Daemon> {
    await using log = await open(options.log, 'a')
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, ...options.env },
      // Out of reach of the terminal's Ctrl-C: the test runner decides when it ends.
      detached: true,
    })
    await once(child, 'spawn')
    return new Daemon(command, options.log, child)
  }

  /**
   * Rejects when it ends, with the end of its log. For whoever waits for it to get ready.
   *
   * @throws {DaemonEndedError}
   */
  async failure(): Promise<never> {
    await this.ended
    throw new DaemonEndedError(`${this.command} ended; its log ends with:\n${await logTail(this.log)}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it and waits for that. */
  async close(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.kill(signal)
    await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
