import type { KeyObject } from 'node:crypto'
import { equalBytes } from './bytes.ts'
import { checkCanonical } from './canonical-der.ts'
import { children, DerError, type DerValue, expectTag, readDer, readOid, readSmallInteger, tag } from './der-reader.ts'
import { constructed, type DerBlock, encode, encoded, integer, oid, sequence, setOf } from './der-writer.ts'
import {
  basicConstraints,
  decodeExtensions,
  encodeExtensions,
  type Extension,
  extensionIds,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  subjectAltName,
  usageExtensions,
} from './extensions.ts'
import { decodeGeneralNames, GeneralNameError, hasNames, noNames, type SubjectNames } from './general-names.ts'
import { decodePublicKey, KeyError, type KeySpec, keySpecOf, publicKeyDer } from './key.ts'
import type { KeyUsage } from './key-usage.ts'
import { decodeName, encodeName, type Subject } from './name.ts'
import { decodePem, encodePem, PemError } from './pem.ts'
import { readSignedStructure, signatureProblem, type SignatureAlgorithmName, signStructure } from './signature.ts'

/** What a certificate request asks for, beside its key. */
export interface RequestContent {
  readonly subject: Subject
  readonly names: SubjectNames
  /** All else that it asks for, but no names again. @default {none} */
  readonly extensions?: readonly Extension[]
}

/** A certificate request as it was read: everything it asks for, so that who approves it and who signs it see the same. */
export interface CertificateRequest {
  readonly der: Uint8Array
  readonly subject: Subject
  /** Name in DER, as it stands in the request. */
  readonly rawSubject: Uint8Array
  readonly names: SubjectNames
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array
  readonly keySpec: KeySpec
  /** Undefined where the request carries neither usage extension. */
  readonly usages: readonly KeyUsage[] | undefined
  readonly isCA: boolean
  readonly pathLength: number | undefined
  /**
   * All else that it asks for, for people. Who signs it must refuse what stands here. Other names stand here although `names` has
   * them, so that none is signed by accident: to some readers they are the very account (a user principal name).
   */
  readonly unknown: readonly string[]
}

/** A certificate request that cannot be read strictly, or whose signature does not hold. */
export class CertificateRequestError extends Error {
  override readonly name = 'CertificateRequestError'
  readonly code = 'CERTIFICATE_REQUEST_INVALID'
}

const label = 'CERTIFICATE REQUEST'
const extensionRequest = '1.2.840.113549.1.9.14'

/**
 * Makes a PKCS#10 request (RFC 2986) of a subject and its alternative names, signed by the key it is for.
 *
 * The names are critical where the subject is empty, as RFC 5280 §4.2.1.6 has it for the certificate. The Go driver never marks
 * them; cert-manager 1.21 takes both and sets the mark by the same rule when it signs (pkg/util/pki CertificateTemplateFromCSR).
 *
 * @param algorithm - what it is signed by. @default {what fits the key, as Go chooses}
 * @returns PEM, block type CERTIFICATE REQUEST
 * @throws {NameError | GeneralNameError} for a name that cannot be written
 * @throws {KeyError} where the key cannot sign by the algorithm
 */
export function createCertificateRequest(
  key: KeyObject,
  { subject, names, extensions: others = [] }: RequestContent,
  algorithm?: SignatureAlgorithmName,
): string {
  const extensions = [...(hasNames(names) ? [subjectAltName(names, subject.length === 0)] : []), ...others]
  const info = sequence(
    integer(0),
    encoded(encodeName(subject)),
    encoded(publicKeyDer(key)),
    constructed(0, ...(extensions.length > 0 ? [encodeExtensionRequest(extensions)] : [])),
  )
  return encodePem(label, signStructure(info, key, algorithm))
}

/** The attribute that holds requested extensions (RFC 2985 §5.4.2). */
function encodeExtensionRequest(extensions: readonly Extension[]): DerBlock {
  return sequence(oid(extensionRequest), setOf(encodeExtensions(extensions)))
}

/** As much as an issuer needs to see; real requests stay below 4 KiB. */
const longestRequest = 64 * 1024

/**
 * Reads a request strictly: one PEM block and nothing else, DER with one possible encoding, a key of a known kind, a signature by
 * that key. What it asks for beyond a subject, names, usages and being a CA is listed in `unknown`.
 *
 * @throws {CertificateRequestError}
 */
export function readCertificateRequest(pem: string): CertificateRequest {
  return reading(() => readInfo(decodeSingleBlock(pem)))
}

/**
 * Reads a request that comes as bare DER, as a PodCertificateRequest carries it, as strictly as {@link readCertificateRequest}.
 *
 * @throws {CertificateRequestError}
 */
export function readCertificateRequestDer(der: Uint8Array): CertificateRequest {
  if (der.length > longestRequest) throw tooLong()
  return reading(() => readInfo(der))
}

function reading(read: () => CertificateRequest): CertificateRequest {
  try {
    return read()
  } catch (error) {
    const known = [DerError, PemError, KeyError, GeneralNameError].some((kind) => error instanceof kind)
    if (!known) throw error
    throw new CertificateRequestError(`the certificate request cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function tooLong(): CertificateRequestError {
  return new CertificateRequestError(`the certificate request is over ${longestRequest} bytes`)
}

/**
 * One block as Go's encoding/pem and OpenSSL both read it: nothing before a boundary, and no empty line inside, behind which OpenSSL
 * begins anew. RFC 7468 §3 lets a lax reader take more.
 */
const plainBlock =
  /^(?:[ \t\r]*\n)*-----BEGIN CERTIFICATE REQUEST-----[ \t]*\r?\n(?:[A-Za-z0-9+/=]+[ \t]*\r?\n)+-----END CERTIFICATE REQUEST-----[ \t\r\n]*$/

function decodeSingleBlock(pem: string): Uint8Array {
  if (pem.length > longestRequest) throw tooLong()
  const [block, ...more] = decodePem(pem)
  if (block === undefined || more.length > 0 || !plainBlock.test(pem)) {
    throw new CertificateRequestError(`expected one PEM block ${label} and nothing else, in lines of base64 alone`)
  }
  return block.der
}

function readInfo(der: Uint8Array): CertificateRequest {
  checkCanonical(readDer(der))
  const structure = readSignedStructure(der)
  const [version, subject, keyInfo, attributes, ...rest] = children(structure.signed)
  if (readSmallInteger(version) !== 0) throw new DerError('the version is not 0')
  const rawSubject = expectTag(subject, tag.sequence, 'subject').raw
  const publicKey = expectTag(keyInfo, tag.sequence, 'public key').raw
  const { key, keySpec } = readKey(publicKey)
  const problem = signatureProblem(structure, key)
  if (problem !== undefined) throw new CertificateRequestError(`the certificate request cannot be trusted: ${problem}`)
  if (rest.length > 0) throw new DerError('the request has too many parts')
  const name = decodeName(rawSubject)
  const asked = readAttributes(children(expectTag(attributes, tag.constructed(0), 'attributes')))
  return {
    ...asked,
    der,
    subject: name.subject,
    rawSubject,
    publicKey: new Uint8Array(publicKey),
    keySpec,
    unknown: [...name.unknown, ...asked.unknown],
  }
}

function readKey(raw: Uint8Array): { key: KeyObject; keySpec: KeySpec } {
  const key = decodePublicKey(raw)
  const keySpec = keySpecOf(key)
  if (keySpec === undefined) throw new KeyError(`keys of type ${key.asymmetricKeyType} are not supported`)
  if (!isCanonicalKey(raw, key, keySpec)) throw new KeyError('the public key is not in its canonical encoding')
  return { key, keySpec }
}

/**
 * How a SubjectPublicKeyInfo begins that can be written in one way only (RFC 5480 §2, RFC 8410 §4); the key follows, of a fixed length.
 * Points are uncompressed: OpenSSL takes and keeps other forms, Go takes none, and one key in two forms would have two hashes.
 */
const keyHeads = {
  256: Uint8Array.fromHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
  384: Uint8Array.fromHex('3076301006072a8648ce3d020106052b8104002203620004'),
  521: Uint8Array.fromHex('30819b301006072a8648ce3d020106052b810400230381860004'),
  Ed25519: Uint8Array.fromHex('302a300506032b6570032100'),
} as const

/** To write a key takes OpenSSL longer than to read it, so only RSA keys are written again. */
function isCanonicalKey(raw: Uint8Array, key: KeyObject, keySpec: KeySpec): boolean {
  if (keySpec.algorithm === 'RSA') return equalBytes(publicKeyDer(key), raw)
  const head = keyHeads[keySpec.algorithm === 'ECDSA' ? keySpec.size : keySpec.algorithm]
  return equalBytes(raw.subarray(0, head.length), head)
}

type AskedExtensions = Pick<CertificateRequest, 'names' | 'usages' | 'isCA' | 'pathLength' | 'unknown'>

function readAttributes(attributes: readonly DerValue[]): AskedExtensions {
  const unknown: string[] = []
  let extensions: readonly Extension[] | undefined
  for (const attribute of attributes) {
    const [type, values, ...rest] = children(expectTag(attribute, tag.sequence, 'attribute'))
    const id = readOid(type)
    const [value, ...more] = children(expectTag(values, tag.set, 'attribute values'))
    if (rest.length > 0) throw new DerError('an attribute is not a type and values')
    if (id !== extensionRequest) {
      unknown.push(`attribute ${id}`)
      continue
    }
    if (extensions !== undefined || value === undefined || more.length > 0) {
      throw new DerError('extensions are not asked for exactly once')
    }
    extensions = decodeExtensions(value.raw)
    expectSameEncoding(encode(encodeExtensions(extensions)), value.raw, 'extensions')
  }
  return readExtensions(extensions ?? [], unknown)
}

function readExtensions(extensions: readonly Extension[], unknown: string[]): AskedExtensions {
  let names = noNames
  let usages: KeyUsage[] | undefined
  let basic: Pick<CertificateRequest, 'isCA' | 'pathLength'> = { isCA: false, pathLength: undefined }
  for (const { id, critical, value } of extensions) {
    checkCanonical(readDer(value))
    switch (id) {
      case extensionIds.subjectAltName: {
        const decoded = decodeGeneralNames(value)
        names = decoded.names
        unknown.push(...decoded.unknown, ...(names.otherNames ?? []).map(({ oid }) => `otherName ${oid}`))
        if (!hasNames(names) && decoded.unknown.length === 0) throw new DerError('the list of names is empty')
        break
      }
      case extensionIds.keyUsage:
      case extensionIds.extendedKeyUsage: {
        const decoded = id === extensionIds.keyUsage ? readKeyUsage(value) : readExtendedKeyUsage(value)
        usages = [...(usages ?? []), ...decoded.usages]
        unknown.push(...decoded.unknown)
        if (decoded.unknown.length === 0) {
          const [rewritten] = usageExtensions(decoded.usages)
          expectSameEncoding(rewritten?.value, value, 'usages')
        }
        break
      }
      case extensionIds.basicConstraints:
        basic = readBasicConstraints(value)
        expectSameEncoding(basicConstraints(basic.isCA, basic.pathLength).value, value, 'basic constraints')
        break
      default:
        unknown.push(`extension ${id}${critical ? ' (critical)' : ''}`)
    }
  }
  return { names, usages, ...basic, unknown }
}

/** DER has one encoding for a content (X.690 §11): what is read and written again must give the same bytes. */
function expectSameEncoding(written: Uint8Array | undefined, read: Uint8Array, what: string): void {
  if (written === undefined || !equalBytes(written, read)) throw new DerError(`${what} are not in canonical form`)
}
