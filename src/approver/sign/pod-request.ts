import type { PodCertificateRequest } from '../../kubernetes/certificates.ts'
import { formatTime } from '../../x509/chain.ts'
import { buildSubject } from '../../x509/name.ts'
import type { Decision } from '../decide.ts'
import type { GrantedNames } from '../issue-names.ts'
import type { AskedCertificate } from '../request/asked-certificate.ts'
import { profileFaults, type SignerProfile } from './signer-profile.ts'
import { type SignedLeaf, signLeaf } from './sign-leaf.ts'
import type { SigningCa } from './signing-ca.ts'

/** When a pod's certificate holds, and from when on the kubelet asks for the next one. Epoch milliseconds in whole seconds. */
export interface PodCertificateTimes {
  readonly notBefore: number
  readonly notAfter: number
  readonly beginRefreshAt: number
}

/** What a signer has to do with a PodCertificateRequest. */
export type PodTask =
  | { readonly is: 'nothing' }
  /** Temporary, whatever it is: for the pod, Denied and Failed are for good. */
  | { readonly is: 'wait'; readonly reason: string; readonly why: string }
  | { readonly is: 'deny'; readonly reason: string; readonly why: string }
  | {
      readonly is: 'sign'
      readonly ca: SigningCa
      readonly times: PodCertificateTimes
      readonly sign: () => SignedLeaf
    }

/** The API server takes a beginning within five minutes of its clock (certificates/validation.go); half of that is left to clocks. */
const backdate = 120_000
/** The shortest life that the API server takes, in milliseconds. */
export const shortestPodLife = 3600_000
/** How far `beginRefreshAt` must stay from both ends, in milliseconds (certificates/validation.go). */
export const refreshMargin = 600_000

const finalConditions: ReadonlySet<string> = new Set(['Issued', 'Denied', 'Failed'])

/** Whether a request still waits for a decision. */
export function isOpen({ metadata, status }: PodCertificateRequest): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    !(status?.conditions ?? []).some(({ type }) => finalConditions.has(type))
  )
}

/**
 * The times of a pod's certificate. The life includes the backdate, as the API server counts it.
 *
 * @param limits - of the whole certificate, and when the next one is asked for
 * @param spread - in [0, 1): pods that start together do not refresh together
 * @returns undefined where the CA, or what is asked for, leaves less than an hour
 */
export function podCertificateTimes(
  ca: Pick<SigningCa, 'authority' | 'notAfter'>,
  { longest, refreshAfter }: Pick<SignerProfile, 'longest' | 'refreshAfter'>,
  now: number,
  spread: number,
): PodCertificateTimes | undefined {
  // A CA's own beginning is in whole seconds.
  const notBefore = Math.max(wholeSeconds(now - backdate), ca.authority.certificate.notBefore)
  const notAfter = Math.min(notBefore + wholeSeconds(longest), ca.notAfter)
  const life = notAfter - notBefore
  if (life < shortestPodLife || notBefore > now) return undefined
  const wish =
    notBefore + (refreshAfter === undefined ? life * (0.6 + 0.1 * spread) : refreshAfter * (1 + 0.1 * spread))
  const beginRefreshAt = wholeSeconds(Math.min(Math.max(wish, notBefore + refreshMargin), notAfter - refreshMargin))
  return { notBefore, notAfter, beginRefreshAt }
}

function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000
}

/**
 * What becomes of a request of a pod, by the decision that was just made on live objects.
 *
 * @param ca - who signs; undefined where no CA may, which a denial does not need
 * @param spread - in [0, 1)
 */
export function podTask(
  decision: Pick<Decision, 'is' | 'reason' | 'message' | 'policies' | 'request' | 'asked' | 'granted'>,
  profile: SignerProfile,
  ca: SigningCa | undefined,
  now: number,
  spread: number,
): PodTask {
  const { is, reason, message, asked, granted } = decision
  if (is === 'leave alone') return { is: 'nothing' }
  if (is === 'deny') return { is: 'deny', reason: denialReason(decision), why: message }
  if (is === 'wait' || asked === undefined || granted === undefined) return { is: 'wait', reason, why: message }
  // The policy's own names, not the request's: it can be mended, so it is no reason to end the pod's certificates.
  const outside = profileFaults(granted, profile)
  if (outside.length > 0) return { is: 'wait', reason: 'OutsideOfProfile', why: outside.join('; ') }
  if (ca === undefined) return { is: 'wait', reason: 'NoCertificateAuthority', why: 'no CA may sign now' }
  const longest = Math.min(granted.longest, profile.longest)
  const times = podCertificateTimes(ca, { ...profile, longest }, now, spread)
  if (times === undefined) {
    const why = `a pod's certificate lives an hour at least; the CA ends at ${formatTime(ca.notAfter)}, and policy and signer give ${minutes(longest)} minutes`
    return { is: 'wait', reason: 'TooShort', why }
  }
  return { is: 'sign', ca, times, sign: () => signGranted(ca, granted, asked, times, now) }
}

function minutes(duration: number): number {
  return Math.floor(duration / 60_000)
}

/** KEP-4317 has reasons of its own for what a kubelet or a pod's author can do something about. */
function denialReason({ reason, policies, request }: Pick<Decision, 'reason' | 'policies' | 'request'>): string {
  const failed = [...request, ...policies.flatMap(({ rules }) => rules)].filter(({ result }) => result === 'failed')
  if (failed.some(({ rule }) => rule === 'request.key')) return 'UnsupportedKeyType'
  if (failed.some(({ rule }) => rule === 'issue.userAnnotations')) return 'InvalidUnverifiedUserAnnotations'
  return reason
}

function signGranted(
  ca: SigningCa,
  { names, usages }: GrantedNames,
  { request: { publicKey } }: AskedCertificate,
  { notBefore, notAfter }: PodCertificateTimes,
  now: number,
): SignedLeaf {
  const { commonNames, organizations, organizationalUnits, dnsNames, ipAddresses, uris, emailAddresses } = names
  const subject = buildSubject({ commonName: commonNames[0], organizations, organizationalUnits })
  const alternative = { dns: dnsNames, ip: ipAddresses, uri: uris, email: emailAddresses }
  return signLeaf(ca, { publicKey, subject, names: alternative, usages, notBefore, notAfter }, now)
}

/** The request with its certificate, for a PUT of its status. */
export function withPodCertificate(
  object: PodCertificateRequest,
  { chain }: SignedLeaf,
  times: PodCertificateTimes,
  now: number,
): PodCertificateRequest {
  return {
    ...object,
    status: {
      ...withPodCondition(object, 'Issued', 'Issued', 'a certificate was issued', now).status,
      certificateChain: chain,
      notBefore: formatTime(times.notBefore),
      notAfter: formatTime(times.notAfter),
      beginRefreshAt: formatTime(times.beginRefreshAt),
    },
  }
}

/** The request with a final condition (metav1.Condition), for a PUT of its status. */
export function withPodCondition(
  object: PodCertificateRequest,
  type: 'Issued' | 'Denied',
  reason: string,
  message: string,
  now: number,
): PodCertificateRequest {
  const condition = { type, status: 'True' as const, reason, message, lastTransitionTime: formatTime(now) }
  return { ...object, status: { conditions: [...(object.status?.conditions ?? []), condition] } }
}
