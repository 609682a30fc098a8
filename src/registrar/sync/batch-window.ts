import type { Clock, Timer } from '../../runtime/clock.ts'

/** When a batch begins. Times in milliseconds. */
export interface BatchTiming {
  /** From the first key on, after a quiet time: what comes with it goes with it. @default {2} */
  readonly first: number
  /** From one call to the next, where few keys come. @default {44} */
  readonly short: number
  /** From one call to the next, where many come. @default {220} */
  readonly long: number
  /** More than this many keys within the short time, on the average of the last few, are a deployment. @default {5} */
  readonly many: number
  /** It is over once no more than this many come within the short time, on the average of the long one. @default {3} */
  readonly few: number
  /** As many keys as fill a batch: there is nothing to wait for. @default {500} */
  readonly full: number
}

/** 44 ms are at most 23 calls a second. */
export const batchTiming: BatchTiming = { first: 2, short: 44, long: 220, many: 5, few: 3, full: 500 }

/**
 * - `quiet`: no key waits, and the last call is a while ago.
 * - `waiting`: keys wait for the end of a time, or may come before it.
 * - `due`: a batch should begin.
 */
type State = { readonly is: 'quiet' } | { readonly is: 'waiting'; readonly timer: Timer } | { readonly is: 'due' }

/**
 * Decides when a batch begins. A single pod is served at once: what limits the rate is the time after a call, and not before it. A
 * deployment of hundreds comes over a second or two, and a few larger batches serve it sooner than many small ones.
 */
export class BatchWindow {
  readonly #clock: Clock
  readonly #timing: BatchTiming
  readonly #waiting: () => number
  readonly #onDue: () => void
  #state: State = { is: 'quiet' }
  /** How many keys come within the short time: a moving average, as a few that come together are no deployment. */
  #pace = 0
  #isDeployment = false

  /**
   * @param waiting - how many keys wait
   * @param onDue - called whenever a batch should begin
   */
  constructor(clock: Clock, timing: BatchTiming, waiting: () => number, onDue: () => void) {
    this.#clock = clock
    this.#timing = timing
    this.#waiting = waiting
    this.#onDue = onDue
  }

  /** Whether a batch should begin now. */
  get isDue(): boolean {
    return this.#state.is === 'due'
  }

  /** There is one more key. */
  arrived(): void {
    if (this.#state.is === 'due') return
    if (this.#waiting() >= this.#timing.full) this.#due()
    else if (this.#state.is === 'quiet') this.#wait(this.#timing.first, () => this.#due())
  }

  /** A batch has begun. Where it left some keys, the next one follows at once. */
  begun(): void {
    if (this.#waiting() === 0) this.#rest()
  }

  /** A call is made: the next one comes a while later, unless a full batch waits. */
  called(): void {
    if (this.#state.is !== 'due') this.#wait(this.#timing.short, () => this.#rested())
  }

  close(): void {
    this.#rest()
    this.#pace = 0
    this.#isDeployment = false
  }

  #rested(): void {
    const { many, short, long } = this.#timing
    const waiting = this.#waiting()
    if (!this.#isDeployment) {
      this.#pace = (2 * this.#pace + waiting) / 3
      this.#isDeployment = this.#pace > many
    }
    if (this.#isDeployment) this.#wait(long - short, () => this.#gathered())
    else this.#dueOrQuiet()
  }

  #gathered(): void {
    const { few, short, long } = this.#timing
    this.#pace = (this.#waiting() * short) / long
    this.#isDeployment = this.#pace > few
    this.#dueOrQuiet()
  }

  #dueOrQuiet(): void {
    if (this.#waiting() === 0) this.close()
    else this.#due()
  }

  #rest(): void {
    this.#stop()
    this.#state = { is: 'quiet' }
  }

  #wait(duration: number, then: () => void): void {
    this.#stop()
    this.#state = { is: 'waiting', timer: this.#clock.timer(duration, then) }
  }

  #due(): void {
    this.#stop()
    this.#state = { is: 'due' }
    this.#onDue()
  }

  #stop(): void {
    if (this.#state.is === 'waiting') this.#state.timer.cancel()
  }
}
