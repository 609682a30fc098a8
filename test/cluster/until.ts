import { setTimeout as delay } from 'node:timers/promises'

/** What was waited for did not come. */
export class TimedOutError extends Error {
  override readonly name = 'TimedOutError'
  readonly code = 'TIMED_OUT'
}

export interface UntilOptions {
  /** Milliseconds until it is given up. It bounds a failing run and asserts nothing about speed. @default {60_000} */
  readonly timeout?: number
  /** Milliseconds between two looks. @default {100} */
  readonly interval?: number
  /** Gives up at once when this rejects, as with a server that ended before it was ready. */
  readonly orFail?: Promise<never>
}

/**
 * Looks again and again until there is something to see. Only for what gives no event to wait for: another process's files, the
 * readiness of a server.
 *
 * @param what - completes "timed out waiting for …"
 * @param look - resolves with undefined or false while there is nothing yet; what it throws counts as nothing yet
 * @throws {TimedOutError} with what `look` last threw as its cause
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const { timeout = 60_000, interval = 100, orFail } = options
  const deadline = performance.now() + timeout
  let failed = false
  let failure: unknown
  orFail?.catch((error: unknown) => {
    failed = true
    failure = error
  })
  let cause: unknown
  while (performance.now() < deadline) {
    if (failed) throw failure
    try {
      const seen = await look()
      if (seen !== undefined && seen !== false) return seen as Exclude<T, undefined | false>
    } catch (error) {
      cause = error
    }
    await delay(interval)
  }
  throw new TimedOutError(`timed out waiting for ${what}`, { cause })
}
