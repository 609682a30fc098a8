import { backoffDelay } from '../runtime/backoff.ts'
import { ApiError, ConnectionError } from './errors.ts'

/** What is known of a call when an attempt at it fails. */
export interface FailedAttempt {
  readonly method: string
  readonly error: unknown
  /** How many attempts have already been lost with their connection. */
  readonly lost: number
  /** How many have already been refused because the server was busy. */
  readonly refused: number
  /** Milliseconds that are left of the call's time. */
  readonly remaining: number
  readonly random: () => number
}

/** What a failed attempt calls for, if the call goes on: after how long, and which count it adds to. */
export interface Repetition {
  /** Milliseconds. */
  readonly delay: number
  readonly because: 'lost' | 'refused'
}

const mostRefusals = 10

/**
 * Decides whether a call is tried again. Never a write that the server may have carried out: its caller must look first.
 *
 * - The connection was lost: once, for reads, and for whatever the server provably did not act on (RFC 9113 §8.7).
 * - 429: refused before it was carried out (API priority and fairness), so any method, after the time the server asks for.
 * - 5xx with Retry-After: reads, after that time.
 *
 * @returns undefined where the error is to be passed on, also when the wait would not fit in the time that is left
 */
export function repetition(attempt: FailedAttempt): Repetition | undefined {
  const { method, error, lost, refused, remaining, random } = attempt
  const isRead = method === 'GET'
  if (error instanceof ConnectionError) {
    return lost === 0 && (isRead || error.outcome === 'not-executed') ? { delay: 0, because: 'lost' } : undefined
  }
  if (!(error instanceof ApiError) || refused >= mostRefusals) return undefined
  const isRefusal = error.status === 429 || (isRead && error.status >= 500 && error.retryAfter !== undefined)
  if (!isRefusal) return undefined
  const asked = Math.max(100, error.retryAfter ?? 1000)
  // The jitter keeps apart the calls that were refused together.
  const delay = backoffDelay(1, { first: asked, cap: asked, random })
  return delay < remaining ? { delay, because: 'refused' } : undefined
}
