import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import type { Condition } from '../kubernetes/object.ts'
import type { RequestOutcome } from './certificate-request-outcome.ts'
import { RequestDeniedError, RequestFailedError } from './errors.ts'

/** What follows from a no, for people. */
const whatNow =
  'it stays so for this request; once the reason is gone, a new one is made by itself, or at once by "podpass driver renew" where there is a certificate already'

/**
 * Reads the conditions of a CertificateSigningRequest (certificates.k8s.io/v1). Nothing in the API keeps a certificate from standing in
 * a request that nobody has approved, or that was denied or failed, so a certificate counts only with Approved and without the others.
 *
 * An answer has no CA: the API has no place for one.
 */
export function signingRequestOutcome(request: CertificateSigningRequest): RequestOutcome {
  const { conditions = [], certificate = '' } = request.status ?? {}
  const find = (type: string) => conditions.find((condition) => condition.type === type && condition.status === 'True')
  const denied = find('Denied')
  if (denied !== undefined) {
    const reason = `${writerOf(request, 'approval')}${explain(denied)}; ${whatNow}`
    return { is: 'refused', error: (name) => new RequestDeniedError(name, reason) }
  }
  const failed = find('Failed')
  if (failed !== undefined) {
    const reason = `${writerOf(request, 'status')}${explain(failed)}; ${whatNow}`
    return { is: 'refused', error: (name) => new RequestFailedError(name, reason) }
  }
  if (find('Approved') === undefined) return { is: 'waiting', state: 'it waits for approval' }
  if (certificate === '') return { is: 'waiting', state: 'it is approved and waits for its signer' }
  const chain = Buffer.from(certificate, 'base64').toString('utf8')
  return { is: 'issued', certificate: { chain, ca: undefined } }
}

/** The program that wrote a condition last, where the object still has what says so: `by kubectl-certificate, `. */
function writerOf({ metadata }: CertificateSigningRequest, subresource: string): string {
  const manager = metadata.managedFields?.find((field) => field.subresource === subresource)?.manager
  return manager === undefined ? '' : `by ${manager}, `
}

function explain({ reason = '', message = '' }: Condition): string {
  const text = [reason, message].filter((part) => part !== '').join(': ')
  return text === '' ? 'no reason was given' : text
}
