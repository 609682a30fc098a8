import type { PodReference } from '../issuer/issuer.ts'
import type { Log } from '../runtime/log.ts'
import type { PodEvents } from './pod-events.ts'
import { isFormer, type VolumeReport } from './volume-report.ts'

/** A volume that is in place and cannot be read. */
export interface UnmanagedVolume {
  readonly id: string
  /** Where its files lie. */
  readonly directory: string
  /** Undefined where not even that can be told. */
  readonly target: string | undefined
  readonly pod: PodReference | undefined
  readonly error: unknown
}

export interface UnmanagedSurroundings {
  readonly log: Log
  readonly events: PodEvents
}

/**
 * Volumes that pods may run with and that cannot be read, so that they are kept as they are and not renewed: told once as log line
 * and event, counted, and listed by inspect until a publish makes them whole or an unpublish takes them away.
 */
export class UnmanagedVolumes {
  readonly #around: UnmanagedSurroundings
  readonly #volumes = new Map<string, UnmanagedVolume>()

  constructor(around: UnmanagedSurroundings) {
    this.#around = around
  }

  has(id: string): boolean {
    return this.#volumes.has(id)
  }

  add(volume: UnmanagedVolume): void {
    const { log, events } = this.#around
    const { id, pod, error } = volume
    const known = this.#volumes.get(id)
    this.#volumes.set(id, { ...volume, pod: pod ?? known?.pod })
    const text = `${messageOf(error)}; ${remedy}`
    if (known !== undefined && messageOf(known.error) === messageOf(error)) return
    log.error(
      { error, volume: id, pod: pod && `${pod.namespace}/${pod.name}` },
      `a volume cannot be taken up again and is not renewed; ${remedy}`,
    )
    if (pod !== undefined) events.record(pod, 'Warning', 'VolumeNotRenewed', `volume ${id} is not renewed: ${text}`)
  }

  delete(id: string): void {
    this.#volumes.delete(id)
  }

  reports(): VolumeReport[] {
    return [...this.#volumes.values()].map(({ id, directory, target, pod, error }) => ({
      volumeId: id,
      target,
      directory,
      pod,
      issuer: undefined,
      state: 'unmanaged',
      shown: true,
      detached: false,
      former: isFormer(directory),
      progress: undefined,
      request: undefined,
      issued: undefined,
      renewAt: undefined,
      lastError: messageOf(error),
      lastErrorAt: undefined,
    }))
  }
}

const remedy = 'restart the pod'

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
