/** Time as the program sees it, so that tests can make it jump. */
export interface Clock {
  /** Epoch milliseconds of the wall clock. It may jump. */
  now(): number
  /**
   * Calls `fire` once after `delay` milliseconds of running time, after 24 days at the latest (the longest that setTimeout takes).
   *
   * @param isAwaited - whether somebody waits for it, so that the process lives until then. Pings, reloads, time limits and the
   * like have no reason of their own: they end with the sockets they are about. @default {false}
   */
  timer(delay: number, fire: () => void, isAwaited?: boolean): Timer
}

export interface Timer {
  cancel(): void
}

/** The longest delay that setTimeout takes without firing at once, in milliseconds. */
const longestDelay = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  timer(delay, fire, isAwaited = false) {
    const handle = setTimeout(fire, Math.min(Math.max(delay, 0), longestDelay))
    if (!isAwaited) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/**
 * Resolves after `delay` milliseconds. The process lives until then, or until the signal aborts: a command between two attempts has
 * nothing else that keeps it.
 *
 * @throws the signal's reason, as soon as the signal aborts
 */
export function sleep(clock: Clock, delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    const wake = (): void => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }
    const timer = clock.timer(delay, wake, true)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
