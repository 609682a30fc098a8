import type { Clock, Timer } from '../runtime/clock.ts'

/** The longest sleep: it compares the wall clock at least this often, so that a suspend delays nothing for long. */
const longestSleep = 3600_000

/**
 * The one timer for all renewals of a node. A change of one volume costs the same however many there are; who has changed to a later
 * time is looked at once for nothing.
 */
export class RenewalClock {
  readonly #clock: Clock
  readonly #wake: (now: number) => number | undefined
  #timer: Timer | undefined
  /** What the timer is set for, epoch milliseconds. */
  #at = Number.POSITIVE_INFINITY
  #closed = false

  /** @param wake - wakes whoever is due, and says when the next one is; epoch milliseconds */
  constructor(clock: Clock, wake: (now: number) => number | undefined) {
    this.#clock = clock
    this.#wake = wake
  }

  /** Wakes at a time, or earlier. @param time - epoch milliseconds; undefined asks for nothing */
  wakeAt(time: number | undefined): void {
    if (this.#closed || time === undefined || time >= this.#at) return
    this.#timer?.cancel()
    this.#at = time
    const delay = Math.min(Math.max(time - this.#clock.now(), 0), longestSleep)
    this.#timer = this.#clock.timer(delay, () => {
      this.#at = Number.POSITIVE_INFINITY
      this.wakeAt(this.#wake(this.#clock.now()))
    })
  }

  /** Wakes nobody any more. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }
}
