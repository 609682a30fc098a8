import type { CertificateSigningRequest } from '../../kubernetes/certificates.ts'
import type { Condition } from '../../kubernetes/object.ts'
import { readRequest } from '../request/read-request.ts'
import { profileFaults, type SignerProfile } from './signer-profile.ts'
import { type SignedLeaf, signLeaf } from './sign-leaf.ts'
import type { SigningCa } from './signing-ca.ts'

/** What a signer has to do with a CertificateSigningRequest. */
export type SigningTask =
  /** It is not approved, or settled. */
  | { readonly is: 'nothing' }
  /** It can never be signed; the sentence says why. */
  | { readonly is: 'fail'; readonly why: string }
  | { readonly is: 'sign'; readonly sign: (ca: SigningCa, now: number) => SignedLeaf }

/** By how much a certificate begins before now, in milliseconds: clocks differ (as kube-controller-manager, signer.go). */
const backdate = 300_000
/** The least that the API lets anybody ask for (expirationSeconds); a CA that cannot give it is about to end. */
export const shortestLife = 600_000

/**
 * Looks at a request as it is now. Approval is another's, so that all that counts here is Approved, and neither Denied nor Failed: the
 * API server checks none of it when a certificate is written (validation.go).
 */
export function signingTask(object: CertificateSigningRequest, profile: SignerProfile): SigningTask {
  const { spec, status = {}, metadata } = object
  const has = (type: string): boolean =>
    status.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
  const isSettled = has('Denied') || has('Failed') || (status.certificate ?? '') !== ''
  if (spec.signerName !== profile.signerName || !has('Approved') || isSettled) return { is: 'nothing' }
  if (metadata.deletionTimestamp !== undefined) return { is: 'nothing' }
  const { asked, faults } = readRequest({ kind: 'CertificateSigningRequest', object })
  if (asked === undefined || faults.length > 0) {
    return { is: 'fail', why: faults.map(({ value, why }) => (value === '' ? why : `${value}: ${why}`)).join('; ') }
  }
  const outside = profileFaults(asked, profile)
  if (outside.length > 0) return { is: 'fail', why: outside.join('; ') }
  const life = Math.min(asked.duration ?? profile.longest, profile.longest)
  return {
    is: 'sign',
    sign: (ca, now) => {
      const { subject, names, publicKey } = asked.request
      const notBefore = Math.max(now - backdate, ca.authority.certificate.notBefore)
      const notAfter = Math.min(now + life, ca.notAfter)
      return signLeaf(ca, { subject, names, publicKey, usages: asked.usages, notBefore, notAfter }, now)
    },
  }
}

/** The request with its certificate, for a PUT of its status. */
export function withCertificate(object: CertificateSigningRequest, { chain }: SignedLeaf): CertificateSigningRequest {
  return { ...object, status: { ...object.status, certificate: Buffer.from(chain).toString('base64') } }
}

/** The request with the condition Failed, for a PUT of its status. */
export function withFailure(object: CertificateSigningRequest, why: string): CertificateSigningRequest {
  const failed: Condition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: why }
  return { ...object, status: { ...object.status, conditions: [...(object.status?.conditions ?? []), failed] } }
}
