/** Lets a fixed number of pieces of work run at a time, in the order of arrival. */
export class Semaphore {
  readonly #slots: number
  #free: number
  readonly #waiting = new Set<() => void>()

  /**
   * @param slots - how many may run at once
   * @throws {RangeError} where that is not a positive integer
   */
  constructor(slots: number) {
    if (!Number.isSafeInteger(slots) || slots < 1) {
      throw new RangeError(`a semaphore needs a positive number of slots: current value is ${slots}`)
    }
    this.#slots = slots
    this.#free = slots
  }

  /** How many pieces of work are running. */
  get running(): number {
    return this.#slots - this.#free
  }

  /** How many wait for a slot. */
  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Runs `work` once a slot is free; resolves and rejects as it does.
   *
   * @param signal - ends the wait for a slot; work that has begun is not touched
   * @throws the signal's reason, where it aborts before the work begins
   */
  async run<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    await this.#acquire(signal)
    try {
      return await work()
    } finally {
      this.#release()
    }
  }

  #acquire(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error)
        return
      }
      if (this.#free > 0) {
        this.#free--
        resolve()
        return
      }
      const start = (): void => {
        signal?.removeEventListener('abort', give)
        resolve()
      }
      const give = (): void => {
        this.#waiting.delete(start)
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', give, { once: true })
      this.#waiting.add(start)
    })
  }

  /** Hands the slot to whoever has waited longest, so that nobody who comes later can take it in between. */
  #release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
