import { execFile } from 'node:child_process'
import { constants, mkdirSync, rmdirSync, type Stats, statfsSync, statSync } from 'node:fs'
import { access, mkdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Libc, mountAttributes, mountFlags, unmountFlags } from '../runtime/libc.ts'
import { mountAt, type MountEntry, readMountInfo } from './mount-info.ts'
import { MountError, type Mounter, type PrivateMountOptions, type Shown } from './mounter.ts'
import { hasLabels, type TmpfsOffer, tmpfsAttempts } from './tmpfs-options.ts'

/** The few system calls a volume needs, by whatever way they reach the kernel. Each gives the errno name of a failure. */
export interface MountCalls {
  readonly description: string
  mountTmpfs(target: string, data: string): Promise<string | undefined>
  bind(source: string, target: string): Promise<string | undefined>
  /** Makes the mount at `target`, and only it, read-only (not the file system that others see). */
  makeReadOnly(target: string): Promise<string | undefined>
  /** Makes the mount at `target`, and only it, writable again. */
  makeWritable(target: string): Promise<string | undefined>
  unmount(target: string, lazy: boolean): Promise<string | undefined>
  /** Shows `source` at `target`, read-only or writable, in one step. Absent where it cannot be done in one. */
  readonly show?: (source: string, target: string, access: Access) => Promise<string | undefined>
}

/** What a bind mount allows. */
export type Access = 'read-only' | 'writable'

/** mount(2) and umount2(2). They do no I/O on tmpfs and binds, so calling them takes microseconds and does not block. */
export function systemCalls(libc: Libc): MountCalls {
  const { readOnly, noSuid, noDev, noExec, remount, bind } = mountFlags
  const safe = noSuid | noDev | noExec
  const safeAttributes = mountAttributes.noSuid | mountAttributes.noDev | mountAttributes.noExec
  return {
    description: 'mount(2)',
    mountTmpfs: async (target, data) => libc.mount('podpass', target, 'tmpfs', safe, data),
    bind: async (source, target) => libc.mount(source, target, null, bind, null),
    makeReadOnly: async (target) => libc.mount('none', target, null, bind | remount | readOnly | safe, null),
    makeWritable: async (target) => libc.mount('none', target, null, bind | remount | safe, null),
    unmount: async (target, lazy) => libc.unmount(target, lazy ? unmountFlags.detach : 0),
    show: async (source, target, access) =>
      access === 'read-only'
        ? libc.cloneMount(source, target, safeAttributes | mountAttributes.readOnly, 0)
        : libc.cloneMount(source, target, safeAttributes, mountAttributes.readOnly),
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
    makeWritable: (target) => call('mount', '-i', '-o', 'remount,bind,rw,nosuid,nodev,noexec', target),
    unmount: (target, lazy) => call('umount', '-i', ...(lazy ? ['-l'] : []), target),
  }
}

/** How many mounts may lie on one path before something else must be wrong. */
const mostLayers = 64

/** What statfs(2) says of a tmpfs. */
const tmpfsMagic = 0x01021994

/** Where a bind mount is made read-only, or writable, before it is bound to its place: in private memory, for a moment. */
function windowIn(directory: string): string {
  return join(directory, 'window')
}

/** The mount seen at a path. The kernel lists mounts by where they really are, so symbolic links above it are resolved. */
async function seenAt(path: string): Promise<MountEntry | undefined> {
  const real = await realpath(path).catch(() => path)
  return mountAt(await readMountInfo((mountPoint) => mountPoint === real), real)
}

/**
 * Real mounts: a tmpfs for each volume, shown to the pod by a read-only bind mount. With many volumes the list of mounts is long,
 * so where the file system itself can tell it is not read.
 *
 * What is looked at of the driver's own folders is looked at synchronously, as in payload-writer.ts. A target is the kubelet's: nobody
 * knows on what file system, or below what other mount, so it is only ever touched by Node's threads.
 */
export class SystemMounter implements Mounter {
  readonly description: string
  readonly #calls: MountCalls
  /** What the kernel has refused is not asked for again. Whether there are labels is looked at once. */
  #offer: TmpfsOffer | undefined

  constructor(calls: MountCalls) {
    this.#calls = calls
    this.description = `tmpfs and read-only bind mounts by ${calls.description}`
  }

  async mountPrivate(directory: string, options: PrivateMountOptions): Promise<{ readonly noswap: boolean }> {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (await this.isPrivate(directory)) {
      return { noswap: (await seenAt(directory))?.superOptions.includes('noswap') === true }
    }
    this.#offer ??= { noswap: true, labels: hasLabels(await readMountInfo()) }
    let refusal: string | undefined
    for (const { data, noswap, labelled } of tmpfsAttempts(options, this.#offer)) {
      refusal = await this.#calls.mountTmpfs(directory, data)
      if (refusal === undefined) {
        this.#offer = { noswap, labels: this.#offer.labels && (labelled || options.selinuxContext !== undefined) }
        return { noswap }
      }
      if (refusal !== 'EINVAL') break
    }
    throw new MountError('mount tmpfs at', directory, refusal ?? 'EINVAL')
  }

  async isPrivate(directory: string): Promise<boolean> {
    await this.#close(windowIn(directory))
    const own = statSync(directory, { throwIfNoEntry: false })
    if (own === undefined || own.dev === statSync(dirname(directory)).dev) return false
    return statfsSync(directory).type === tmpfsMagic
  }

  async show(source: string, target: string): Promise<void> {
    // A target that had to be made shows nothing.
    if (!(await makeFolder(target))) {
      const shown = await this.shows(source, target)
      if (shown === 'exactly') return
      if (shown === 'something else') await this.unmount(target)
    }
    await this.#bindBy(windowIn(dirname(source)), source, target, 'read-only')
  }

  async regain(source: string, target: string): Promise<boolean> {
    const [ours, theirs] = [statSync(source), await statOrNothing(target)]
    if (theirs === undefined || (ours.dev === theirs.dev && ours.ino === theirs.ino)) return false
    const shown = await seenAt(target)
    // Of a folder that was removed, in which nothing can be written any more, the kernel says `//deleted`.
    if (shown?.type !== 'tmpfs' || basename(shown.root) !== basename(source)) return false
    await this.#bindBy(windowIn(dirname(source)), target, source, 'writable')
    return true
  }

  async shows(source: string, target: string): Promise<Shown> {
    const [ours, theirs] = [statSync(source), await statOrNothing(target)]
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

  /**
   * Binds one path to another, read-only or writable.
   *
   * What a mount is changed to in this namespace its copies in others are not: the host would keep one of the other kind. The copies of
   * a mount that is of the right kind already are of that kind too. So it is made so before it is seen anywhere: where the kernel can
   * (Linux 5.12) as a clone that is attached nowhere, else in a window, from which it is bound.
   */
  async #bindBy(window: string, from: string, to: string, access: Access): Promise<void> {
    await this.#close(window)
    // Whatever refuses the short way, an older kernel or a filter of system calls, the long one is tried, and its errors are told.
    const { show } = this.#calls
    if (show !== undefined && (await show(from, to, access)) === undefined) return
    const change = access === 'read-only' ? 'makeReadOnly' : 'makeWritable'
    mkdirSync(window, { mode: 0o700 })
    try {
      const notBound = await this.#calls.bind(from, window)
      if (notBound !== undefined) throw new MountError(`bind ${from} to`, window, notBound)
      const notChanged = await this.#calls[change](window)
      if (notChanged !== undefined) throw new MountError(`make ${access}`, window, notChanged)
      const notShown = await this.#calls.bind(window, to)
      if (notShown !== undefined) throw new MountError(`bind ${from} to`, to, notShown)
    } finally {
      await this.#close(window)
    }
  }

  /** Takes a window away, if there is one, whoever looks through it. */
  async #close(window: string): Promise<void> {
    if (statSync(window, { throwIfNoEntry: false }) === undefined) return
    const refusal = await this.#calls.unmount(window, true)
    // umount(2) says EINVAL of a folder that is no mount.
    if (refusal !== undefined && refusal !== 'EINVAL') throw new MountError('unmount', window, refusal)
    rmdirSync(window)
  }
}

/**
 * @returns false where it is there already
 * @throws {MountError}
 */
async function makeFolder(path: string): Promise<boolean> {
  return mkdir(path, { mode: 0o750 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      throw new MountError('make the folder', path, error.code ?? error.message)
    },
  )
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  return stat(path, { throwIfNoEntry: false })
}

/** Whether the mount that a path lies in takes no writes, as far as root can tell by asking: no mode refuses it. */
async function refusesWrites(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EROFS',
  )
}
