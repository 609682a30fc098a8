import type { MountEntry } from './mount-info.ts'
import type { PrivateMountOptions } from './mounter.ts'

/** What a kernel offers for a volume's memory, as far as it is known. */
export interface TmpfsOffer {
  /** Whether it may keep the memory out of swap. Linux before 6.3, and user namespaces, refuse to. */
  readonly noswap: boolean
  /** Whether SELinux is on, so that files have labels. */
  readonly labels: boolean
}

/** A way to mount a volume's memory. */
export interface TmpfsAttempt {
  /** The options for mount(2). */
  readonly data: string
  readonly noswap: boolean
  /** Whether it has a label that nobody has asked for. */
  readonly labelled: boolean
}

/**
 * What the files of a volume are to SELinux where the kubelet says nothing: files that any container may read. tmpfs would give them
 * a type that no container may. The kubelet does not relabel them, because their mount is read-only.
 */
const containerFiles = 'system_u:object_r:container_file_t:s0'

/**
 * An SELinux context as the kubelet gives it (`user:role:type:level`). The parts come from a pod's author, so nothing else may end up
 * among the mount's options.
 */
const contextForm = /^[\w.-]+(?::[\w.-]+){2}(?::[\w.,:-]+)?$/

/** The value of the option `context="…"` among mount flags, or undefined where there is none. */
export function selinuxContextIn(mountFlags: readonly string[]): string | undefined {
  return mountFlags.find((flag) => flag.startsWith('context='))?.replace(/^context=("?)(.*)\1$/s, '$2')
}

/** Whether a text can be an SELinux context. */
export function isSelinuxContext(text: string): boolean {
  return contextForm.test(text)
}

/** Whether SELinux is on: then the file systems that it can label have the option `seclabel`, also as a container sees them. */
export function hasLabels(mounts: readonly MountEntry[]): boolean {
  return mounts.some(({ superOptions }) => superOptions.includes('seclabel'))
}

/** The ways to mount a volume's memory, the best one first; a kernel or a policy refuses those that it does not know with EINVAL. */
export function tmpfsAttempts({ size, selinuxContext }: PrivateMountOptions, offer: TmpfsOffer): TmpfsAttempt[] {
  const byDefault = offer.labels ? [containerFiles, undefined] : [undefined]
  const contexts = selinuxContext === undefined ? byDefault : [selinuxContext]
  const swaps = offer.noswap ? [true, false] : [false]
  return contexts.flatMap((context) =>
    swaps.map((noswap) => ({
      data: `size=${size},mode=0700${context === undefined ? '' : `,context="${context}"`}${noswap ? ',noswap' : ''}`,
      noswap,
      labelled: context !== undefined && selinuxContext === undefined,
    })),
  )
}
