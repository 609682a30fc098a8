import { ApiError } from '../kubernetes/errors.ts'
import { type IssuanceError, IssuerRefusedError, IssuerUnavailableError, RequestDeniedError } from './errors.ts'

/**
 * Says what a failed call to the API server means for a CertificateSigningRequest.
 *
 * @param name - of the request
 * @param caller - in whose name the call was made, such as `the driver's service account`
 */
export function signingRequestError(error: unknown, name: string, caller: string): IssuanceError {
  const request = `CertificateSigningRequest ${name}`
  if (!(error instanceof ApiError)) {
    const text = error instanceof Error ? error.message : String(error)
    return new IssuerUnavailableError(`${request} cannot be created: ${text}`, { cause: error })
  }
  const { status, message } = error
  if (status === 401 || status === 403) {
    const text = `${request} cannot be created: ${message}; check the rights of ${caller} (deploy/driver/kubernetes-signers.yaml)`
    return new IssuerRefusedError(text, { cause: error })
  }
  if (status === 404) {
    const text = `${request} cannot be created: this API server does not serve certificates.k8s.io/v1`
    return new IssuerRefusedError(text, { cause: error })
  }
  if (status === 400 || status === 413 || status === 422) return new RequestDeniedError(request, message)
  return new IssuerUnavailableError(`${request} cannot be created: ${message}`, { cause: error })
}
