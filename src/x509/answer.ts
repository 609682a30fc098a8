import type { KeyObject } from 'node:crypto'
import { type Certificate, CertificateError, readCertificates } from './certificate.ts'
import { describeCertificate, formatTime, issuingProblem, validityProblem, verifyChain } from './chain.ts'
import { formatNames, missingNames, type SubjectNames } from './general-names.ts'
import { keyMatches } from './key.ts'
import { canonicalUsage, type KeyUsage } from './key-usage.ts'
import { printable } from './printable.ts'
import { readTrustedCertificates, type ReadTrusted } from './trusted-certificates.ts'

/** What an issuer gave for a request, as PEM. */
export interface Answer {
  /** Leaf first, then the chain. */
  readonly chain: string
  /** The issuer's own root or bundle; undefined or empty where it gave none. */
  readonly ca: string | undefined
}

/** What was asked for. */
export interface AskedCertificate {
  /** The private key of the request. */
  readonly key: KeyObject
  readonly names: SubjectNames
  readonly commonName: string | undefined
  readonly usages: readonly KeyUsage[]
  readonly isCA: boolean
  /** Milliseconds. */
  readonly duration: number
}

/** An answer after it was looked at. */
export interface CheckedAnswer {
  /** Undefined only where there are problems. */
  readonly leaf: Certificate | undefined
  /** Leaf first; empty where it could not be read. */
  readonly chain: readonly Certificate[]
  /** Why the answer must not be shown to a pod, for people. */
  readonly problems: readonly string[]
  /** What differs from the request without making the answer useless, for people. */
  readonly warnings: readonly string[]
}

/** How far the clocks of a node and of an issuer may differ, in milliseconds. */
const clockSkew = 5 * 60_000

/**
 * Looks at an issuer's answer before any of it is written. It is refused where a pod could not use it or would be somebody else by
 * it: it cannot be read, its leaf is not first or is for another key, it does not hold now, it lacks a name, or its chain does not
 * link, within itself or to the CA given. All else that differs is worth a warning.
 *
 * Never throws for what an issuer may send.
 *
 * @param now - epoch milliseconds
 * @param readTrusted - reads the CA given; {@link rememberingTrusted} spares whoever checks many answers of one issuer to read it again
 */
export function checkAnswer(
  answer: Answer,
  asked: AskedCertificate,
  now: number,
  readTrusted: ReadTrusted = readTrustedCertificates,
): CheckedAnswer {
  const { chain, problem } = readChain(answer.chain)
  const [leaf] = chain
  if (leaf === undefined) {
    return { leaf, chain, problems: [problem ?? 'the answer holds no certificate'], warnings: [] }
  }
  const trust = checkTrust(leaf, chain, answer.ca, now, readTrusted)
  return {
    leaf,
    chain,
    problems: [
      ...keyProblems(chain, leaf, asked.key),
      ...timeProblems(leaf, now),
      ...nameProblems(leaf, asked.names),
      ...(followsChain(trust.path, chain) ? [] : linkProblems(chain)),
      ...trust.problems,
    ],
    warnings: [...trust.warnings, ...differences(leaf, asked)],
  }
}

/** cert-manager has much the same bound (internal/pem). */
const longestChain = 100_000

function readChain(pem: string): { chain: readonly Certificate[]; problem?: string } {
  if (pem.length > longestChain) return { chain: [], problem: `the answer is over ${longestChain} bytes` }
  try {
    return { chain: readCertificates(pem) }
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    return { chain: [], problem: `the answer cannot be read: ${error.message}` }
  }
}

function keyProblems(chain: readonly Certificate[], leaf: Certificate, key: KeyObject): string[] {
  if (keyMatches(key, leaf)) return []
  const place = chain.findIndex((certificate) => keyMatches(key, certificate))
  if (place < 0) return [`the certificate ${describeCertificate(leaf)} is for another key than the one of the request`]
  return [`the certificate for the requested key is number ${place + 1} of ${chain.length}, and it must be the first`]
}

function timeProblems(leaf: Certificate, now: number): string[] {
  const problem = validityProblem(leaf, now, clockSkew)
  return problem === undefined ? [] : [`the certificate ${problem}, and it is ${formatTime(now)} here`]
}

function nameProblems(leaf: Certificate, asked: SubjectNames): string[] {
  const missing = missingNames(asked, leaf.names)
  if (missing.length === 0) return []
  const given = [...formatNames(leaf.names), ...leaf.unknownNames]
  return [
    `the certificate lacks ${list(missing)} of the names asked for; it has ${given.length === 0 ? 'none' : list(given)}`,
  ]
}

/** Each certificate must have been issued by the next one (RFC 8446 §4.4.2 leaves other orders to the reader, RFC 5246 does not). */
function linkProblems(chain: readonly Certificate[]): string[] {
  return chain.flatMap((certificate, index) => {
    const next = chain[index + 1]
    const problem = next && issuingProblem(certificate, next, chain.slice(0, index + 1))
    return next && problem
      ? [`the chain contradicts itself: its certificate ${index + 2}, ${describeCertificate(next)}, ${problem}`]
      : []
  })
}

interface TrustFindings {
  /** From the leaf to a certificate of the CA given. */
  readonly path: readonly Certificate[]
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

function checkTrust(
  leaf: Certificate,
  chain: readonly Certificate[],
  ca: string | undefined,
  now: number,
  readTrusted: ReadTrusted,
): TrustFindings {
  if (ca === undefined || ca.trim() === '') {
    return { path: [], problems: [], warnings: ['the issuer gave no CA certificate, so the CA file is empty'] }
  }
  const { roots, unread, problem } = readTrusted(ca)
  const warnings = unread === 0 ? [] : [`${unread} of the CA certificates given cannot be read`]
  if (problem !== undefined) return { path: [], problems: [problem], warnings }
  // The leaf's own times are judged elsewhere, so the path is judged at the moment nearest to now at which the leaf holds.
  const at = Math.min(Math.max(now, leaf.notBefore), leaf.notAfter)
  const result = verifyChain(leaf, chain.slice(1), roots, at, clockSkew)
  if (result.ok) return { path: result.path, problems: [], warnings }
  return { path: [], problems: [`the certificate does not verify with the CA given: ${result.reason}`], warnings }
}

/** Whether a verified path leads over the whole chain in its order, so that its links need no second look. */
function followsChain(path: readonly Certificate[], chain: readonly Certificate[]): boolean {
  return chain.every(({ fingerprint }, index) => path[index]?.fingerprint === fingerprint)
}

function differences(leaf: Certificate, asked: AskedCertificate): string[] {
  const extra = [...missingNames(leaf.names, asked.names), ...leaf.unknownNames]
  return [
    ...(extra.length > 0 ? [`the certificate has names that were not asked for: ${list(extra)}`] : []),
    ...commonNameDifference(leaf, asked),
    ...usageDifferences(leaf, asked),
    ...(leaf.isCA === asked.isCA
      ? []
      : [`a certificate ${asCA(asked.isCA)} was asked for, and this is one ${asCA(leaf.isCA)}`]),
    ...durationDifference(leaf, asked.duration),
  ]
}

function commonNameDifference({ commonName }: Certificate, asked: AskedCertificate): string[] {
  if (commonName === asked.commonName) return []
  const quote = (name: string | undefined): string => (name === undefined ? 'none' : `"${printable(name)}"`)
  return [`the common name asked for was ${quote(asked.commonName)}, and the certificate has ${quote(commonName)}`]
}

function usageDifferences(leaf: Certificate, asked: AskedCertificate): string[] {
  const given = new Set(leaf.usages)
  // Whoever asks for a CA asks for this bit (RFC 5280 §4.2.1.3); cert-manager adds it by itself.
  const wanted = new Set<KeyUsage>(
    asked.isCA ? [...asked.usages.map(canonicalUsage), 'cert sign'] : asked.usages.map(canonicalUsage),
  )
  const missing = [...wanted.difference(given)]
  const extra = [...given.difference(wanted)]
  return [
    ...(missing.length > 0 ? [`the certificate lacks the usages ${list(missing)}`] : []),
    ...(extra.length > 0 ? [`the certificate has usages that were not asked for: ${list(extra)}`] : []),
  ]
}

function asCA(isCA: boolean): string {
  return isCA ? 'of a CA' : 'of no CA'
}

/**
 * A lifetime may differ by 5 minutes, as signers move the beginning back for clocks that are behind, and by 1 % for what is lost
 * between asking and signing and to whole units.
 */
function durationDifference({ notBefore, notAfter }: Certificate, asked: number): string[] {
  const lifetime = notAfter - notBefore
  if (Math.abs(lifetime - asked) <= Math.max(clockSkew, asked / 100)) return []
  return [`a lifetime of ${formatDuration(asked)} was asked for, and the certificate has ${formatDuration(lifetime)}`]
}

function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  const parts = [
    [Math.trunc(seconds / 3600), 'h'],
    [Math.trunc(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const text = parts.flatMap(([amount, unit]) => (amount === 0 ? [] : [`${amount}${unit}`])).join('')
  return text === '' ? '0s' : text
}

/** How many names or usages a message lists. */
const mostItems = 8

function list(items: readonly string[]): string {
  const shown = items.slice(0, mostItems).map(printable).join(', ')
  return items.length > mostItems ? `${shown} and ${items.length - mostItems} more` : shown
}
