import { execFile } from 'node:child_process'
import { constants, type Stats } from 'node:fs'
import { access, mkdir, realpath, rmdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Libc, mountFlags, unmountFlags } from '../runtime/libc.ts'
import { mountAt, type MountEntry, readMountInfo } from './mount-info.ts'
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
      // A path may hold any of these words, so it is left out.
      const reason = args.filter((arg) => arg.startsWith('/')).reduce((rest, path) => rest.replaceAll(path, ''), text)
      if (/not mounted|no mount point/.test(reason)) return 'EINVAL'
      if (/wrong fs type|bad option|unknown parameter|invalid argument/i.test(reason)) return 'EINVAL'
      if (/busy/i.test(reason)) return 'EBUSY'
      if (/no such file|does not exist/i.test(reason)) return 'ENOENT'
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

/** What statfs(2) says of a tmpfs. */
const tmpfsMagic = 0x01021994

/** Where a volume's files are made read-only before they are bound to its target: in its private memory, for a moment. */
function windowIn(directory: string): string {
  return join(directory, 'window')
}

/** The mount seen at a path. The kernel lists mounts by where they really are, so symbolic links above it are resolved. */
async function seenAt(path: string): Promise<MountEntry | undefined> {
  const real = await realpath(path).catch(() => path)
  return mountAt(await readMountInfo(), real)
}

/**
 * Real mounts: a tmpfs for each volume, shown to the pod by a read-only bind mount. With many volumes the list of mounts is long,
 * so where the file system itself can tell it is not read.
 */
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
    if (await this.isPrivate(directory)) {
      return { noswap: (await seenAt(directory))?.superOptions.includes('noswap') === true }
    }
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
    await this.#close(windowIn(directory))
    try {
      const [own, above, system] = await Promise.all([stat(directory), stat(dirname(directory)), statfs(directory)])
      return own.dev !== above.dev && system.type === tmpfsMagic
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  async show(source: string, target: string): Promise<void> {
    const shown = await this.shows(source, target)
    if (shown === 'exactly') return
    if (shown === 'something else') await this.unmount(target)
    await mkdir(target, { mode: 0o750 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw new MountError('make the folder', target, error.code ?? error.message)
    })
    // Read-only is what this namespace's mount becomes, not its copies in others: the host would keep a writable one. The copies of
    // a mount that is read-only already are read-only too. So it is made so elsewhere first, and bound to the target from there.
    const window = windowIn(dirname(source))
    await this.#close(window)
    await mkdir(window, { mode: 0o700 })
    try {
      const notBound = await this.#calls.bind(source, window)
      if (notBound !== undefined) throw new MountError(`bind ${source} to`, window, notBound)
      const stillWritable = await this.#calls.makeReadOnly(window)
      if (stillWritable !== undefined) throw new MountError('make read-only', window, stillWritable)
      const notShown = await this.#calls.bind(window, target)
      if (notShown !== undefined) throw new MountError(`bind ${source} to`, target, notShown)
    } finally {
      await this.#close(window)
    }
  }

  async shows(source: string, target: string): Promise<Shown> {
    const [ours, theirs] = await Promise.all([stat(source), statOrNothing(target)])
    if (theirs === undefined) return 'nothing'
    const same = ours.dev === theirs.dev && ours.ino === theirs.ino
    if (same && (await refusesWrites(target))) return 'exactly'
    const mounted = await seenAt(target)
    if (mounted === undefined) return 'nothing'
    return same && mounted.options.includes('ro') ? 'exactly' : 'something else'
  }

  async unmount(path: string): Promise<boolean> {
    for (let layers = 0; layers <= mostLayers; layers++) {
      const refusal = await this.#calls.unmount(path, false)
      // A process that still has a file open keeps the mount busy; detached, it goes with that process. Its files are wiped before.
      const lazily = refusal === 'EBUSY' ? await this.#calls.unmount(path, true) : refusal
      // umount(2) says EINVAL of a path that is there and is no mount.
      if (lazily === 'EINVAL' || lazily === 'ENOENT') return layers > 0
      if (lazily !== undefined) throw new MountError('unmount', path, lazily)
    }
    throw new MountError('unmount', path, 'EBUSY', `more than ${mostLayers} mounts on one path`)
  }

  /** Takes a window away, if there is one, whoever looks through it. */
  async #close(window: string): Promise<void> {
    try {
      await rmdir(window)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY') throw error
      const refusal = await this.#calls.unmount(window, true)
      if (refusal !== undefined) throw new MountError('unmount', window, refusal)
      await rmdir(window)
    }
  }
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}

/** Whether the mount that a path lies in takes no writes, as far as root can tell by asking: no mode refuses it. */
async function refusesWrites(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EROFS',
  )
}
