import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readMountInfo } from '../volume/mount-info.ts'

/** What a play has not cleaned up, as paths; all of it should be empty. */
export interface Leftovers {
  /** Volumes whose unpublish failed, with the reason. */
  readonly volumes: readonly string[]
  readonly mounts: readonly string[]
  readonly files: readonly string[]
  readonly sockets: readonly string[]
}

/** What stays by design once the driver has closed: its data root, empty but for the lock that a successor takes. */
const expected = new Set(['data', 'data/lock', 'data/volumes', 'kubelet'])

/**
 * Looks for anything below a play's folder that should be gone.
 *
 * @param root - the folder of the play, itself left out
 * @param failures - what is known to have gone wrong
 */
export async function findLeftovers(root: string, failures: readonly string[]): Promise<Leftovers> {
  const mounts = (await readMountInfo())
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${root}/`))
  const files: string[] = []
  const sockets: string[] = []
  const walk = async (below: string): Promise<void> => {
    for (const name of await readdir(join(root, below))) {
      const path = join(below, name)
      const found = await lstat(join(root, path))
      if (found.isSocket()) sockets.push(join(root, path))
      else if (!expected.has(path)) files.push(join(root, path))
      if (found.isDirectory()) await walk(path)
    }
  }
  await walk('')
  return { volumes: failures, mounts, files, sockets }
}
