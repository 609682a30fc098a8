import { backoffDelay } from '../../runtime/backoff.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'

/** What came of one look at something. */
export type Outcome = 'done' | 'again'

export interface RequestQueueOptions<T> {
  readonly clock: Clock
  readonly random: () => number
  /** How many are worked on at a time. @default {16} */
  readonly slots?: number
  /**
   * Works on one. Does not reject.
   *
   * @param attempt - 1 the first time
   * @returns `again` to be called again after a while, or as soon as it changes
   */
  readonly work: (item: T, attempt: number, signal: AbortSignal) => Promise<Outcome>
}

interface Entry<T> {
  item: T
  attempts: number
  isRunning: boolean
  /** It came again while it was worked on. */
  isDirty: boolean
  timer: Timer | undefined
}

/** The wait between two looks at what cannot be done yet, in milliseconds. */
const retry = { first: 1_000, cap: 30_000 }

/**
 * Works on things by their keys: each by one worker at a time, and always on its latest state, as client-go's workqueue does. What
 * cannot be done yet is looked at again with growing waits. A key that was forgotten is not used again: it is a UID.
 */
export class RequestQueue<T> {
  readonly #options: RequestQueueOptions<T>
  readonly #entries = new Map<string, Entry<T>>()
  /** In the order in which they are due. */
  readonly #due = new Set<string>()
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(options: RequestQueueOptions<T>) {
    this.#options = options
  }

  /** How many are not done. */
  get size(): number {
    return this.#entries.size
  }

  /** There is something to do, or something new about it. */
  offer(key: string, item: T): void {
    if (this.#closing.signal.aborted) return
    const entry = this.#entries.get(key)
    if (entry === undefined)
      this.#entries.set(key, { item, attempts: 0, isRunning: false, isDirty: false, timer: undefined })
    else entry.item = item
    this.#makeDue(key)
  }

  /** It is gone. */
  forget(key: string): void {
    this.#entries.get(key)?.timer?.cancel()
    this.#entries.delete(key)
    this.#due.delete(key)
  }

  /** What they wait for may have come: all are looked at again. */
  wake(): void {
    for (const [key, entry] of this.#entries) {
      entry.attempts = 0
      this.#makeDue(key)
    }
  }

  /** Ends the work; resolves once nobody works any longer. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the signer was stopped'))
    for (const key of this.#entries.keys()) this.forget(key)
    await Promise.all(this.#running)
  }

  #makeDue(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.timer?.cancel()
    entry.timer = undefined
    if (entry.isRunning) entry.isDirty = true
    else this.#due.add(key)
    this.#start()
  }

  #start(): void {
    for (const key of this.#due) {
      if (this.#running.size >= (this.#options.slots ?? 16)) return
      this.#due.delete(key)
      const entry = this.#entries.get(key)
      if (entry === undefined) continue
      const running: Promise<void> = this.#work(key, entry).finally(() => {
        this.#running.delete(running)
        this.#start()
      })
      this.#running.add(running)
    }
  }

  async #work(key: string, entry: Entry<T>): Promise<void> {
    const { work, clock, random } = this.#options
    entry.isRunning = true
    entry.isDirty = false
    entry.attempts += 1
    const outcome = await work(entry.item, entry.attempts, this.#closing.signal)
    entry.isRunning = false
    // It may have gone, and come again, while it was worked on.
    if (this.#entries.get(key) !== entry) return
    if (entry.isDirty) this.#makeDue(key)
    else if (outcome === 'done') this.forget(key)
    else entry.timer = clock.timer(backoffDelay(entry.attempts, { ...retry, random }), () => this.#makeDue(key))
  }
}
