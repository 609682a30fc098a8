import type { CertificateRequest } from '../kubernetes/object.ts'
import { type IssuanceError, RequestDeniedError, RequestFailedError } from './errors.ts'
import type { IssuedCertificate } from './issuer.ts'

/** How far a CertificateRequest is. */
export type RequestOutcome =
  | { readonly is: 'waiting'; readonly state: string }
  | { readonly is: 'issued'; readonly certificate: IssuedCertificate }
  | { readonly is: 'refused'; readonly error: (request: string) => IssuanceError }
  | { readonly is: 'gone' }

/**
 * Reads the conditions of a CertificateRequest as cert-manager's controllers set them (pkg/apis/certmanager/v1): Denied and
 * InvalidRequest, and Ready with the reasons Pending, Issued, Failed and Denied.
 */
export function requestOutcome(request: CertificateRequest): RequestOutcome {
  const conditions = request.status?.conditions ?? []
  const find = (type: string) => conditions.find((condition) => condition.type === type)
  const denied = find('Denied')
  if (denied?.status === 'True') return refusedBy(RequestDeniedError, denied.message)
  const ready = find('Ready')
  if (ready?.reason === 'Denied') return refusedBy(RequestDeniedError, ready.message)
  if (ready?.reason === 'Failed') return refusedBy(RequestFailedError, explain(ready.message ?? ''))
  const invalid = find('InvalidRequest')
  if (invalid?.status === 'True') return refusedBy(RequestFailedError, invalid.message)
  const certificate = request.status?.certificate ?? ''
  if (ready?.status === 'True' && certificate !== '') {
    const ca = request.status?.ca ?? ''
    return {
      is: 'issued',
      certificate: { chain: decode(certificate), ca: ca === '' ? undefined : decode(ca) },
    }
  }
  if (ready !== undefined) return { is: 'waiting', state: `it is pending: ${ready.message ?? 'no message'}` }
  if (find('Approved')?.status === 'True') return { is: 'waiting', state: 'it is approved and waits for its issuer' }
  return { is: 'waiting', state: 'it waits for approval' }
}

function refusedBy(
  Kind: typeof RequestDeniedError | typeof RequestFailedError,
  message: string | undefined,
): RequestOutcome {
  const reason = message === undefined || message === '' ? 'no reason was given' : message
  return { is: 'refused', error: (request) => new Kind(request, reason) }
}

/** A SelfSigned issuer signs with the requester's own key, which it looks for in a Secret; a volume's key is in none. */
function explain(message: string): string {
  if (!message.includes('cert-manager.io/private-key-secret-name')) return message
  return `${message} (a SelfSigned issuer cannot serve a volume, because the key never leaves the node: name a CA or another issuer)`
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8')
}
