import type { Log } from '../runtime/log.ts'
import type { Mounter } from '../volume/mounter.ts'
import type { VolumeStore } from '../volume/store.ts'
import { NotReadyError } from './errors.ts'
import { type DriverMetrics, timed } from './metrics.ts'

/** What the private memory of volumes needs of the node. */
export interface MemorySurroundings {
  readonly mounter: Mounter
  readonly metrics: DriverMetrics
  readonly log: Log
  /** The most that a volume's files may take, in bytes. */
  readonly volumeSize: number
  /** Refuses volumes where the kernel could write keys to swap. */
  readonly requireNoswap: boolean
  /** Whether any swap is on. */
  readonly swapOn: () => Promise<boolean>
}

/**
 * What became of private memory that was unmounted under a volume: `regained` where the files that containers see can be written
 * as before, through the volume's target; `lost` where there are only new ones, for containers that are yet to start.
 */
export type MemoryOutcome = 'regained' | 'lost'

/**
 * Mounts a volume's private memory and makes its folders.
 *
 * @param selinuxContext - from the kubelet's mount flags
 * @throws {MountError}
 * @throws {NotReadyError} where keys could be swapped out and that is refused
 */
export async function mountMemory(
  store: VolumeStore,
  selinuxContext: string | undefined,
  { mounter, requireNoswap, swapOn, metrics, log, volumeSize }: MemorySurroundings,
): Promise<void> {
  const size = { size: volumeSize }
  const options = selinuxContext === undefined ? size : { ...size, selinuxContext }
  const { noswap } = await timed(metrics, 'memory', () => mounter.mountPrivate(store.directory, options))
  if (!noswap && (await swapOn())) {
    metrics.swappable.set(1)
    const text = 'swap is on and the kernel does not keep this tmpfs out of it (noswap needs Linux 6.3)'
    if (requireNoswap)
      throw new NotReadyError(`${text}; --require-noswap refuses that: turn swap off, or use a newer kernel`)
    log.warn({ directory: store.directory }, `private keys may be written to disk: ${text}`)
  }
  await store.prepare()
}

/**
 * Mounts private memory anew that somebody has unmounted under a live volume.
 *
 * A container keeps the file system that it was started with, whatever is mounted on the host since (k8s#121271). So what the
 * volume's target still shows is bound into the new memory, and renewals go on to reach the containers that run.
 *
 * @returns undefined where the memory is there after all, and only lacked folders
 * @throws {MountError}
 */
export async function remountMemory(
  store: VolumeStore,
  target: string,
  selinuxContext: string | undefined,
  around: MemorySurroundings,
): Promise<MemoryOutcome | undefined> {
  if (await around.mounter.isPrivate(store.directory)) {
    await store.prepare()
    return undefined
  }
  // Nothing secret is ever written there without the mount; what there is would lie below it, unseen.
  await store.wipe()
  await mountMemory(store, selinuxContext, around)
  const regained = await around.mounter.regain(store.data, target)
  const outcome = regained ? 'regained' : 'lost'
  around.metrics.memoryLosses.inc({ outcome })
  return outcome
}

/** The reason of the event that tells people of it. */
export const memoryReason = 'VolumeMemoryUnmounted'

/** What to tell them. */
export function memoryText(outcome: MemoryOutcome): string {
  const what = "the volume's private memory was unmounted by somebody"
  return outcome === 'regained'
    ? `${what}; its files were found through the pod's mount, and are renewed there`
    : `${what}; containers that run keep the files they have, which are not renewed any more: restart the pod`
}
