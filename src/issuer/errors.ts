/** Trouble on the way from a request to a certificate. */
export abstract class IssuanceError extends Error {
  abstract readonly code: string
  /** A final error stands for this request: trying the same one again cannot help. */
  abstract readonly final: boolean
}

/** A request that its issuer refused for good. Maps to FAILED_PRECONDITION; a new pod, not a retry, is what helps. */
export class RequestDeniedError extends IssuanceError {
  override readonly name = 'RequestDeniedError'
  readonly code = 'REQUEST_DENIED'
  readonly final = true
  readonly request: string
  readonly reason: string

  constructor(request: string, reason: string) {
    super(`${request} was denied: ${reason}`)
    this.request = request
    this.reason = reason
  }
}

/** A request that its issuer accepted and could not serve. Maps to FAILED_PRECONDITION. */
export class RequestFailedError extends IssuanceError {
  override readonly name = 'RequestFailedError'
  readonly code = 'REQUEST_FAILED'
  readonly final = true
  readonly request: string
  readonly reason: string

  constructor(request: string, reason: string) {
    super(`${request} failed: ${reason}`)
    this.request = request
    this.reason = reason
  }
}

/** A request that the issuer does not hold, or no longer: somebody deleted it, or its name is another's. A new one may succeed. */
export class RequestGoneError extends IssuanceError {
  override readonly name = 'RequestGoneError'
  readonly code = 'REQUEST_GONE'
  readonly final = true
  readonly request: string

  constructor(request: string, how = 'was deleted before it was answered') {
    super(`${request} ${how}`)
    this.request = request
  }
}

/** The place that the request belongs to no longer exists (its namespace was deleted), so no certificate can come any more. */
export class RequesterGoneError extends IssuanceError {
  override readonly name = 'RequesterGoneError'
  readonly code = 'REQUESTER_GONE'
  readonly final = true
}

/**
 * The pod's own token is needed, and the kubelet has sent none that still holds. It sends a fresh one with each republish, about once
 * a minute.
 */
export class TokenMissingError extends IssuanceError {
  override readonly name = 'TokenMissingError'
  readonly code = 'TOKEN_MISSING'
  readonly final = false
}

/** The issuer cannot be reached or is not ready. The same request may be tried again. */
export class IssuerUnavailableError extends IssuanceError {
  override readonly name = 'IssuerUnavailableError'
  readonly code = 'ISSUER_UNAVAILABLE'
  readonly final = false
}

/** The issuer refuses whom or what it was asked by (missing rights, a policy, an invalid object); an administrator can mend it. */
export class IssuerRefusedError extends IssuanceError {
  override readonly name = 'IssuerRefusedError'
  readonly code = 'ISSUER_REFUSED'
  readonly final = false
}

/** A certificate that does not answer its request. It is never shown to a pod. */
export class AnswerRefusedError extends IssuanceError {
  override readonly name = 'AnswerRefusedError'
  readonly code = 'ANSWER_REFUSED'
  readonly final = true
  readonly request: string
  readonly problems: readonly string[]

  constructor(request: string, problems: readonly string[]) {
    super(`${request} was answered with a certificate that cannot be used: ${problems.join('; ')}`)
    this.request = request
    this.problems = problems
  }
}
