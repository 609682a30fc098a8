import { DeadlineExceeded } from './deadline.ts'
import { ConnectionError } from './errors.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One request of the Kubernetes API. */
export interface ApiRequest {
  readonly method: Method
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** @default {'application/json'} */
  readonly accept?: string
  readonly contentType?: string
  readonly body?: string
}

/** Says which request an error is about, and for a write what is known of it. */
export function inContext(error: unknown, request: ApiRequest, sent: boolean): unknown {
  const isLate = error instanceof DeadlineExceeded
  if (!isLate && !(error instanceof ConnectionError)) return error
  const late = sent ? 'unknown' : 'not-executed'
  const outcome = isLate ? late : error.outcome
  const doubt = outcome === 'unknown' && request.method !== 'GET' ? '; it may have been carried out' : ''
  const cause = isLate ? error : (error.cause ?? error)
  return new ConnectionError(`${request.method} ${request.path}: ${error.message}${doubt}`, outcome, cause)
}
