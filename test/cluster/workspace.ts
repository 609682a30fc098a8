import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/**
 * A directory, and a cgroup name of its own, that vanish from the machine when they are closed or when this process ends in any
 * other way. A process apart sees to that: it waits for the end of a pipe that only we hold.
 */
export class Workspace {
  readonly directory: string
  readonly #sweeper: ChildProcessByStdio<Writable, null, Readable>

  private constructor(directory: string) {
    this.directory = directory
    this.#sweeper = spawn(join(import.meta.dirname, 'sweep.sh'), [directory], {
      stdio: ['pipe', 'ignore', 'pipe'],
      // Out of reach of the terminal's Ctrl-C.
      detached: true,
    })
    this.#sweeper.unref()
  }

  static async create(): Promise<Workspace> {
    return new Workspace(await mkdtemp(join(tmpdir(), 'podpass-cluster-')))
  }

  /** The name of the cgroup below which containers belong that are to vanish with this workspace. */
  get cgroup(): string {
    return basename(this.directory)
  }

  /** Whoever uses the directory has to be stopped before. */
  async close(): Promise<void> {
    const sweeper = this.#sweeper
    if (sweeper.exitCode !== null) return
    sweeper.ref()
    const ended = once(sweeper, 'exit')
    sweeper.stdin.end()
    const [said] = await Promise.all([text(sweeper.stderr), ended])
    if (sweeper.exitCode !== 0) throw new Error(said.trim())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
