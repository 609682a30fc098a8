import type { Clock, Timer } from '../../runtime/clock.ts'

/** When a batch begins. Times in milliseconds. */
export interface BatchTiming {
  /** From the first key on, where few come. @default {40} */
  readonly short: number
  /** From the first key on, where many come. @default {220} */
  readonly long: number
  /** More than this many keys within the short time are many. @default {8} */
  readonly many: number
  /** As many keys as fill a batch: there is nothing to wait for. @default {500} */
  readonly full: number
}

export const batchTiming: BatchTiming = { short: 40, long: 220, many: 8, full: 500 }

/**
 * How long keys are gathered before a batch begins. A single pod waits for the short time only; a deployment of hundreds comes over a
 * second or two, and a few larger batches serve it sooner than many small ones.
 */
export class BatchWindow {
  readonly #clock: Clock
  readonly #timing: BatchTiming
  readonly #onDue: () => void
  #timer: Timer | undefined
  #isDue = false

  /** @param onDue - called once a window, when a batch should begin */
  constructor(clock: Clock, timing: BatchTiming, onDue: () => void) {
    this.#clock = clock
    this.#timing = timing
    this.#onDue = onDue
  }

  /** Whether a batch should begin now. */
  get isDue(): boolean {
    return this.#isDue
  }

  /** @param waiting - gives how many keys wait, this moment and when it is asked again */
  arrived(waiting: () => number): void {
    if (this.#isDue) return
    const { short, long, many, full } = this.#timing
    if (waiting() >= full) this.#due()
    else
      this.#timer ??= this.#clock.timer(short, () => {
        if (waiting() <= many) this.#due()
        else this.#timer = this.#clock.timer(long - short, () => this.#due())
      })
  }

  /** A batch has begun. Where it left some keys, the next one follows at once. */
  begun(waiting: number): void {
    if (waiting === 0) this.close()
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#isDue = false
  }

  #due(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#isDue = true
    this.#onDue()
  }
}
