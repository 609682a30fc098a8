import { type KeyObject, X509Certificate } from 'node:crypto'
import { equalBytes } from './bytes.ts'
import type { Certificate, Validity } from './certificate.ts'
import { decodePublicKey } from './key.ts'
import { isKeyUsageBit } from './key-usage.ts'
import { printable } from './printable.ts'

/** A path from a leaf to a trusted certificate, or why there is none. */
export type ChainResult =
  | { readonly ok: true; readonly path: readonly Certificate[] }
  | { readonly ok: false; readonly reason: string }

/** Signatures checked for one leaf before giving up, so that certificates made to look alike cannot keep a core busy (Go has 100). */
const mostSignatures = 100

interface Search {
  readonly intermediates: readonly Certificate[]
  readonly roots: readonly Certificate[]
  readonly at: number
  readonly skew: number
  signatures: number
}

/**
 * Looks for a path from a leaf over intermediates to a trusted certificate (RFC 5280 §6): names and signatures link, each
 * certificate above the leaf is a CA that may sign and has room in its path length, and all hold at one time.
 *
 * @param roots - trusted as they are: they need not be self-signed, and the leaf itself may be one
 * @param at - epoch milliseconds
 * @param skew - milliseconds by which a certificate may begin after `at`
 * @returns the path, leaf first and trusted certificate last; else a reason for people
 */
export function verifyChain(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly Certificate[],
  at: number,
  skew = 0,
): ChainResult {
  const problem = validityProblem(leaf, at, skew)
  if (problem !== undefined) return { ok: false, reason: `${describeCertificate(leaf)} ${problem}` }
  return extend([leaf], { intermediates, roots, at, skew, signatures: 0 })
}

function extend(path: readonly [Certificate, ...Certificate[]], search: Search): ChainResult {
  const last = path.at(-1) ?? path[0]
  if (search.roots.some(({ fingerprint }) => fingerprint === last.fingerprint)) return { ok: true, path }
  let reason = `nothing that is given or trusted has the name of its issuer, ${printable(last.issuer)}`
  for (const candidate of [...search.roots, ...search.intermediates]) {
    if (!equalBytes(candidate.rawSubject, last.rawIssuer)) continue
    if (path.some(({ fingerprint }) => fingerprint === candidate.fingerprint)) continue
    if (search.signatures++ >= mostSignatures) return { ok: false, reason: 'there are too many possible paths' }
    const problem = issuingProblem(last, candidate, path) ?? validityProblem(candidate, search.at, search.skew)
    if (problem !== undefined) {
      reason = `${describeCertificate(candidate)} ${problem}`
      continue
    }
    const result = extend([...path, candidate], search)
    if (result.ok) return result
    reason = result.reason
  }
  return { ok: false, reason }
}

/**
 * Why `issuer` cannot have issued the last certificate of a path.
 *
 * @param path - from a leaf up, without the issuer
 * @returns a predicate for people, such as `is not a CA`; undefined where nothing speaks against it
 */
export function issuingProblem(
  child: Certificate,
  issuer: Certificate,
  path: readonly Certificate[],
): string | undefined {
  if (!equalBytes(issuer.rawSubject, child.rawIssuer))
    return `is not ${printable(child.issuer)}, the issuer of ${describeCertificate(child)}`
  // Certificates of version 1 cannot say whether they are a CA's. Old roots are such, and nothing else that may sign.
  if (!issuer.isCA && !(issuer.version === 1 && isSelfIssued(issuer))) return 'is not a CA'
  if (issuer.usages.some(isKeyUsageBit) && !issuer.usages.includes('cert sign')) return 'may not sign certificates'
  // RFC 5280 §4.2.1.9: self-issued certificates do not count, and the limit is on what stands between the CA and the leaf.
  const between = path.slice(1).filter((certificate) => !isSelfIssued(certificate)).length
  if (issuer.pathLength !== undefined && between > issuer.pathLength) {
    return `allows ${issuer.pathLength} CAs below it, and there are ${between}`
  }
  if (!isSignedBy(child, issuer)) return `did not sign ${describeCertificate(child)}`
  return undefined
}

function isSelfIssued({ rawSubject, rawIssuer }: Certificate): boolean {
  return equalBytes(rawSubject, rawIssuer)
}

/** An issuer's key, which is read once for however many of its certificates are looked at. */
const issuerKeys = new WeakMap<Certificate, KeyObject>()

function keyOf(issuer: Certificate): KeyObject {
  const key = issuerKeys.get(issuer) ?? decodePublicKey(issuer.publicKey)
  issuerKeys.set(issuer, key)
  return key
}

function isSignedBy(child: Certificate, issuer: Certificate): boolean {
  try {
    return new X509Certificate(child.der).verify(keyOf(issuer))
  } catch {
    // A key of a kind that OpenSSL does not know has signed nothing that it could check.
    return false
  }
}

/**
 * Why a certificate does not hold at a time.
 *
 * @returns a predicate for people, such as `expired at 2026-11-22T10:00:00Z`; undefined where it holds
 */
export function validityProblem({ notBefore, notAfter }: Validity, at: number, skew = 0): string | undefined {
  if (notAfter < at) return `expired at ${formatTime(notAfter)}`
  if (notBefore > at + skew) return `does not hold before ${formatTime(notBefore)}`
  return undefined
}

/** @returns UTC in whole seconds, as certificates have it */
export function formatTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, -5)}Z`
}

/** The certificate as a sentence names it. */
export function describeCertificate(certificate: Certificate): string {
  return certificate.subject === '' ? `certificate ${certificate.serial}` : printable(certificate.subject)
}
