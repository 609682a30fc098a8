import type { Clock } from '../runtime/clock.ts'

/** A bucket at one moment. Plain data, so that many may be kept. */
export interface BucketLevel {
  readonly tokens: number
  /** Epoch milliseconds of the wall clock. */
  readonly at: number
}

export interface BucketSize {
  readonly capacity: number
  /** Tokens a second. */
  readonly refill: number
}

/** The level after the time since has refilled the bucket. A clock that went back refills nothing. */
export function refilled(level: BucketLevel, now: number, size: BucketSize): BucketLevel {
  const earned = (Math.max(0, now - level.at) / 1000) * size.refill
  return { tokens: Math.min(size.capacity, level.tokens + earned), at: now }
}

/**
 * Spaces calls out: `burst` at once, `qps` a second after that, in the order they came.
 *
 * @param qps - 0 for no limit
 * @returns a function that resolves when the call may go, or throws the signal's reason
 */
export function rateLimit(qps: number, burst: number, clock: Clock): (signal: AbortSignal) => Promise<void> {
  if (!(qps > 0)) return () => Promise.resolve()
  const size: BucketSize = { capacity: Math.max(1, burst), refill: qps }
  let level: BucketLevel = { tokens: size.capacity, at: clock.now() }
  return (signal) => {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    const before = refilled(level, clock.now(), size)
    // Below zero, the level counts those who already wait; so each knows its own turn from the start, and one timer does.
    level = { tokens: before.tokens - 1, at: before.at }
    if (level.tokens >= 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = clock.timer((-level.tokens / qps) * 1000, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = (): void => {
        timer.cancel()
        level = { tokens: level.tokens + 1, at: level.at }
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
