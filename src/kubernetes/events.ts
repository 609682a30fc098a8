import { randomBytes } from 'node:crypto'
import { backoffDelay } from '../runtime/backoff.ts'
import { type Clock, sleep, systemClock } from '../runtime/clock.ts'
import { type Log, silentLog } from '../runtime/log.ts'
import { type KubernetesClient, PatchType } from './client.ts'
import { ApiError } from './errors.ts'
import { eventObject, type EventReporter, type EventText, recurrence } from './event-object.ts'
import type { ObjectName, ObjectReference } from './object.ts'
import { events } from './resource.ts'
import { type BucketLevel, refilled } from './token-bucket.ts'

export interface EventRecorderOptions extends EventReporter {
  readonly client: Pick<KubernetesClient, 'create' | 'patch'>
  readonly log?: Log
  readonly clock?: Clock
  readonly random?: () => number
}

/** One text about one object, and how often it was recorded. */
interface Entry {
  readonly about: ObjectReference
  readonly text: EventText
  readonly first: number
  count: number
  last: number
  /** The Event that holds it; undefined until it has been created. */
  event: ObjectName | undefined
  /** When that Event was last written, in epoch milliseconds. */
  writtenAt: number
}

/** How many texts, and how many objects' rates, are remembered; the longest unused go first. */
const mostEntries = 512
/** As client-go's spam filter: 25 at once about one object, then one in five minutes. */
const rate = { capacity: 25, refill: 1 / 300 }
/** What waited for longer than this is no news, in milliseconds. */
const stale = 600_000
/** How long nothing is tried after a refusal for want of rights, in milliseconds. */
const muteTime = 600_000
/** How long the API server keeps an Event by default, in milliseconds. */
const eventLife = 3_600_000
const retry = { first: 1_000, cap: 30_000 }

/** A pod as the object of an event. */
export function podReference(pod: {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}): ObjectReference {
  return { apiVersion: 'v1', kind: 'Pod', namespace: pod.namespace, name: pod.name, uid: pod.uid }
}

/**
 * Records core/v1 Events. The same text about the same object becomes one Event with a count.
 *
 * Events are help for people, not state: they are written in the background, one at a time, bounded in memory and rate, dropped when
 * they cannot be written, and nothing here ever throws or rejects. Where the right to write them is missing, one warning says so.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #entries = new Map<string, Entry>()
  readonly #rates = new Map<string, BucketLevel>()
  /** Keys of entries that are to be written, oldest first. */
  readonly #queue = new Set<string>()
  readonly #closing = new AbortController()
  #isWorking = false
  #work: Promise<void> | undefined
  #isClosed = false
  #mutedUntil = Number.NEGATIVE_INFINITY
  #mayPatch = true
  #hasWarned = false

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
  }

  /** Records that something was seen now. Returns at once. */
  record(about: ObjectReference, text: EventText): void {
    if (this.#isClosed) return
    const key = JSON.stringify([
      about.uid,
      about.kind,
      about.namespace,
      about.name,
      text.type,
      text.reason,
      text.message,
    ])
    const now = this.#clock.now()
    const entry = this.#entries.get(key) ?? {
      about,
      text,
      first: now,
      count: 0,
      last: now,
      event: undefined,
      writtenAt: 0,
    }
    entry.count += 1
    entry.last = now
    for (const dropped of remember(this.#entries, key, entry)) this.#queue.delete(dropped)
    if (this.#queue.has(key) || now < this.#mutedUntil || !this.#mayWrite(about)) return
    this.#queue.add(key)
    if (this.#isWorking) return
    this.#isWorking = true
    this.#work = this.#drain(this.#closing.signal)
  }

  /**
   * Writes what waits, then drops the rest.
   *
   * @param patience - milliseconds
   */
  async close(patience: number = 2_000): Promise<void> {
    this.#isClosed = true
    const timer = this.#clock.timer(patience, () => this.#closing.abort(new Error('the event recorder was closed')))
    await this.#work
    timer.cancel()
    this.#queue.clear()
  }

  async #drain(signal: AbortSignal): Promise<void> {
    let failures = 0
    for (;;) {
      const [key] = this.#queue
      if (key === undefined || signal.aborted) {
        this.#isWorking = false
        return
      }
      // Out of the queue first: what is recorded while this is written queues again.
      this.#queue.delete(key)
      const entry = this.#entries.get(key)
      if (entry === undefined || this.#clock.now() - entry.last > stale) continue
      try {
        await this.#write(entry, signal)
        failures = 0
      } catch (error) {
        if (signal.aborted || !this.#isTemporary(entry, error)) continue
        failures += 1
        this.#queue.add(key)
        await sleep(
          this.#clock,
          backoffDelay(failures, { ...retry, random: this.#options.random ?? Math.random }),
          signal,
        ).catch(() => {})
      }
    }
  }

  async #write(entry: Entry, signal: AbortSignal): Promise<void> {
    const { client } = this.#options
    if (entry.event !== undefined && this.#clock.now() - entry.writtenAt < eventLife) {
      if (!this.#mayPatch) return
      try {
        await client.patch(events, entry.event, PatchType.merge, recurrence(entry), { signal })
        entry.writtenAt = this.#clock.now()
        return
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (error.status === 403 && !isEnding(error)) {
          // Roles written for older tools allow to create events and nothing else; then one Event an hour has to do.
          this.#mayPatch = false
          return
        }
        if (error.status !== 404) throw error
      }
    }
    const event = eventObject(entry.about, entry.text, entry, this.#options, randomBytes(8).toString('hex'))
    await client.create(events, event, { signal })
    entry.event = { namespace: event.metadata.namespace, name: event.metadata.name ?? '' }
    entry.writtenAt = this.#clock.now()
  }

  /** Whether writing the same again can help. Speaks up, once, where rights are missing. */
  #isTemporary(entry: Entry, error: unknown): boolean {
    if (!(error instanceof ApiError)) return true
    if (error.status === 403 && !isEnding(error)) {
      this.#mutedUntil = this.#clock.now() + muteTime
      this.#queue.clear()
      if (!this.#hasWarned) this.#log.warn({ error }, 'events cannot be written, rights are missing; this is said once')
      this.#hasWarned = true
      return false
    }
    if (error.status === 429 || error.status === 401 || error.status >= 500) return true
    this.#log.debug({ error, about: entry.about }, 'event dropped')
    return false
  }

  #mayWrite(about: ObjectReference): boolean {
    const now = this.#clock.now()
    const level = refilled(this.#rates.get(about.uid) ?? { tokens: rate.capacity, at: now }, now, rate)
    const allowed = level.tokens >= 1
    remember(this.#rates, about.uid, allowed ? { tokens: level.tokens - 1, at: now } : level)
    return allowed
  }
}

/** A namespace that is being deleted takes no more objects; that is no lack of rights. */
function isEnding(error: ApiError): boolean {
  return error.details.causes?.some(({ reason }) => reason === 'NamespaceTerminating') ?? false
}

/** Puts an entry in the last place, and drops the first ones that are too many. @returns the keys of those */
function remember<V>(map: Map<string, V>, key: string, value: V): readonly string[] {
  map.delete(key)
  map.set(key, value)
  const dropped: string[] = []
  for (const oldest of map.keys()) {
    if (map.size <= mostEntries) break
    map.delete(oldest)
    dropped.push(oldest)
  }
  return dropped
}
