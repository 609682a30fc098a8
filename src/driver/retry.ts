import { IssuanceError, RequesterGoneError, RequestGoneError } from '../issuer/errors.ts'
import { backoffDelay } from '../runtime/backoff.ts'
import type { Validity } from '../volume/renewal.ts'

/** How the waits for a first certificate grow, in milliseconds. */
const firstBackoff = { first: 1000, cap: 60_000 }
/** How the waits between attempts to renew grow; a short-lived certificate starts with a tenth of the time it has left. */
const renewalBackoff = { first: 30_000, cap: 300_000 }
/** How the waits after a refusal grow: a denial is no hot loop. */
const refusalBackoff = { first: 60_000, cap: 3600_000, jitter: 0 }

/** Whether the issuer's no stands, so that only another request, after a while, may be answered otherwise. */
export function isRefusal(error: unknown): error is IssuanceError {
  return error instanceof IssuanceError && error.final && !(error instanceof RequestGoneError)
}

/**
 * How long to wait after a refusal: a minute, doubling to an hour.
 *
 * @param failures - how many there were, at least 1
 * @returns milliseconds
 */
export function refusalDelay(failures: number): number {
  return backoffDelay(failures, refusalBackoff)
}

/**
 * How long to wait before the next attempt at a first certificate.
 *
 * @param random - in [0, 1)
 * @returns milliseconds
 */
export function firstDelay(failures: number, error: unknown, random: () => number): number {
  return isRefusal(error) ? refusalDelay(failures) : backoffDelay(failures, { ...firstBackoff, random })
}

/**
 * How long to wait before the next attempt to renew.
 *
 * @param now - epoch milliseconds
 * @returns milliseconds; undefined where no attempt can help any more
 */
export function renewalDelay(
  failures: number,
  error: unknown,
  { notBefore, notAfter }: Validity,
  now: number,
  random: () => number,
): number | undefined {
  if (error instanceof RequesterGoneError) return undefined
  if (isRefusal(error)) return refusalDelay(failures)
  const left = Math.max(notAfter - now, (notAfter - notBefore) / 3)
  const first = Math.min(renewalBackoff.first, Math.max(1000, left / 10))
  return backoffDelay(failures, { first, cap: renewalBackoff.cap, random })
}
