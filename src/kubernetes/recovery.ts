import { backoffDelay } from '../runtime/backoff.ts'
import { DeadlineExceeded } from './deadline.ts'
import { ApiError, ConnectionError } from './errors.ts'

/**
 * How a reflector fetches everything there is: in a watch (KEP-3157), page by page, or in one answer, where the pages expire before
 * they are read.
 */
export type Listing = 'streamed' | 'paged' | 'whole'

/** What is known when a watch, or the list before it, has ended. */
export interface Interruption {
  /** Undefined where the server closed the watch in good order. */
  readonly error: unknown
  /** How many attempts in a row brought nothing, this one included. */
  readonly failures: number
  /** Whether everything was still being fetched. */
  readonly isListing: boolean
  readonly listing: Listing
  readonly random: () => number
}

/** How list and watch go on. */
export interface Recovery {
  /** Milliseconds. */
  readonly delay: number
  /** Whether everything is to be fetched again, instead of what came since. */
  readonly restart: boolean
  readonly listing: Listing
  /** Whether somebody should hear of it. Closed watches and expired versions are everyday life. */
  readonly isTrouble: boolean
}

const afterRefusal = { first: 500, cap: 30_000 }
/** Attempts to connect are already spaced out by the session. */
const afterLoss = { first: 100, cap: 5_000 }
/** After so many refusals of a resume its version itself is in doubt (etcd restored from a backup, for instance). */
const doubtful = 3

/** Decides how list and watch go on after an interruption. They always do. */
export function recovery(interruption: Interruption): Recovery {
  const { error, failures, isListing, listing, random } = interruption
  const repeated = failures > 1 ? backoffDelay(failures - 1, { ...afterRefusal, random }) : 0
  if (error === undefined) return { delay: repeated, restart: false, listing, isTrouble: false }
  if (error instanceof ApiError) {
    if (error.status === 410) {
      // Pages that expire while they are read would do so again; a watch that expires needs a new list.
      const next = isListing && listing === 'paged' ? 'whole' : listing
      return { delay: repeated, restart: true, listing: next, isTrouble: false }
    }
    if (isListing && listing === 'streamed' && isUnknownToServer(error)) {
      return { delay: 0, restart: true, listing: 'paged', isTrouble: false }
    }
    const delay = Math.max(error.retryAfter ?? 0, backoffDelay(Math.max(1, failures), { ...afterRefusal, random }))
    const isTransient = error.status === 429 || (error.status >= 500 && !isFromTheFuture(error) && failures < doubtful)
    // A list may be possible where streaming fails, for instance on an etcd without progress requests (kubernetes.io WatchList).
    const next = listing === 'streamed' && isListing && error.status >= 500 ? 'paged' : listing
    return { delay, restart: !isTransient, listing: next, isTrouble: true }
  }
  const isOverdue = error instanceof ConnectionError && error.cause instanceof DeadlineExceeded
  return {
    delay: backoffDelay(Math.max(1, failures), { ...afterLoss, random }),
    restart: false,
    // Servers before 1.27 may take the request for an ordinary watch, which never says that the list is complete.
    listing: isOverdue && isListing && listing === 'streamed' ? 'paged' : listing,
    isTrouble: true,
  }
}

/** Servers without streaming lists refuse its parameters with 400 or 422; the other refusals have nothing to do with it. */
function isUnknownToServer(error: ApiError): boolean {
  return error.status >= 400 && error.status < 500 && ![401, 403, 404, 409, 429].includes(error.status)
}

/** The API server has not seen the version yet that the watch should go on from (apimachinery, NewTooLargeResourceVersionError). */
function isFromTheFuture(error: ApiError): boolean {
  return error.details.causes?.some(({ reason }) => reason === 'ResourceVersionTooLarge') ?? false
}
