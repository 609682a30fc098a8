import { status } from '@grpc/grpc-js'
import { IssuanceError } from '../issuer/errors.ts'
import {
  InvalidAttributesError,
  InvalidCallError,
  NotReadyError,
  OtherTargetError,
  RefusedError,
  NoSuchVolumeError,
} from './errors.ts'
import { PodGoneError, PodUnreadableError } from './pod-metadata.ts'
import { PodTokensError } from './pod-tokens.ts'

/** How a call ends that does not end well. */
export interface CallStatus {
  readonly code: status
  readonly details: string
}

/**
 * The longest text of an answer, in characters. It travels in HTTP/2 trailers, and trailers of some 64 KiB end the connection, with
 * all its calls; how long a text gets is in the hands of a pod's author, whose attributes it quotes.
 */
const longestDetails = 4000

/**
 * Maps an error to a gRPC status, at the one place where errors leave the driver.
 *
 * The kubelet takes CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE, RESOURCE_EXHAUSTED and ABORTED as "uncertain" and will unpublish;
 * after any other code it believes that nothing is left on the node (csi_client.go, isFinalError). So whoever throws an error
 * that maps to another code has cleaned up.
 */
export function callStatus(error: unknown): CallStatus {
  const details = shorten(error instanceof Error ? error.message : String(error))
  if (error instanceof InvalidCallError || error instanceof PodTokensError || error instanceof InvalidAttributesError) {
    return { code: status.INVALID_ARGUMENT, details }
  }
  if (error instanceof RefusedError || error instanceof OtherTargetError || error instanceof PodGoneError) {
    return { code: status.FAILED_PRECONDITION, details }
  }
  if (error instanceof NoSuchVolumeError) return { code: status.NOT_FOUND, details }
  if (error instanceof NotReadyError || error instanceof PodUnreadableError) {
    return { code: status.UNAVAILABLE, details }
  }
  if (error instanceof IssuanceError) {
    return { code: error.final ? status.FAILED_PRECONDITION : status.UNAVAILABLE, details }
  }
  return { code: status.INTERNAL, details }
}

/** Half a surrogate pair has no form in a URI, in which grpc-js writes the text, so the cut makes none. */
function shorten(text: string): string {
  const kept = text.length > longestDetails ? `${text.slice(0, longestDetails - 1)}…` : text
  return kept.toWellFormed()
}
