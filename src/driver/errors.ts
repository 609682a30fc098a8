import type { AttributeProblem } from '../volume/attributes.ts'

/** A CSI call that lacks a field, or has one that no caller may send. Maps to INVALID_ARGUMENT. */
export class InvalidCallError extends Error {
  override readonly name = 'InvalidCallError'
  readonly code = 'INVALID_CALL'
}

/** Everything that is wrong with a volume's attributes. Maps to INVALID_ARGUMENT. */
export class InvalidAttributesError extends Error {
  override readonly name = 'InvalidAttributesError'
  readonly code = 'INVALID_ATTRIBUTES'
  readonly problems: readonly AttributeProblem[]

  constructor(problems: readonly AttributeProblem[]) {
    super(problems.map(({ attribute, message }) => `${attribute}: ${message}`).join('; '))
    this.problems = problems
  }
}

/** The volume is published at another path already. Maps to FAILED_PRECONDITION; the first path stays as it is. */
export class OtherTargetError extends Error {
  override readonly name = 'OtherTargetError'
  readonly code = 'OTHER_TARGET'

  constructor(volumeId: string, target: string) {
    super(`volume ${volumeId} is published at ${target}; an inline volume has one target path`)
  }
}

/** There is no certificate yet; the work goes on. Maps to UNAVAILABLE, so that the kubelet asks again and unpublishes in the end. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError'
  readonly code = 'NOT_READY'
}

/** A question about a volume that is not here. Maps to NOT_FOUND. */
export class NoSuchVolumeError extends Error {
  override readonly name = 'NoSuchVolumeError'
  readonly code = 'NO_SUCH_VOLUME'

  constructor(volumeId: string, path: string) {
    super(`volume ${volumeId} is not published at ${path}`)
  }
}

/** The issuer said no, or answered with something unusable, and it is too early to ask again. Maps to FAILED_PRECONDITION. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code = 'REFUSED'
}
