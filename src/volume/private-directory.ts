import { chmod, lstat, mkdir, readlink, rename, rm, rmdir, stat, symlink } from 'node:fs/promises'
import type { Mounter, Shown } from './mounter.ts'

/**
 * Folders and links in the place of mounts, for a quick start where the system allows neither root nor user namespaces. Keys are
 * then files like any other of this user, so a node never uses it.
 */
export const privateDirectory: Mounter = {
  description: 'a private folder, without mounts',

  async mountPrivate(directory) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await chmod(directory, 0o700)
    return { noswap: false }
  },

  async isPrivate(directory) {
    return stat(directory).then(
      (found) => found.isDirectory(),
      () => false,
    )
  },

  async show(source, target) {
    if ((await privateDirectory.shows(source, target)) === 'exactly') return
    const found = await lstat(target).catch(() => undefined)
    if (found?.isDirectory() === true) await rmdir(target)
    const fresh = `${target}.new`
    await rm(fresh, { force: true })
    await symlink(source, fresh)
    await rename(fresh, target)
  },

  async regain() {
    // A link holds nothing once its folder is gone.
    return false
  },

  async shows(source, target): Promise<Shown> {
    const link = await readlink(target).catch(() => undefined)
    if (link === source) return 'exactly'
    return link === undefined ? 'nothing' : 'something else'
  },

  async unmount(path) {
    const found = await lstat(path).catch(() => undefined)
    if (found?.isSymbolicLink() !== true) return false
    await rm(path)
    return true
  },
}
