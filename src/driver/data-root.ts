import { access, constants, type FileHandle, mkdir, open, readFile, realpath, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Libc } from '../runtime/libc.ts'
import type { Log } from '../runtime/log.ts'
import { formerFolder } from './former-metadata.ts'
import { liesIn, mountOf, readMountInfo } from '../volume/mount-info.ts'

/** How often a lock that another process holds is tried again, in milliseconds; flock(2) can only be waited for by blocking. */
const lockPause = 100

/** A data root that cannot be locked. */
export class DataRootError extends Error {
  override readonly name = 'DataRootError'
  readonly code = 'DATA_ROOT_UNUSABLE'
}

/** The folder in which the driver keeps its volumes, held by one process at a time. */
export interface DataRoot {
  readonly volumes: string
  /** Where cert-manager's csi-driver keeps its volumes. */
  readonly former: string
  /** Why no new volume can be made in it now, for people; undefined where one can. */
  obstacle(): Promise<string | undefined>
  close(): Promise<void>
}

/**
 * Makes the data root and locks it: one writer at a time, whoever else was started. The kernel lets go of the lock when the
 * process ends, however it ends.
 *
 * @param libc - undefined where flock(2) cannot be called; then a second driver is only noticed by its socket
 * @throws {DataRootError} where the file system does not lock
 * @throws the signal's reason
 */
export async function openDataRoot(
  path: string,
  libc: Libc | undefined,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<DataRoot> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const lock = await open(join(path, 'lock'), 'w', 0o600)
  try {
    for (let waited = false; ; waited = true) {
      const refusal = libc?.lockExclusive(lock.fd)
      if (refusal === undefined) break
      if (refusal !== 'EAGAIN') {
        throw new DataRootError(
          `cannot lock ${join(path, 'lock')}: ${refusal}; choose a data root on a local file system`,
        )
      }
      if (!waited) log.info({ dataRoot: path }, 'another driver holds the data root; waiting for it to end')
      await sleep(clock, lockPause, signal)
    }
  } catch (error) {
    await lock.close()
    throw error
  }
  return {
    volumes: join(path, 'volumes'),
    former: join(path, formerFolder),
    obstacle: () => dataRootObstacle(path, lock),
    close: () => lock.close(),
  }
}

async function dataRootObstacle(path: string, lock: FileHandle): Promise<string | undefined> {
  try {
    await access(path, constants.W_OK | constants.X_OK)
    const [held, found] = await Promise.all([lock.stat(), stat(join(path, 'lock'))])
    if (held.ino !== found.ino || held.dev !== found.dev) {
      return `the data root ${path} is another folder than at the start: restart the driver`
    }
    const { bavail, ffree, files } = await statfs(path)
    // Some file systems make inodes as they are needed, and count none.
    if (bavail === 0 || (files > 0 && ffree === 0)) return `the file system of the data root ${path} is full`
    return undefined
  } catch (error) {
    return `the data root ${path} cannot be used: ${(error as Error).message}`
  }
}

/**
 * Looks whether what the driver mounts reaches the kubelet and outlives the driver's container: the mounts that hold the data
 * root and the pods folder must be shared with the host.
 *
 * @returns what to change, for people, or undefined where all is well
 */
export async function mountObstacle(dataRoot: string, podsDirectory: string | undefined): Promise<string | undefined> {
  const paths = await Promise.all(
    [dataRoot, podsDirectory]
      .filter((path) => path !== undefined)
      .map(async (path) => ({ path, real: await realpath(path).catch(() => path) })),
  )
  const mounts = await readMountInfo((mountPoint) => paths.some(({ real }) => liesIn(real, mountPoint)))
  const wrong = paths.filter(({ real }) => mountOf(mounts, real)?.shared !== true).map(({ path }) => path)
  if (wrong.length === 0) return undefined
  return (
    `${wrong.join(' and ')} ${wrong.length === 1 ? 'is' : 'are'} not on a mount shared with the host, so pods would not see their ` +
    'volumes; give the volumeMounts of the driver mountPropagation: Bidirectional'
  )
}

/** The kernel's id of this boot: what was in memory under another one is gone. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

/** Whether any swap is on. */
export async function swapIsOn(): Promise<boolean> {
  const text = await readFile('/proc/swaps', 'utf8').catch(() => '')
  return text.trim().split('\n').length > 1
}

/** The pods folder of a kubelet, told from the path of the CSI socket below its plugins folder. */
export function podsDirectoryOf(endpoint: string): string | undefined {
  const root = /^(.*)\/plugins\/[^/]+\/[^/]+$/.exec(endpoint)?.[1]
  return root === undefined ? undefined : `${root}/pods`
}
