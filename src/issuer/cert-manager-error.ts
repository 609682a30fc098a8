import { ApiError } from '../kubernetes/errors.ts'
import {
  type IssuanceError,
  IssuerRefusedError,
  IssuerUnavailableError,
  RequestDeniedError,
  RequesterGoneError,
} from './errors.ts'

/**
 * Says what a failed call to the API server means for a request.
 *
 * @param name - namespace and name of the request
 * @param caller - in whose name it was made, such as `the driver's service account`
 */
export function createError(error: unknown, name: string, caller: string): IssuanceError {
  const request = `CertificateRequest ${name}`
  if (!(error instanceof ApiError)) {
    const text = error instanceof Error ? error.message : String(error)
    return new IssuerUnavailableError(`${request} cannot be created: ${text}`, { cause: error })
  }
  const { status, details, message } = error
  const terminating = details.causes?.some((cause) => cause.reason === 'NamespaceTerminating') === true
  if (terminating || (status === 404 && details.kind === 'namespaces')) {
    return new RequesterGoneError(`${request} cannot be created, its namespace is gone: ${message}`, { cause: error })
  }
  if (status === 404) {
    const text = `${request} cannot be created: the cluster does not know CertificateRequests; install cert-manager`
    return new IssuerRefusedError(text, { cause: error })
  }
  if (status === 401 || status === 403) {
    const text = `${request} cannot be created: ${message}; check the rights of ${caller}`
    return new IssuerRefusedError(text, { cause: error })
  }
  if (status === 400 || status === 413 || status === 422) return new RequestDeniedError(request, message)
  return new IssuerUnavailableError(`${request} cannot be created: ${message}`, { cause: error })
}
