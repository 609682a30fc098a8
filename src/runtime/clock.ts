/** Time as the program sees it, so that tests can make it jump. */
export interface Clock {
  /** Epoch milliseconds of the wall clock. It may jump. */
  now(): number
  /**
   * Calls `fire` once after `delay` milliseconds of running time, after 24 days at the latest (the longest that setTimeout takes).
   * Does not keep the process alive by itself.
   */
  timer(delay: number, fire: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** The longest delay that setTimeout takes without firing at once, in milliseconds. */
const longestDelay = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  timer(delay, fire) {
    const handle = setTimeout(fire, Math.min(Math.max(delay, 0), longestDelay))
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/**
 * Resolves after `delay` milliseconds.
 *
 * @throws the signal's reason, as soon as the signal aborts
 */
export function sleep(clock: Clock, delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    const timer = clock.timer(delay, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    const onAbort = (): void => {
      timer.cancel()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
