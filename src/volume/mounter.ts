/** How a volume's private memory is made. */
export interface PrivateMountOptions {
  /** The most that fits, in bytes. */
  readonly size: number
  /** An SELinux context for every file, as the kubelet gives it in mount_flags (`context="…"`). */
  readonly selinuxContext?: string
}

/** What the target of a volume shows. */
export type Shown = 'exactly' | 'something else' | 'nothing'

/**
 * Mounts, in the words of a volume: private memory that only root reaches, and a read-only window into a part of it for the pod.
 * All of it is idempotent.
 */
export interface Mounter {
  /** Where keys are kept, for people, such as `tmpfs (noswap) and bind mounts`. */
  readonly description: string
  /**
   * Mounts memory at `directory`, mode 0700, and makes `directory` where it is missing.
   *
   * @returns whether the kernel promised never to write it to swap
   * @throws {MountError}
   */
  mountPrivate(directory: string, options: PrivateMountOptions): Promise<{ readonly noswap: boolean }>
  /**
   * Whether private memory is mounted at `directory`. It is asked first after a restart, so it also takes away what a process that
   * ended in the middle of {@link show} has left there.
   */
  isPrivate(directory: string): Promise<boolean>
  /**
   * Shows `source`, a folder right in private memory, at `target`, read-only for whoever sees that path. The target is made where
   * it is missing; its parent must exist.
   *
   * @throws {MountError}
   */
  show(source: string, target: string): Promise<void>
  /**
   * Takes hold again of what `target` shows, where the private memory that it came from was unmounted, and binds it, writable, to
   * `source`, a folder right in new private memory: whoever sees the target sees what is written there.
   *
   * @returns false where the target shows nothing of the kind, or `source` already
   * @throws {MountError}
   */
  regain(source: string, target: string): Promise<boolean>
  /** What `target` shows of `source`. */
  shows(source: string, target: string): Promise<Shown>
  /**
   * Takes away whatever is mounted at `path`, all layers of it.
   *
   * @returns whether anything was mounted
   * @throws {MountError}
   */
  unmount(path: string): Promise<boolean>
}

/** A mount or unmount that the system refused. */
export class MountError extends Error {
  override readonly name = 'MountError'
  readonly code = 'MOUNT_FAILED'
  readonly operation: string
  readonly path: string
  /** The errno name, such as EBUSY, where it is known. */
  readonly errno: string

  constructor(operation: string, path: string, errno: string, detail = '') {
    super(`cannot ${operation} ${path}: ${errno}${detail === '' ? '' : ` (${detail})`}`)
    this.operation = operation
    this.path = path
    this.errno = errno
  }
}
