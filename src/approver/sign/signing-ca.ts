import type { Authority } from '../../x509/authority.ts'
import { issueCertificate } from '../../x509/authority.ts'
import { type Certificate, CertificateError, readCertificates } from '../../x509/certificate.ts'
import { describeCertificate, formatTime, issuingProblem, validityProblem, verifyChain } from '../../x509/chain.ts'
import { noNames } from '../../x509/general-names.ts'
import { decodePrivateKey, KeyError, keyMatches, keySpecOf } from '../../x509/key.ts'
import { isKeyUsageBit } from '../../x509/key-usage.ts'
import { buildSubject } from '../../x509/name.ts'

/** What a CA is read from: the keys of a Secret of type kubernetes.io/tls, or files. All is PEM. */
export interface CaMaterial {
  /** `tls.crt`: the certificate that signs, then those above it, each the issuer of the one before. */
  readonly certificate: string
  /** `tls.key`. */
  readonly key: string
  /** `ca.crt`: the root, where it is not the last certificate. Empty where absent. */
  readonly root: string
}

/** A CA that was checked whole and can sign. */
export interface SigningCa {
  readonly authority: Authority
  /** What stands between a leaf and the root, the signing certificate first. Empty where the root itself signs. */
  readonly intermediates: readonly Certificate[]
  /** What peers must trust. */
  readonly root: Certificate
  /** When the first certificate of the path ends, epoch milliseconds: no leaf lives longer. */
  readonly notAfter: number
}

/** A CA that cannot be used. Says what is wrong with it, and never quotes a key. */
export class SigningCaError extends Error {
  override readonly name = 'SigningCaError'
  readonly code = 'SIGNING_CA'
}

/**
 * Reads a CA and checks everything that would make its certificates useless: the key fits, it is a CA that may sign certificates, the
 * chain is in order and leads to a root, nothing has expired, and what it signs verifies.
 *
 * @param now - epoch milliseconds
 * @throws {SigningCaError}
 */
export function readSigningCa({ certificate, key, root }: CaMaterial, now: number): SigningCa {
  const [own, ...above] = read('tls.crt', certificate)
  if (own === undefined) throw new SigningCaError('tls.crt holds no certificate')
  const authority = { certificate: own, key: readKey(key) }
  checkKey(authority)
  if (!own.isCA) throw new SigningCaError(`${describeCertificate(own)} is no CA: its basic constraints do not say so`)
  if (own.usages.some(isKeyUsageBit) && !own.usages.includes('cert sign')) {
    throw new SigningCaError(`${describeCertificate(own)} may not sign certificates: its key usage lacks "cert sign"`)
  }
  checkOrder([own, ...above])
  const path = pathToRoot(authority, above, read('ca.crt', root), now)
  const anchor = path.at(-1) ?? own
  return {
    authority,
    intermediates: path.slice(0, -1),
    root: anchor,
    notAfter: Math.min(...path.map(({ notAfter }) => notAfter)),
  }
}

function read(what: string, pem: string): readonly Certificate[] {
  try {
    return readCertificates(pem)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    throw new SigningCaError(`${what}: ${error.message}`, { cause: error })
  }
}

function readKey(pem: string): Authority['key'] {
  try {
    return decodePrivateKey(pem)
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    throw new SigningCaError(`tls.key: ${error.message}`, { cause: error })
  }
}

/** Below, peers refuse what it signs. */
const smallestRsa = 2048

function checkKey({ certificate, key }: Authority): void {
  if (!keyMatches(key, certificate)) {
    throw new SigningCaError(`tls.key is not the key of ${describeCertificate(certificate)}`)
  }
  const spec = keySpecOf(key)
  if (spec?.algorithm === 'RSA' && spec.size < smallestRsa) {
    throw new SigningCaError(
      `the RSA key of ${describeCertificate(certificate)} has ${spec.size} bits, and ${smallestRsa} are the least`,
    )
  }
}

/** TLS servers send the chain as it stands, and some clients take it so (RFC 5246 §7.4.2). */
function checkOrder(chain: readonly Certificate[]): void {
  for (const [index, child] of chain.entries()) {
    const issuer = chain[index + 1]
    const problem = issuer === undefined ? undefined : issuingProblem(child, issuer, [child])
    if (problem === undefined || issuer === undefined) continue
    throw new SigningCaError(
      `tls.crt is not in order: ${describeCertificate(issuer)}, behind ${describeCertificate(child)}, ${problem}`,
    )
  }
}

function pathToRoot(
  authority: Authority,
  above: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
): readonly Certificate[] {
  const own = authority.certificate
  for (const certificate of [own, ...above]) {
    const problem = validityProblem(certificate, now)
    if (problem !== undefined) throw new SigningCaError(`${describeCertificate(certificate)} ${problem}`)
  }
  // cert-manager leaves ca.crt out where it knows no issuer; a certificate that signed itself then is the root.
  const anchors = roots.length > 0 ? roots : [own, ...above].filter(isSelfSigned)
  const weak = anchors.find(({ isCA }) => !isCA)
  if (weak !== undefined) throw new SigningCaError(`ca.crt: ${describeCertificate(weak)} is no CA`)
  if (anchors.length === 0) {
    throw new SigningCaError(
      `the root of ${describeCertificate(own)} is missing: give it as ca.crt, or as the last certificate of tls.crt`,
    )
  }
  const chain = verifyChain(probeLeaf(authority, now), [own, ...above], anchors, now)
  if (!chain.ok) throw new SigningCaError(`what ${describeCertificate(own)} signs does not verify: ${chain.reason}`)
  return chain.path.slice(1)
}

/** A certificate that nobody gets: only a leaf shows whether the path lengths above leave room for one. */
function probeLeaf(authority: Authority, now: number): Certificate {
  const { publicKey } = authority.certificate
  const profile = { publicKey, subject: buildSubject({ commonName: 'probe' }), names: noNames, usages: [], isCA: false }
  return issueCertificate(authority, { ...profile, notBefore: now, notAfter: now + 1000 }, now)
}

function isSelfSigned(certificate: Certificate): boolean {
  return issuingProblem(certificate, certificate, [certificate]) === undefined
}

/** For logs and conditions. @returns such as `CN=root, until 2026-11-22T10:00:00Z` */
export function describeCa({ authority, notAfter }: SigningCa): string {
  return `${describeCertificate(authority.certificate)}, until ${formatTime(notAfter)}`
}
