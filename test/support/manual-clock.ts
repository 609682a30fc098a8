import type { Clock } from '../../src/runtime/clock.ts'

interface Entry {
  at: number
  readonly fire: () => void
}

/** A clock that moves only when a test moves it. */
export class ManualClock implements Clock {
  #now: number
  readonly #entries = new Set<Entry>()

  constructor(now = Date.now()) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  timer(delay: number, fire: () => void): { cancel(): void } {
    const entry = { at: this.#now + delay, fire }
    this.#entries.add(entry)
    return { cancel: () => this.#entries.delete(entry) }
  }

  /** How long until the first timer fires, in milliseconds; undefined without any. */
  get next(): number | undefined {
    const times = [...this.#entries].map(({ at }) => at)
    return times.length === 0 ? undefined : Math.min(...times) - this.#now
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#entries.size
  }

  /** Moves on, and fires what is due, in order. */
  advance(duration: number): void {
    const end = this.#now + duration
    for (;;) {
      const due = [...this.#entries].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0]
      if (due === undefined) break
      this.#now = Math.max(this.#now, due.at)
      this.#entries.delete(due)
      due.fire()
    }
    this.#now = end
  }

  /** The wall clock jumps; running timers do not notice. */
  jump(duration: number): void {
    this.#now += duration
    for (const entry of this.#entries) entry.at += duration
  }
}
