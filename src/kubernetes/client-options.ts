import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

/** How a client behaves. Times are milliseconds. */
export interface ClientOptions {
  /** @default {silentLog} */
  readonly log?: Log
  /** @default {systemClock} */
  readonly clock?: Clock
  /** In [0, 1), for jitter. @default {Math.random} */
  readonly random?: () => number
  /** @default {'podpass'} */
  readonly userAgent?: string
  /** The longest a call may take, its repetitions included. @default {30_000} */
  readonly timeout?: number
  /** How many calls may be in flight at once; the others wait in order. Watches do not count. @default {64} */
  readonly maxInFlight?: number
  /** Calls per second; 0 for no limit. Watches do not count. @default {0} */
  readonly qps?: number
  /** How many calls may exceed `qps` at once. @default {qps, at least 1} */
  readonly burst?: number
  /** A connection that was silent for this long is asked for a sign of life. @default {30_000} */
  readonly pingInterval?: number
  /** A connection that gives no sign of life for this long is given up. @default {15_000} */
  readonly pingTimeout?: number
  /** Nothing is sent before this settles: a program that serves others first has the processor to itself until it does. */
  readonly startAfter?: Promise<unknown>
  /** How often CA, certificate and token files are looked at. @default {60_000} */
  readonly reloadInterval?: number
}

/** What each call accepts. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds, repetitions included. @default {the client's} */
  readonly timeout?: number | undefined
  /** A bearer token to use instead of the client's own credentials. No client certificate is presented with it. */
  readonly token?: string | undefined
}

/** What each call that changes something accepts. */
export interface WriteOptions extends CallOptions {
  /** Who owns the fields that are written, for server-side apply and `managedFields`. */
  readonly fieldManager?: string
  /** Runs every check and stores nothing. */
  readonly dryRun?: boolean
  /** Such as `status` or `approval`. */
  readonly subresource?: string
}

/** What a list or a watch is narrowed to. */
export interface Selection {
  /** Undefined for every namespace. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Asks for `metadata` alone (PartialObjectMetadata). */
  readonly metadataOnly?: boolean | undefined
}

export interface ListOptions extends CallOptions, Selection {
  /** Objects a page; 0 for everything at once. @default {500} */
  readonly limit?: number
}

export interface ObjectList<T> {
  readonly items: readonly T[]
  /** Where a watch may go on from. */
  readonly resourceVersion: string
}

export interface WatchOptions extends Selection {
  readonly signal?: AbortSignal | undefined
  /** Where to go on from; undefined to begin with a synthetic ADDED for each object there is. */
  readonly resourceVersion?: string | undefined
  /** Asks for BOOKMARK events. @default {true} */
  readonly bookmarks?: boolean
  /** Asks for all objects first, then a bookmark annotated `k8s.io/initial-events-end` (KEP-3157). @default {false} */
  readonly sendInitialEvents?: boolean
  /** When the server is to end the watch, in seconds. */
  readonly timeoutSeconds?: number
  /** Called once the server has accepted the watch. */
  readonly onOpen?: () => void
}

export interface DeleteOptions extends CallOptions {
  /** The delete is refused with 409 when the object is another one, or has changed. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  readonly gracePeriodSeconds?: number
  readonly dryRun?: boolean
}
