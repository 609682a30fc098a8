import type { IncomingHttpHeaders } from 'node:http2'
import { ApiError, type Status } from './errors.ts'

/**
 * Reads a refusal. What stands before the API server may answer too, with anything, so nothing is taken for granted.
 *
 * @param request - method and path
 * @param now - epoch milliseconds, for a Retry-After that is a date
 */
export function apiErrorFrom(
  request: string,
  status: number,
  headers: IncomingHttpHeaders,
  body: Buffer,
  now: number,
): ApiError {
  const text = body.toString('utf8')
  const answer = parseStatus(text) ?? { message: text.trim().slice(0, 200) || 'no message' }
  const seconds = answer.details?.retryAfterSeconds
  const retryAfter = parseRetryAfter(headers['retry-after'], now) ?? (seconds ? seconds * 1000 : undefined)
  return new ApiError(request, status, answer, retryAfter)
}

/** The error that a Status stands for which arrived in the middle of a watch. */
export function apiErrorFromStatus(request: string, status: Partial<Status>): ApiError {
  const seconds = status.details?.retryAfterSeconds
  return new ApiError(request, status.code ?? 500, status, seconds ? seconds * 1000 : undefined)
}

/**
 * Reads a Retry-After: seconds or an HTTP date (RFC 9110 §10.2.3).
 *
 * @returns milliseconds; undefined where there is none, or nonsense
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

function parseStatus(text: string): Partial<Status> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isStatus = typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'
    return isStatus ? (value as Status) : undefined
  } catch {
    return undefined
  }
}
