import { type KubernetesClient, PatchType } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { WorkQueue } from '../../runtime/work-queue.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'
import { spiffeIdFinalizer, spiffeIds } from './spiffe-id-resource.ts'
import { type Standing, statusPatch } from './spiffe-id-status.ts'

export interface SpiffeIdKeeperOptions {
  readonly client: Pick<KubernetesClient, 'patch'>
  /** A SpiffeID as last seen, by its key. */
  readonly get: (key: string) => SpiffeIdResource | undefined
  /** How long a SpiffeID that is deleted may wait for its entry to be deleted, in milliseconds. */
  readonly patience: number
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** Where a SpiffeID stood when its entry was looked at last. */
interface Told {
  readonly uid: string
  readonly generation: number
  readonly standing: Standing
  /** The server holds no entry of it, and none is wanted. */
  readonly hasNone: boolean
}

/** How many SpiffeIDs are written to at once. */
const workers = 16

/**
 * Keeps what the registrar writes to SpiffeIDs as it should be: the status, and the finalizer.
 *
 * The finalizer holds a SpiffeID until its entry is deleted, but no namespace for ever: while the server is away, it is let go after a
 * while. The entry is then deleted when the server is back: by this process, which remembers whose it is, or by the next one, which
 * knows the ids of its own entries.
 */
export class SpiffeIdKeeper {
  readonly #options: SpiffeIdKeeperOptions
  readonly #queue: WorkQueue
  readonly #told = new Map<string, Told>()
  /** Until when a SpiffeID that is deleted waits, in epoch milliseconds. */
  readonly #patience = new Map<string, { readonly uid: string; readonly until: number }>()

  constructor(options: SpiffeIdKeeperOptions) {
    this.#options = options
    const { clock, log, random } = options
    this.#queue = new WorkQueue({
      work: (key, signal) => this.#keep(key, signal),
      workers,
      onFailure: (key, error) => log.warn({ error, spiffeId: key }, 'a SpiffeID cannot be written, it is tried again'),
      clock,
      log,
      ...(random && { random }),
    })
  }

  /** The SpiffeID has changed, or is gone. */
  changed(key: string): void {
    this.#queue.add(key)
  }

  /**
   * Its entry was looked at.
   *
   * @param hasNone - the server holds no entry of it, and none is wanted
   */
  tell(key: string, { uid, generation }: SpiffeIdResource, standing: Standing, hasNone: boolean): void {
    this.#told.set(key, { uid, generation, standing, hasNone })
    this.#queue.add(key)
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  /** @returns milliseconds until it is to be looked at again */
  async #keep(key: string, signal: AbortSignal): Promise<number | undefined> {
    const resource = this.#options.get(key)
    if (resource === undefined) {
      this.#told.delete(key)
      this.#patience.delete(key)
      return undefined
    }
    const last = this.#told.get(key)
    const told = last?.uid === resource.uid ? last : undefined
    const { finalizers } = resource
    const isKept = finalizers.includes(spiffeIdFinalizer)
    if (resource.terminating) {
      const wait = isKept ? this.#waitOf(key, resource, told) : undefined
      if (wait === undefined || wait > 0) return wait
      const rest = finalizers.filter((finalizer) => finalizer !== spiffeIdFinalizer)
      await this.#patch(resource, { metadata: { finalizers: rest } }, undefined, signal)
    } else if (!isKept) {
      // The watch shows it with the finalizer, and then its status follows.
      await this.#patch(resource, { metadata: { finalizers: [...finalizers, spiffeIdFinalizer] } }, undefined, signal)
    } else if (told !== undefined) {
      const status = statusPatch(resource, told.standing, told.generation, this.#options.clock.now())
      if (status !== undefined) await this.#patch(resource, { status }, 'status', signal)
    }
    return undefined
  }

  /** @returns milliseconds until the finalizer goes, entry or no entry */
  #waitOf(key: string, { uid }: SpiffeIdResource, told: Told | undefined): number {
    if (told?.hasNone) return 0
    const { clock, patience, log } = this.#options
    const now = clock.now()
    const waiting = this.#patience.get(key)
    const until = waiting?.uid === uid ? waiting.until : now + patience
    this.#patience.set(key, { uid, until })
    if (until > now) return until - now
    const entryId = told?.standing.entryId
    const command = entryId === undefined ? '' : `: spire-server entry delete -entryID ${entryId}`
    log.warn(
      { spiffeId: key, entryId },
      `a SpiffeID goes although its entry may still be there; the entry is deleted once the SPIRE server answers, or by hand${command}`,
    )
    return 0
  }

  /** Where the SpiffeID has changed since it was seen, or is gone, the watch tells, and it is looked at again. */
  async #patch(
    { namespace, name, resourceVersion }: SpiffeIdResource,
    { metadata = {}, ...patch }: { readonly metadata?: object; readonly status?: object },
    subresource: 'status' | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const body = { ...patch, metadata: { ...metadata, resourceVersion } }
    try {
      const options = { signal, ...(subresource && { subresource }) }
      await this.#options.client.patch(spiffeIds, { namespace, name }, PatchType.merge, body, options)
    } catch (error) {
      if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) throw error
    }
  }
}
