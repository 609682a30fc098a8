import { type Clock, sleep, systemClock } from '../runtime/clock.ts'
import { type Log, silentLog } from '../runtime/log.ts'
import type { KubernetesClient } from './client.ts'
import type { Selection } from './client-options.ts'
import { startDeadline } from './deadline.ts'
import { ApiError, ConnectionError, CredentialError } from './errors.ts'
import { Mirror, type Survey } from './mirror.ts'
import type { KubernetesObject } from './object.ts'
import { type Listing, recovery } from './recovery.ts'
import type { Resource } from './resource.ts'
import type { WatchEvent } from './watch.ts'

/** What may stand between a reflector and the API server. */
export type ReflectorTrouble = ApiError | ConnectionError | CredentialError

/** A time in which a reflector does not follow its objects. */
export interface Outage {
  /** Epoch milliseconds. */
  readonly since: number
  /** What stood in the way last; undefined where nothing is known yet, or it is no trouble with the API server. */
  readonly error: ReflectorTrouble | undefined
}

/**
 * What a reflector tells. Level semantics: changes between two looks at an object may arrive as one, none is lost for good, and no
 * state is told twice. Handlers are synchronous; what they throw is logged and goes no further.
 *
 * @typeParam T - the object as it arrives, without `managedFields`
 * @typeParam K - what `transform` keeps of it
 */
export interface ReflectorHandler<T, K> {
  added?(object: T, kept: K): void
  modified?(object: T, kept: K, before: K): void
  /** The object is gone, or no longer selected; the last that was kept of it. */
  deleted?(kept: K): void
}

export interface ReflectorOptions<T extends KubernetesObject, K> extends Selection {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  readonly resource: Resource<T>
  /** Chooses what is kept of an object in memory. Pure; it does not throw. */
  readonly transform: (object: T) => K
  readonly handler?: ReflectorHandler<T, K>
  /** Told of each failure, as often as it is tried again. The reflector goes on by itself. */
  readonly onTrouble?: (trouble: ReflectorTrouble) => void
  /** Told when it works again after trouble. */
  readonly onRecovered?: () => void
  /** Objects a page, where lists are paged. @default {500} */
  readonly pageSize?: number
  /** Asks for streaming lists (KEP-3157) as long as the server knows them. @default {true} */
  readonly streamingList?: boolean
  readonly log?: Log
  readonly clock?: Clock
  readonly random?: () => number
}

/** What is known of one attempt, which is one watch and the list before it. */
interface Attempt {
  /** When the server accepted the watch, in epoch milliseconds. */
  openedAt: number | undefined
  /** Whether the watch told something new. */
  hadNews: boolean
  /** What ended it; undefined where the server just closed the watch. */
  error: unknown
}

/** A watch that lived for this long was no failure, whatever ended it, in milliseconds. */
const longLife = 10_000
/** How long a server may take beyond the end it was asked for, and a streamed list as a whole, in milliseconds. */
const grace = 60_000
/** Marks the bookmark behind the last object of a streamed list. */
const initialEventsEnd = 'k8s.io/initial-events-end'

/**
 * Mirrors a selection of objects: list, then watch, for as long as it is open.
 *
 * It starts with its construction and does not end by itself: a watch that closes is resumed where it ended, one whose place has
 * expired is replaced by a new list, whose difference is told, and trouble of any kind is tried again with backoff.
 *
 * @example
 * ```ts
 * const reflector = new Reflector({
 *   client,
 *   resource: pods,
 *   fieldSelector: `spec.nodeName=${node}`,
 *   transform: (pod) => pod.metadata.uid,
 *   handler: { deleted: (uid) => forget(uid) },
 * })
 * await reflector.synced
 * ```
 */
export class Reflector<T extends KubernetesObject, K> {
  /** Resolves when everything there is has been told once; rejects when the reflector is closed before. */
  readonly synced: Promise<void>
  readonly #options: ReflectorOptions<T, K>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #log: Log
  readonly #mirror: Mirror<T, K>
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  readonly #resolveSynced: () => void
  /** Everything up to this version has been told; undefined where everything must be fetched. */
  #resourceVersion: string | undefined
  #listing: Listing
  #hasSynced = false
  /** Since its start, until everything has been told once; after that since a failure, until a watch is open again. */
  #outage: Outage | undefined
  #inTrouble = false

  constructor(options: ReflectorOptions<T, K>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#outage = { since: this.#clock.now(), error: undefined }
    this.#log = options.log ?? silentLog
    this.#listing = options.streamingList === false ? 'paged' : 'streamed'
    const { handler = {}, transform } = options
    this.#mirror = new Mirror(transform, {
      added: (object, kept) => this.#tell(() => handler.added?.(object, kept)),
      modified: (object, kept, before) => this.#tell(() => handler.modified?.(object, kept, before)),
      deleted: (kept) => this.#tell(() => handler.deleted?.(kept)),
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.synced = promise
    this.#resolveSynced = resolve
    this.#closing.signal.addEventListener('abort', () => reject(this.#closing.signal.reason as Error), { once: true })
    // Not everyone waits for it.
    promise.catch(() => {})
    this.#running = this.#run(this.#closing.signal)
  }

  /** True from the first complete list on. */
  get hasSynced(): boolean {
    return this.#hasSynced
  }

  /** Undefined while it follows its objects. */
  get outage(): Outage | undefined {
    return this.#outage
  }

  /** How many objects are kept. */
  get size(): number {
    return this.#mirror.size
  }

  /** What is kept of an object. Without namespace for cluster-scoped kinds. */
  get(name: string, namespace?: string): K | undefined {
    return this.#mirror.get(name, namespace)
  }

  /** Everything that is kept. */
  values(): IterableIterator<K> {
    return this.#mirror.values()
  }

  /** Ends list and watch. No handler is called any more. */
  async close(): Promise<void> {
    this.#closing.abort(new Error(`the reflector of ${this.#options.resource.plural} was closed`))
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0
    let wasLost = false
    while (!signal.aborted) {
      const attempt = await this.#attempt(signal)
      if (signal.aborted) return
      const lived = attempt.openedAt === undefined ? 0 : this.#clock.now() - attempt.openedAt
      const isLost = attempt.error instanceof ConnectionError
      // A server that is back refuses for a moment, while it fills its caches; how long it was away is nothing to go by then.
      if (wasLost && !isLost) failures = 0
      wasLost = isLost
      failures = attempt.hadNews || lived >= longLife ? 0 : failures + 1
      const next = recovery({
        error: attempt.error,
        failures,
        isListing: this.#resourceVersion === undefined,
        listing: this.#listing,
        random: this.#random,
      })
      this.#listing = next.listing
      if (next.restart) this.#resourceVersion = undefined
      if (next.isTrouble) this.#report(attempt.error)
      if (next.delay > 0) await sleep(this.#clock, next.delay, signal).catch(() => {})
    }
  }

  /** A list where one is needed, and a watch to its end. */
  async #attempt(signal: AbortSignal): Promise<Attempt> {
    const attempt: Attempt = { openedAt: undefined, hadNews: false, error: undefined }
    try {
      if (this.#resourceVersion === undefined && this.#listing !== 'streamed') await this.#list(signal)
      await this.#watch(attempt, signal)
    } catch (error) {
      attempt.error = error
    }
    return attempt
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, pageSize = 500 } = this.#options
    const survey = this.#mirror.survey()
    let resourceVersion = ''
    const limit = this.#listing === 'whole' ? 0 : pageSize
    for await (const page of client.pages(resource, { ...this.#selection(), limit, signal })) {
      this.#recovered()
      for (const item of page.items) this.#apply(item, (object) => survey.show(object))
      resourceVersion = page.resourceVersion
    }
    this.#complete(survey, resourceVersion)
  }

  async #watch(attempt: Attempt, signal: AbortSignal): Promise<void> {
    const { client, resource } = this.#options
    let survey = this.#resourceVersion === undefined ? this.#mirror.survey() : undefined
    // Spread, so that watches opened together do not end together.
    const timeoutSeconds = 300 + Math.floor(this.#random() * 301)
    const lifetime = timeoutSeconds * 1000 + grace
    const deadline = startDeadline(this.#clock, survey === undefined ? lifetime : grace, signal)
    const events = client.watch(resource, {
      ...this.#selection(),
      resourceVersion: this.#resourceVersion,
      sendInitialEvents: survey !== undefined,
      timeoutSeconds,
      signal: deadline.signal,
      onOpen: () => {
        attempt.openedAt = this.#clock.now()
        this.#recovered()
      },
    })
    try {
      for await (const event of events) {
        if (survey === undefined) {
          this.#follow(event)
          attempt.hadNews = true
        } else if (this.#survey(event, survey)) {
          survey = undefined
          deadline.restart(lifetime)
        }
      }
    } finally {
      deadline.clear()
    }
  }

  /** One event of a streamed list. @returns whether the list is complete */
  #survey(event: WatchEvent<T>, survey: Survey<T>): boolean {
    const { object, type } = event
    if (type === 'BOOKMARK') {
      if (object.metadata.annotations?.[initialEventsEnd] !== 'true') return false
      this.#complete(survey, object.metadata.resourceVersion)
      return true
    }
    if (type === 'DELETED') this.#apply(object, (object) => this.#mirror.remove(object))
    else this.#apply(object, (object) => survey.show(object))
    return false
  }

  #follow(event: WatchEvent<T>): void {
    const { object, type } = event
    if (type === 'DELETED') this.#apply(object, (object) => this.#mirror.remove(object))
    else if (type !== 'BOOKMARK') this.#apply(object, (object) => this.#mirror.show(object))
    this.#resourceVersion = object.metadata.resourceVersion
  }

  #complete(survey: Survey<T>, resourceVersion: string | undefined): void {
    if (this.#closing.signal.aborted) return
    survey.complete()
    this.#resourceVersion = resourceVersion
    this.#hasSynced = true
    this.#outage = undefined
    this.#resolveSynced()
  }

  /** Hands an object on. One that `transform` cannot take must not hold up the others: a user may have written it. */
  #apply(object: T, change: (object: T) => void): void {
    if (this.#closing.signal.aborted) return
    // The largest part of many objects, of use to nobody here.
    Reflect.deleteProperty(object.metadata, 'managedFields')
    try {
      change(object)
    } catch (error) {
      const { namespace, name } = object.metadata
      this.#log.error(
        { error, namespace, name, resource: this.#options.resource.plural },
        'object cannot be read, passed over',
      )
    }
  }

  /** Calls somebody whose errors are not ours. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#log.error({ error, resource: this.#options.resource.plural }, 'a handler failed')
    }
  }

  #report(error: unknown): void {
    const { resource, onTrouble } = this.#options
    const isExpected = error instanceof ApiError || error instanceof ConnectionError || error instanceof CredentialError
    if (!isExpected) this.#log.error({ error, resource: resource.plural }, 'list and watch failed')
    else if (!this.#inTrouble && onTrouble === undefined)
      this.#log.warn({ error, resource: resource.plural }, 'list and watch interrupted')
    this.#inTrouble = true
    this.#outage = { since: this.#outage?.since ?? this.#clock.now(), error: isExpected ? error : undefined }
    if (isExpected) this.#tell(() => onTrouble?.(error))
  }

  #recovered(): void {
    if (!this.#inTrouble) return
    this.#inTrouble = false
    if (this.#hasSynced) this.#outage = undefined
    this.#log.info({ resource: this.#options.resource.plural }, 'list and watch work again')
    this.#tell(() => this.#options.onRecovered?.())
  }

  #selection(): Selection {
    const { namespace, labelSelector, fieldSelector, metadataOnly } = this.#options
    return { namespace, labelSelector, fieldSelector, metadataOnly }
  }
}
