import { grpcStatus, statusName } from '../runtime/grpc-status.ts'

/** A call that failed. */
export interface FailedCall {
  /** A gRPC status code. */
  readonly status: number
  /** Service and method, such as `Entry.BatchCreateEntry`. */
  readonly method: string
  /** Of the server: `unix:///run/spire/server.sock`, or `host:port`. */
  readonly address: string
  /** What the server, or the library that could not reach it, says. */
  readonly details: string
  /** What to do about it, for people. @default {nothing} */
  readonly advice?: string | undefined
}

/**
 * A call of a SPIRE server's API that failed as a whole. Whether the server carried it out, whole or in part, is unknown unless the
 * status says so; what became of the items of a batch stands in their own results, not here.
 */
export class SpireError extends Error {
  override readonly name = 'SpireError'
  readonly code = 'SPIRE_CALL'
  /** A gRPC status code. */
  readonly status: number
  /** Service and method, such as `Entry.BatchCreateEntry`. */
  readonly method: string
  /** Of the server: `unix:///run/spire/server.sock`, or `host:port`. */
  readonly address: string
  /** Whether the same call may succeed after a while, without anybody changing the call, its size or the caller's rights. */
  readonly transient: boolean

  constructor({ status, method, address, details, advice }: FailedCall, cause?: unknown) {
    const text = `SPIRE server ${address}: ${method} failed with ${statusName(status)}: ${details}`
    super(
      advice === undefined ? text : `${text.replace(/\.$/, '')}. ${advice}`,
      cause === undefined ? undefined : { cause },
    )
    this.status = status
    this.method = method
    this.address = address
    this.transient = isTransient(status, details)
  }
}

/** SPIRE answers INTERNAL also for trouble with its database, which passes. */
const transientStatuses: ReadonlySet<number> = new Set([
  grpcStatus.CANCELLED,
  grpcStatus.UNKNOWN,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.RESOURCE_EXHAUSTED,
  grpcStatus.ABORTED,
  grpcStatus.INTERNAL,
  grpcStatus.UNAVAILABLE,
])

/** Both gRPC for Go and grpc-js speak of a maximum where a message is too long: the same one stays so. */
function isTransient(status: number, details: string): boolean {
  if (status === grpcStatus.RESOURCE_EXHAUSTED && /larger than max/i.test(details)) return false
  return transientStatuses.has(status)
}
