import { createHash, type KeyObject, randomBytes } from 'node:crypto'
import { type Certificate, readCertificate } from './certificate.ts'
import { describeCertificate, formatTime, validityProblem } from './chain.ts'
import { children, readBitString, readDer } from './der-reader.ts'
import { constructed, encoded, integer, positiveInteger, sequence, time } from './der-writer.ts'
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeExtensions,
  subjectAltName,
  subjectKeyIdentifier,
  usageExtensions,
} from './extensions.ts'
import { hasNames, noNames, type SubjectNames } from './general-names.ts'
import { publicKeyDer } from './key.ts'
import type { KeyUsage } from './key-usage.ts'
import { encodeName, type Subject } from './name.ts'
import { signatureAlgorithm, signStructure } from './signature.ts'

/** A certificate authority: what it needs to sign. */
export interface Authority {
  readonly certificate: Certificate
  /** The private key of the certificate. */
  readonly key: KeyObject
}

export interface AuthorityOptions {
  readonly subject: Subject
  /** Its private key. */
  readonly key: KeyObject
  /** Milliseconds. */
  readonly lifetime: number
  /** Epoch milliseconds. */
  readonly now: number
  /** Who signs it. @default it signs itself and is a root */
  readonly parent?: Authority
  /** How many CAs may stand below it. @default {no limit} */
  readonly pathLength?: number
  /** The source of serial numbers. @default {randomBytes} */
  readonly random?: (size: number) => Uint8Array
}

/** All that is decided about a certificate before it is signed. */
export interface CertificateProfile {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array
  readonly subject: Subject
  readonly names: SubjectNames
  readonly usages: readonly KeyUsage[]
  readonly isCA: boolean
  /** For a CA: how many CAs may stand below it. @default {no limit} */
  readonly pathLength?: number
  /** Epoch milliseconds, already moved back as far as clocks may differ. Rounded down to seconds. */
  readonly notBefore: number
  /** Epoch milliseconds. Rounded down to seconds, and never after the end of the authority's own certificate. */
  readonly notAfter: number
}

/** A certificate that an authority cannot sign. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError'
  readonly code = 'AUTHORITY_REFUSED'
}

/** Makes a CA with a certificate of its own: a root, or an intermediate under `parent`. */
export function createAuthority(options: AuthorityOptions): Authority {
  const { subject, key, lifetime, now, parent, pathLength, random = randomBytes } = options
  const profile: CertificateProfile = {
    publicKey: publicKeyDer(key),
    subject,
    names: noNames,
    usages: ['cert sign', 'crl sign', 'digital signature'],
    isCA: true,
    ...(pathLength !== undefined && { pathLength }),
    notBefore: now,
    notAfter: now + lifetime,
  }
  if (parent !== undefined) return { certificate: readCertificate(issue(parent, profile, now, random)), key }
  const keyId = keyIdentifier(profile.publicKey)
  const der = writeCertificate(profile, { name: encodeName(subject), key, keyId }, random)
  return { certificate: readCertificate(der), key }
}

/**
 * Signs a certificate of version 3 with a random serial number.
 *
 * @param now - epoch milliseconds
 * @param random - the source of serial numbers
 * @throws {AuthorityError} where the authority's own certificate forbids it
 */
export function issueCertificate(
  authority: Authority,
  profile: CertificateProfile,
  now: number,
  random: (size: number) => Uint8Array = randomBytes,
): Certificate {
  return readCertificate(issue(authority, profile, now, random))
}

function issue(
  { certificate, key }: Authority,
  profile: CertificateProfile,
  now: number,
  random: (size: number) => Uint8Array,
): Uint8Array {
  const problem = validityProblem(certificate, now)
  if (problem !== undefined) throw new AuthorityError(`the CA ${describeCertificate(certificate)} ${problem}`)
  const notAfter = Math.min(profile.notAfter, certificate.notAfter)
  if (notAfter <= profile.notBefore)
    throw new AuthorityError(`a certificate cannot end at ${formatTime(notAfter)}, before it begins`)
  if (profile.isCA && !allowsBelow(certificate, profile.pathLength)) {
    throw new AuthorityError(
      `the CA ${describeCertificate(certificate)} has a path length of ${certificate.pathLength}`,
    )
  }
  const keyId = certificate.subjectKeyId ?? keyIdentifier(certificate.publicKey)
  return writeCertificate({ ...profile, notAfter }, { name: certificate.rawSubject, key, keyId }, random)
}

/** RFC 5280 §4.2.1.9. */
function allowsBelow({ pathLength: limit }: Certificate, asked: number | undefined): boolean {
  if (limit === undefined) return true
  return limit > 0 && (asked === undefined || asked < limit)
}

interface SigningSide {
  /** Name in DER. */
  readonly name: Uint8Array
  readonly key: KeyObject
  readonly keyId: Uint8Array
}

function writeCertificate(
  profile: CertificateProfile,
  issuer: SigningSide,
  random: (size: number) => Uint8Array,
): Uint8Array {
  const { publicKey, subject, names, isCA, pathLength, notBefore, notAfter } = profile
  // RFC 5280 §4.2.1.3: a CA's key usage, where it is there, allows the signing of certificates.
  const usages: readonly KeyUsage[] = isCA ? ['cert sign', ...profile.usages] : profile.usages
  const extensions = [
    ...usageExtensions(usages),
    basicConstraints(isCA, pathLength),
    subjectKeyIdentifier(keyIdentifier(publicKey)),
    authorityKeyIdentifier(issuer.keyId),
    ...(hasNames(names) ? [subjectAltName(names, subject.length === 0)] : []),
  ]
  const signed = sequence(
    constructed(0, integer(2)),
    positiveInteger(serialNumber(random)),
    signatureAlgorithm(issuer.key),
    encoded(issuer.name),
    sequence(time(wholeSeconds(notBefore)), time(wholeSeconds(notAfter))),
    encoded(encodeName(subject)),
    encoded(publicKey),
    constructed(3, encodeExtensions(extensions)),
  )
  return signStructure(signed, issuer.key)
}

function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000
}

/** 126 random bits in 16 bytes: positive, and without a leading zero byte (RFC 5280 §4.1.2.2). */
function serialNumber(random: (size: number) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(random(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes
}

/** The leftmost 160 bits of SHA-256 over the key's bits (RFC 7093 §2, method 1), as Go makes it. */
function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  const { bytes } = readBitString(children(readDer(publicKey))[1])
  return new Uint8Array(createHash('sha256').update(bytes).digest().subarray(0, 20))
}
