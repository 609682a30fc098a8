/** `details` of a Status object (apimachinery meta/v1 StatusDetails). */
export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[]
  readonly retryAfterSeconds?: number
}

/** What the API server says when it refuses. */
export interface Status {
  readonly kind: 'Status'
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: StatusDetails
  readonly metadata?: { readonly continue?: string }
}

/** The API server answered, and the answer is no. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code = 'KUBERNETES_API'
  /** The HTTP status, or the `code` of a Status that arrived inside a watch. */
  readonly status: number
  /** The machine-readable reason, such as `NotFound`, `AlreadyExists`, `Conflict`, `Expired`; empty where none was given. */
  readonly reason: string
  readonly details: StatusDetails
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfter: number | undefined
  /** Method and path, such as `POST /api/v1/namespaces/sandbox/events`. */
  readonly request: string

  constructor(request: string, status: number, answer: Partial<Status>, retryAfter: number | undefined) {
    super(
      `${request} was answered with ${status}${answer.reason ? ` ${answer.reason}` : ''}: ${answer.message ?? 'no message'}`,
    )
    this.request = request
    this.status = status
    this.reason = answer.reason ?? ''
    this.details = answer.details ?? {}
    this.retryAfter = retryAfter
  }
}

/**
 * No answer came: the API server could not be reached, or the connection or the time for the call ran out.
 */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly code = 'KUBERNETES_CONNECTION'
  /**
   * `not-executed`: the API server never acted on the request (no connection, or refused by RFC 9113 §8.7).
   * `unknown`: it may have, so a write must be submitted again in a way that finds the first one.
   */
  readonly outcome: 'not-executed' | 'unknown'

  constructor(message: string, outcome: 'not-executed' | 'unknown', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.outcome = outcome
  }
}

/** Own credentials cannot be read: a token or certificate file, or an exec plugin. Names the file or the command, never its content. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError'
  readonly code = 'KUBERNETES_CREDENTIALS'
}

/** A kubeconfig file, or the surroundings of a pod, that no connection can be made from. Names file, entry and field. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly code = 'KUBERNETES_CONFIGURATION'
}
