import { X509Certificate } from 'node:crypto'
import { children, DerError, type DerValue, expectTag, readSmallInteger, tag } from './der-reader.ts'
import {
  decodeExtensions,
  extensionIds,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from './extensions.ts'
import { type DecodedNames, decodeGeneralNames, GeneralNameError, noNames, type SubjectNames } from './general-names.ts'
import type { KeyUsage } from './key-usage.ts'
import { commonNameOf, decodeName, formatName } from './name.ts'
import { decodePem, encodePem, PemError } from './pem.ts'
import { printable } from './printable.ts'
import { readSignedStructure } from './signature.ts'

/** When a certificate holds. */
export interface Validity {
  /** Epoch milliseconds. */
  readonly notBefore: number
  /** Epoch milliseconds; the certificate still holds at it. */
  readonly notAfter: number
}

/** A certificate as it was read, without anything of OpenSSL behind it. */
export interface Certificate extends Validity {
  /** One block CERTIFICATE. */
  readonly pem: string
  readonly der: Uint8Array
  /** 1, 2 or 3. */
  readonly version: number
  /** Hexadecimal digits in lower case, as OpenSSL prints it. */
  readonly serial: string
  /** For people, as RFC 4514 writes names. */
  readonly subject: string
  /** For people, as RFC 4514 writes names. */
  readonly issuer: string
  /** Name in DER. */
  readonly rawSubject: Uint8Array
  /** Name in DER. */
  readonly rawIssuer: Uint8Array
  readonly commonName: string | undefined
  readonly names: SubjectNames
  /** Alternative names of other kinds, for people. */
  readonly unknownNames: readonly string[]
  /** Both usage extensions in cert-manager's names; what these do not cover is left out. */
  readonly usages: readonly KeyUsage[]
  readonly isCA: boolean
  /** How many CAs may stand below it; undefined where it sets no limit. */
  readonly pathLength: number | undefined
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array
  readonly subjectKeyId: Uint8Array | undefined
  /** SHA-256 of the DER, hexadecimal digits in lower case. */
  readonly fingerprint: string
}

/** A certificate that cannot be read. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
  readonly code = 'CERTIFICATE_INVALID'
}

/**
 * Reads all certificates of a PEM text, in their order.
 *
 * @returns none for a text without any block
 * @throws {CertificateError} where one cannot be read, or a block is something else
 */
export function readCertificates(pem: string): Certificate[] {
  return readCertificateBlocks(pem).map(readCertificate)
}

/**
 * The DER of every certificate in a PEM text, still unread: a bundle of trust anchors may hold some that only others understand.
 *
 * @throws {CertificateError} where the text is broken PEM or has blocks of another kind
 */
export function readCertificateBlocks(pem: string): Uint8Array[] {
  try {
    return decodePem(pem).map(({ label, der }) => {
      if (label !== 'CERTIFICATE')
        throw new CertificateError(`expected PEM blocks CERTIFICATE, got ${printable(label)}`)
      return der
    })
  } catch (error) {
    if (error instanceof PemError) throw new CertificateError(`broken PEM: ${error.message}`, { cause: error })
    throw error
  }
}

/**
 * Reads one certificate. What OpenSSL reads well is left to it; names and extensions are read from the DER, as OpenSSL gives them
 * only as text, in which one name can pose as two.
 *
 * @throws {CertificateError}
 */
export function readCertificate(der: Uint8Array): Certificate {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(der)
  } catch (error) {
    throw new CertificateError('OpenSSL cannot read the certificate', { cause: error })
  }
  try {
    return describe(certificate, der)
  } catch (error) {
    if (!(error instanceof DerError || error instanceof GeneralNameError)) throw error
    throw new CertificateError(`the certificate cannot be read: ${error.message}`, { cause: error })
  }
}

function describe(certificate: X509Certificate, der: Uint8Array): Certificate {
  const { version, issuer, subject, publicKey, extensions } = readParts(readSignedStructure(der).signed)
  const subjectName = decodeName(subject.raw).subject
  const notBefore = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) throw new DerError('the validity is not a pair of times')
  return {
    pem: encodePem('CERTIFICATE', der),
    der,
    version,
    serial: certificate.serialNumber.toLowerCase(),
    subject: formatName(subjectName),
    issuer: formatName(decodeName(issuer.raw).subject),
    rawSubject: subject.raw,
    rawIssuer: issuer.raw,
    notBefore,
    notAfter,
    commonName: commonNameOf(subjectName),
    ...readExtensions(extensions),
    publicKey: publicKey.raw,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

interface CertificateParts {
  readonly version: number
  readonly issuer: DerValue
  readonly subject: DerValue
  readonly publicKey: DerValue
  readonly extensions: Uint8Array | undefined
}

/** TBSCertificate (RFC 5280 §4.1). */
function readParts(signed: DerValue): CertificateParts {
  const fields = children(signed)
  const explicitVersion = fields[0]?.tag === tag.constructed(0) ? fields.shift() : undefined
  const version = explicitVersion === undefined ? 1 : readSmallInteger(children(explicitVersion)[0]) + 1
  const [, , issuer, , subject, publicKey, ...optional] = fields
  const wrapped = optional.find((field) => field.tag === tag.constructed(3))
  return {
    version,
    issuer: expectTag(issuer, tag.sequence, 'issuer'),
    subject: expectTag(subject, tag.sequence, 'subject'),
    publicKey: expectTag(publicKey, tag.sequence, 'public key'),
    extensions: wrapped?.content,
  }
}

type ExtensionData = Pick<Certificate, 'names' | 'unknownNames' | 'usages' | 'isCA' | 'pathLength' | 'subjectKeyId'>

function readExtensions(der: Uint8Array | undefined): ExtensionData {
  const usages: KeyUsage[] = []
  let alternative: DecodedNames = { names: noNames, unknown: [] }
  let basic: Pick<Certificate, 'isCA' | 'pathLength'> = { isCA: false, pathLength: undefined }
  let subjectKeyId: Uint8Array | undefined
  for (const { id, value } of der === undefined ? [] : decodeExtensions(der)) {
    if (id === extensionIds.subjectAltName) alternative = decodeGeneralNames(value)
    else if (id === extensionIds.keyUsage) usages.push(...readKeyUsage(value).usages)
    else if (id === extensionIds.extendedKeyUsage) usages.push(...readExtendedKeyUsage(value).usages)
    else if (id === extensionIds.basicConstraints) basic = readBasicConstraints(value)
    else if (id === extensionIds.subjectKeyIdentifier) subjectKeyId = readSubjectKeyIdentifier(value)
  }
  return { names: alternative.names, unknownNames: alternative.unknown, usages, ...basic, subjectKeyId }
}
