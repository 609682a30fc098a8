import { backoffDelay } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'
import { type Log, silentLog } from './log.ts'

export interface WorkQueueOptions {
  /**
   * Brings one thing to where it should be. Called again, later, where it throws.
   *
   * @returns milliseconds until it is to be looked at again; undefined where nothing is left until {@link WorkQueue.add} says so
   */
  readonly work: (key: string, signal: AbortSignal) => Promise<number | undefined>
  /** How many keys are worked on at once. */
  readonly workers: number
  /** Told of each failure; the work is tried again with backoff by itself. */
  readonly onFailure: (key: string, error: unknown) => void
  readonly clock: Clock
  readonly random?: () => number
  readonly log?: Log
}

/** client-go's workqueue begins with 5 ms, for conflicts with caches that lag; its longest is 1000 s, which no person would wait. */
const backoff = { first: 20, cap: 60_000 }

/**
 * Work to be done by key, as in client-go's workqueue: a key waits once however often it is added, is never worked on twice at once, and
 * one that is added while it is worked on is worked on again. Keys come in the order in which they were added.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #log: Log
  readonly #waiting = new Set<string>()
  readonly #working = new Map<string, Promise<void>>()
  /** Keys that were added while they were worked on. */
  readonly #dirty = new Set<string>()
  readonly #timers = new Map<string, Timer>()
  readonly #failures = new Map<string, number>()
  /** Keys that were forgotten while they were worked on. */
  readonly #forgotten = new Set<string>()
  readonly #closing = new AbortController()
  #isStarting = false

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#log = options.log ?? silentLog
  }

  /** How many keys wait for a worker, those that wait for their time not among them. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** How many keys are worked on. */
  get working(): number {
    return this.#working.size
  }

  /** Something has changed: the key is to be worked on as soon as a worker is free. */
  add(key: string): void {
    if (this.#closing.signal.aborted) return
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
    if (this.#working.has(key)) {
      this.#dirty.add(key)
      return
    }
    this.#waiting.add(key)
    this.#startSoon()
  }

  /** Nothing is left to be done for a key. Work that has begun goes on to its end, and is not done again. */
  forget(key: string): void {
    if (this.#working.has(key)) this.#forgotten.add(key)
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
    this.#waiting.delete(key)
    this.#dirty.delete(key)
    this.#failures.delete(key)
  }

  /** Begins nothing more, aborts what has begun, and resolves when it has ended. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the work queue was closed'))
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
    this.#waiting.clear()
    this.#dirty.clear()
    await Promise.all(this.#working.values())
  }

  /** When whoever adds keys has added them all: what is added twice in a row is worked on once. */
  #startSoon(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    queueMicrotask(() => {
      this.#isStarting = false
      this.#start()
    })
  }

  #start(): void {
    for (const key of this.#waiting) {
      if (this.#working.size >= this.#options.workers) return
      this.#waiting.delete(key)
      // Before it begins: the work may add its own key.
      this.#working.set(key, Promise.resolve())
      this.#working.set(key, this.#run(key))
    }
  }

  /** Never rejects. */
  async #run(key: string): Promise<void> {
    let again: number | undefined
    try {
      again = await this.#options.work(key, this.#closing.signal)
      this.#failures.delete(key)
    } catch (error) {
      again = this.#failed(key, error)
    }
    this.#working.delete(key)
    const isForgotten = this.#forgotten.delete(key)
    if (this.#closing.signal.aborted) return
    if (this.#dirty.delete(key)) this.add(key)
    else if (again !== undefined && !isForgotten) this.#later(key, again)
    if (isForgotten) this.#failures.delete(key)
    this.#startSoon()
  }

  #failed(key: string, error: unknown): number | undefined {
    if (this.#closing.signal.aborted) return undefined
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    try {
      this.#options.onFailure(key, error)
    } catch (failure) {
      this.#log.error({ error: failure, key }, 'a handler failed')
    }
    return backoffDelay(failures, { ...backoff, random: this.#options.random ?? Math.random })
  }

  #later(key: string, delay: number): void {
    this.#timers.set(
      key,
      this.#options.clock.timer(delay, () => this.add(key)),
    )
  }
}
