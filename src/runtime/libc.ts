import type * as Koffi from 'koffi'
import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'

/** The calls of the C library that Node does not offer. Each returns the errno name of a failure, or undefined. */
export interface Libc {
  /** mount(2) */
  mount(source: string, target: string, type: string | null, flags: number, data: string | null): string | undefined
  /** umount2(2) */
  unmount(target: string, flags: number): string | undefined
  /**
   * Clones the mount at `source` (open_tree(2)), changes the clone alone (mount_setattr(2)) and attaches it to `target`
   * (move_mount(2)). Linux 5.12; ENOSYS before.
   *
   * @param set - {@link mountAttributes} to set
   * @param clear - those to clear
   */
  cloneMount(source: string, target: string, set: number, clear: number): string | undefined
  /** flock(2) with LOCK_EX | LOCK_NB */
  lockExclusive(descriptor: number): string | undefined
  /** Forbids core dumps and reading this process's memory: setrlimit(RLIMIT_CORE, 0), prctl(PR_SET_DUMPABLE, 0). */
  forbidDumps(): string | undefined
}

export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  bind: 4096,
} as const

/** MOUNT_ATTR_* of mount_setattr(2). */
export const mountAttributes = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8 } as const

export const unmountFlags = { detach: 2 } as const

/** The newer system calls have the same numbers on every architecture, and no function in older C libraries. */
const systemCall = { openTree: 428, moveMount: 429, mountSetattr: 442 } as const
const currentDirectory = -100
const openTreeClone = 1
const closeOnExec = 0o2000000
const emptyPath = 0x1000
const moveMountFromEmptyPath = 4

const lockExclusiveNonBlocking = 2 | 4
const resourceCore = 4
const prctlSetDumpable = 4

const errnoNames = new Map<number, string>()
for (const [name, number] of Object.entries(constants.errno)) {
  if (!errnoNames.has(number)) errnoNames.set(number, name)
}

/**
 * Binds the C library through koffi, which stays outside the bundle because it is native.
 *
 * @returns undefined where koffi has no build for this machine
 */
export function loadLibc(): Libc | undefined {
  let koffi: typeof Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  } catch {
    return undefined
  }
  const library = koffi.load(null)
  const mount = library.func('int mount(const char *, const char *, const char *, unsigned long, const char *)')
  const umount2 = library.func('int umount2(const char *, int)')
  const syscall = {
    openTree: library.func('syscall', 'long', ['long', 'int', 'const char *', 'unsigned int']),
    mountSetattr: library.func('syscall', 'long', [
      'long',
      'int',
      'const char *',
      'unsigned int',
      'const uint64_t *',
      'size_t',
    ]),
    moveMount: library.func('syscall', 'long', ['long', 'int', 'const char *', 'int', 'const char *', 'unsigned int']),
  }
  const flock = library.func('int flock(int, int)')
  const setrlimit = library.func('int setrlimit(int, const uint64_t *)')
  const prctl = library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
  // Between a call and the reading of its errno nothing of this thread runs but the engine, whose own calls do not fail.
  const outcome = (result: unknown): string | undefined => {
    if (result === 0) return undefined
    const errno = koffi.errno()
    return errnoNames.get(errno) ?? `errno ${errno}`
  }
  return {
    mount: (source, target, type, flags, data) => outcome(mount(source, target, type, flags, data)),
    unmount: (target, flags) => outcome(umount2(target, flags)),
    cloneMount(source, target, set, clear) {
      const tree = Number(syscall.openTree(systemCall.openTree, currentDirectory, source, openTreeClone | closeOnExec))
      if (tree < 0) return outcome(tree)
      try {
        // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
        const attributes = new BigUint64Array([BigInt(set), BigInt(clear), 0n, 0n])
        return (
          outcome(
            Number(
              syscall.mountSetattr(systemCall.mountSetattr, tree, '', emptyPath, attributes, attributes.byteLength),
            ),
          ) ??
          outcome(
            Number(syscall.moveMount(systemCall.moveMount, tree, '', currentDirectory, target, moveMountFromEmptyPath)),
          )
        )
      } finally {
        closeSync(tree)
      }
    },
    lockExclusive: (descriptor) => outcome(flock(descriptor, lockExclusiveNonBlocking)),
    forbidDumps: () =>
      outcome(setrlimit(resourceCore, new BigUint64Array([0n, 0n]))) ?? outcome(prctl(prctlSetDumpable, 0, 0, 0, 0)),
  }
}
