/** Gives back what was taken. Calling it again does nothing. */
export type Release = () => void

interface Waiter {
  readonly grant: () => void
  readonly refuse: (error: Error) => void
}

/**
 * The streams that a connection may have at once. Who finds none free waits, first come first served. Unlike a semaphore it changes
 * its size when the server says so (RFC 9113 §5.1.2), and turns everybody away when the connection ends.
 */
export class StreamSlots {
  #limit: number
  #taken = 0
  #closed: Error | undefined
  readonly #waiting = new Set<Waiter>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get taken(): number {
    return this.#taken
  }

  /** A smaller limit takes nothing away from those who have a place. */
  resize(limit: number): void {
    this.#limit = limit
    this.#grant()
  }

  /**
   * @throws the signal's reason when it aborts first
   * @throws what {@link close} was given
   */
  take(signal: AbortSignal): Promise<Release> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (this.#taken < this.#limit) return Promise.resolve(this.#place())
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiter)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        reject(signal.reason as Error)
      }
      const waiter: Waiter = {
        grant: () => {
          leave()
          resolve(this.#place())
        },
        refuse: (error) => {
          leave()
          reject(error)
        },
      }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Refuses those who wait and those who come. */
  close(error: Error): void {
    this.#closed ??= error
    for (const waiter of this.#waiting) waiter.refuse(error)
  }

  #place(): Release {
    this.#taken += 1
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#taken -= 1
      this.#grant()
    }
  }

  #grant(): void {
    for (const waiter of this.#waiting) {
      if (this.#taken >= this.#limit) return
      waiter.grant()
    }
  }
}
