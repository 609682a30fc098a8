import { backoffDelay } from '../../runtime/backoff.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { type BatchTiming, BatchWindow } from './batch-window.ts'

/** A key that is to be looked at. */
export interface DirtyKey {
  readonly key: string
  /** When what made it so became known, in epoch milliseconds; the first of several. */
  readonly since: number
  /** Whether its object is known to want nothing, by a look at the object itself. */
  readonly isConfirmed: boolean
}

export interface DirtyKeysOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly timing: BatchTiming
  /** Whether the key has an entry already: those without one come first. */
  readonly isRegistered: (key: string) => boolean
  /** Lower ones come first among those without an entry: an entry's parent should exist before it. */
  readonly rank: (key: string) => 0 | 1
}

/** Of keys whose item failed by itself. */
const backoff = { first: 200, cap: 300_000 }

/** The order in which keys are taken: nobody waits for what comes behind new identities. */
const [parents, fresh, registered, confirmed] = [0, 1, 2, 3] as const

/**
 * The keys that are to be looked at: each once, however often it was added, in batches. A key that is added after it was taken is looked at again.
 * A key that failed comes back after a while of its own, and at once where something has changed.
 */
export class DirtyKeys {
  readonly #options: DirtyKeysOptions
  readonly #window: BatchWindow
  /** When each became dirty, by tier. */
  readonly #tiers = [
    new Map<string, number>(),
    new Map<string, number>(),
    new Map<string, number>(),
    new Map<string, number>(),
  ] as const
  readonly #retries = new Map<string, { readonly timer: Timer; readonly since: number }>()
  readonly #failures = new Map<string, number>()
  #wake: (() => void) | undefined

  constructor(options: DirtyKeysOptions) {
    this.#options = options
    const { clock, timing } = options
    this.#window = new BatchWindow(
      clock,
      timing,
      () => this.size,
      () => this.#wake?.(),
    )
  }

  /** How many keys wait for a batch. */
  get size(): number {
    return this.#tiers.reduce((sum, { size }) => sum + size, 0)
  }

  /** How many keys failed and wait for their next attempt. */
  get retrying(): number {
    return this.#retries.size
  }

  /** The key is to be looked at. What was confirmed of it no longer holds. */
  add(key: string, since: number = this.#options.clock.now()): void {
    const retry = this.#retries.get(key)
    retry?.timer.cancel()
    this.#retries.delete(key)
    const earlier = this.#tiers.map((tier) => tier.get(key)).find((at) => at !== undefined)
    const { isRegistered, rank } = this.#options
    const tier = isRegistered(key) ? registered : rank(key) === 0 ? parents : fresh
    for (const [place, other] of this.#tiers.entries()) if (place !== tier) other.delete(key)
    this.#tiers[tier].set(key, Math.min(since, earlier ?? since, retry?.since ?? since))
    this.#window.arrived()
  }

  /** The key's object wants nothing, as a look at it has shown. Passes over keys that have become dirty since. */
  confirm(keys: Iterable<string>): void {
    const now = this.#options.clock.now()
    for (const key of keys) {
      if (this.#tiers.some((tier) => tier.has(key))) continue
      this.#tiers[confirmed].set(key, now)
      this.#window.arrived()
    }
  }

  /** The key failed by itself, and comes back later. */
  fail(key: string, since: number): void {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    if (this.#tiers.some((tier) => tier.has(key)) || this.#retries.has(key)) return
    const { clock, random } = this.#options
    const timer = clock.timer(backoffDelay(failures, { ...backoff, random }), () => this.add(key))
    this.#retries.set(key, { timer, since })
  }

  /** Nothing is wrong with the key. */
  succeed(key: string): void {
    this.#failures.delete(key)
  }

  /** Resolves when a batch should begin, or when the signal aborts. One caller at a time. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#window.isDue || signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => resolve()
    this.#wake = wake
    signal.addEventListener('abort', wake)
    await promise
    signal.removeEventListener('abort', wake)
    this.#wake = undefined
  }

  /** The first keys, up to a batch. */
  take(): readonly DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const [place, tier] of this.#tiers.entries()) {
      for (const [key, since] of tier) {
        if (taken.length === this.#options.timing.full) break
        tier.delete(key)
        taken.push({ key, since, isConfirmed: place === confirmed })
      }
    }
    this.#window.begun()
    return taken
  }

  /** A call is made for some of them. */
  called(): void {
    this.#window.called()
  }

  /** Forgets everything. */
  clear(): void {
    for (const tier of this.#tiers) tier.clear()
    for (const { timer } of this.#retries.values()) timer.cancel()
    this.#retries.clear()
    this.#failures.clear()
    this.#window.close()
  }
}
