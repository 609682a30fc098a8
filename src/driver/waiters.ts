import type { Clock } from '../runtime/clock.ts'

/** One caller that waits. */
interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** What a caller is told that has waited for too long, or stopped waiting. */
export interface WaitEnds {
  readonly onTimeout: () => Error
  readonly onAbort: () => Error
}

/** Callers that wait for the same thing. What they wait for goes on when they give up. */
export class Waiters {
  readonly #waiting = new Set<Waiter>()

  /**
   * Waits for {@link resolve} or {@link reject}.
   *
   * @param delay - milliseconds after which to stop waiting
   * @param signal - the caller's
   */
  wait(clock: Clock, delay: number, signal: AbortSignal, { onTimeout, onAbort }: WaitEnds): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        timer.cancel()
        signal.removeEventListener('abort', stop)
        this.#waiting.delete(waiter)
        finish()
      }
      const waiter: Waiter = { resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) }
      const stop = (): void => waiter.reject(onAbort())
      const timer = clock.timer(delay, () => waiter.reject(onTimeout()))
      signal.addEventListener('abort', stop, { once: true })
      this.#waiting.add(waiter)
      if (signal.aborted) stop()
    })
  }

  /** Tells everybody that it is there. */
  resolve(): void {
    for (const waiter of this.#waiting) waiter.resolve()
  }

  /** Tells everybody why it is not. */
  reject(error: Error): void {
    for (const waiter of this.#waiting) waiter.reject(error)
  }
}
