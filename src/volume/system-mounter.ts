import { execFile } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { type Libc, mountFlags, unmountFlags } from '../runtime/libc.ts'
import { readMountInfo, mountAt } from './mount-info.ts'
import { MountError, type Mounter, type PrivateMountOptions, type Shown } from './mounter.ts'

/** The few system calls a volume needs, by whatever way they reach the kernel. Each gives the errno name of a failure. */
export interface MountCalls {
  readonly description: string
  mountTmpfs(target: string, data: string): Promise<string | undefined>
  bind(source: string, target: string): Promise<string | undefined>
  /** Makes the mount at `target`, and only it, read-only (not the file system that others see). */
  makeReadOnly(target: string): Promise<string | undefined>
  unmount(target: string, lazy: boolean): Promise<string | undefined>
}

/** mount(2) and umount2(2). They do no I/O on tmpfs and binds, so calling them takes microseconds and does not block. */
export function systemCalls(libc: Libc): MountCalls {
  const { readOnly, noSuid, noDev, noExec, remount, bind } = mountFlags
  const safe = noSuid | noDev | noExec
  return {
    description: 'mount(2)',
    mountTmpfs: async (target, data) => libc.mount('podpass', target, 'tmpfs', safe, data),
    bind: async (source, target) => libc.mount(source, target, null, bind, null),
    makeReadOnly: async (target) => libc.mount('none', target, null, bind | remount | readOnly | safe, null),
    unmount: async (target, lazy) => libc.unmount(target, lazy ? unmountFlags.detach : 0),
  }
}

const run = promisify(execFile)

/** mount(8) and umount(8), for machines that koffi has no build for. Errors are the program's own words. */
export function mountCommands(): MountCalls {
  const call = async (program: string, ...args: string[]): Promise<string | undefined> => {
    try {
      await run(program, args, { env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } })
      return undefined
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string }
      const text = (stderr ?? '').trim() || message
      if (/not mounted|no mount point/.test(text)) return 'EINVAL'
      if (/wrong fs type|bad option|Unknown parameter/i.test(text)) return 'EINVAL'
      if (/busy/.test(text)) return 'EBUSY'
      return text
    }
  }
  return {
    description: 'mount(8)',
    mountTmpfs: (target, data) =>
      call('mount', '-i', '-t', 'tmpfs', '-o', `nosuid,nodev,noexec,${data}`, 'podpass', target),
    bind: (source, target) => call('mount', '-i', '--bind', source, target),
    makeReadOnly: (target) => call('mount', '-i', '-o', 'remount,bind,ro,nosuid,nodev,noexec', target),
    unmount: (target, lazy) => call('umount', '-i', ...(lazy ? ['-l'] : []), target),
  }
}

/** How many mounts may lie on one path before something else must be wrong. */
const mostLayers = 64

/** Real mounts: a tmpfs for each volume, shown to the pod by a read-only bind mount. */
export class SystemMounter implements Mounter {
  readonly description: string
  readonly #calls: MountCalls
  /** Linux before 6.3, and user namespaces, refuse noswap; asked once. */
  #noswap = true

  constructor(calls: MountCalls) {
    this.#calls = calls
    this.description = `tmpfs and read-only bind mounts by ${calls.description}`
  }

  async mountPrivate(directory: string, options: PrivateMountOptions): Promise<{ readonly noswap: boolean }> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const mounted = mountAt(await readMountInfo(), directory)
    if (mounted !== undefined) return { noswap: mounted.superOptions.includes('noswap') }
    const { size, selinuxContext } = options
    const context = selinuxContext === undefined ? '' : `,context="${selinuxContext}"`
    const base = `size=${size},mode=0700${context}`
    if (this.#noswap) {
      const refusal = await this.#calls.mountTmpfs(directory, `${base},noswap`)
      if (refusal === undefined) return { noswap: true }
      if (refusal !== 'EINVAL') throw new MountError('mount tmpfs at', directory, refusal)
    }
    const refusal = await this.#calls.mountTmpfs(directory, base)
    if (refusal !== undefined) throw new MountError('mount tmpfs at', directory, refusal)
    this.#noswap = false
    return { noswap: false }
  }

  async isPrivate(directory: string): Promise<boolean> {
    return mountAt(await readMountInfo(), directory)?.type === 'tmpfs'
  }

  async show(source: string, target: string): Promise<void> {
    const shown = await this.shows(source, target)
    if (shown === 'exactly') return
    if (shown === 'something else') await this.unmount(target)
    await mkdir(target, { mode: 0o750 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw new MountError('make the folder', target, error.code ?? error.message)
    })
    const refusal = await this.#calls.bind(source, target)
    if (refusal !== undefined) throw new MountError(`bind ${source} to`, target, refusal)
    const stillWritable = await this.#calls.makeReadOnly(target)
    if (stillWritable === undefined) return
    await this.#calls.unmount(target, true)
    throw new MountError('make read-only', target, stillWritable)
  }

  async shows(source: string, target: string): Promise<Shown> {
    const mounted = mountAt(await readMountInfo(), target)
    if (mounted === undefined) return 'nothing'
    const [ours, theirs] = await Promise.all([stat(source), stat(target)])
    const same = ours.dev === theirs.dev && ours.ino === theirs.ino
    return same && mounted.options.includes('ro') ? 'exactly' : 'something else'
  }

  async unmount(path: string): Promise<boolean> {
    let layers = 0
    while (mountAt(await readMountInfo(), path) !== undefined) {
      const refusal = await this.#calls.unmount(path, false)
      // A process that still has a file open keeps the mount busy; detached, it goes with that process. Its files are wiped before.
      const lazily = refusal === 'EBUSY' ? await this.#calls.unmount(path, true) : refusal
      if (lazily !== undefined && lazily !== 'EINVAL') throw new MountError('unmount', path, lazily)
      layers++
      if (layers > mostLayers)
        throw new MountError('unmount', path, 'EBUSY', `more than ${mostLayers} mounts on one path`)
    }
    return layers > 0
  }
}
