import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mountAt, parseMountInfo } from '../src/volume/mount-info.ts'
import { Daemon } from '../test/cluster/daemon.ts'
import { until } from '../test/cluster/until.ts'

/**
 * A mount namespace whose mounts are shared within it, as a node's are, and of which the machine sees nothing. Its mounts outlive the
 * driver, and end with it.
 */
export class MountNamespace {
  readonly #holder: Daemon

  private constructor(holder: Daemon) {
    this.#holder = holder
  }

  /** @param directory - one that exists; in here it is a mount of its own */
  static async start(directory: string): Promise<MountNamespace> {
    const share = 'mount --bind "$0" "$0"; mount --make-rshared /; exec sleep infinity'
    const program = ['--mount', '--propagation', 'private', 'sh', '-ec', share, directory]
    const holder = await Daemon.start('unshare', program, { log: join(directory, 'mount-namespace.log') })
    const isShared = async (): Promise<boolean> => {
      const mounts = parseMountInfo(await readFile(`/proc/${holder.pid}/mountinfo`, 'utf8'))
      return mountAt(mounts, directory)?.shared === true
    }
    await until('a mount namespace', isShared, { orFail: holder.failure(), interval: 10 })
    return new MountNamespace(holder)
  }

  /** What has to stand before a command so that it runs in here. */
  get within(): readonly string[] {
    return ['nsenter', '--target', String(this.#holder.pid), '--mount', '--']
  }

  async close(): Promise<void> {
    await this.#holder.close()
  }
}
