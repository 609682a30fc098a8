import { type KeyObject, sign, verify } from 'node:crypto'
import { equalBytes } from './bytes.ts'
import { children, DerError, type DerValue, expectTag, readBitString, readDer, tag } from './der-reader.ts'
import { bitString, type DerBlock, encode, encoded, nullValue, oid, sequence } from './der-writer.ts'
import { formatKeySpec, KeyError, type KeySpec, keySpecOf } from './key.ts'

/** How a request or certificate is signed. */
interface SignatureAlgorithm {
  /** AlgorithmIdentifier in DER. */
  readonly identifier: Uint8Array
  /** What node:crypto calls the digest; Ed25519 has its own. */
  readonly digest: string | null
  readonly keys: KeySpec['algorithm']
}

/** By cert-manager's names. RFC 4055 §5 (the NULL belongs there), RFC 5758 §3.2, RFC 8410 §3. Nothing with SHA-1; RSASSA-PSS has parameters of its own. */
const algorithms = {
  SHA256WithRSA: {
    identifier: encode(sequence(oid('1.2.840.113549.1.1.11'), nullValue())),
    digest: 'sha256',
    keys: 'RSA',
  },
  SHA384WithRSA: {
    identifier: encode(sequence(oid('1.2.840.113549.1.1.12'), nullValue())),
    digest: 'sha384',
    keys: 'RSA',
  },
  SHA512WithRSA: {
    identifier: encode(sequence(oid('1.2.840.113549.1.1.13'), nullValue())),
    digest: 'sha512',
    keys: 'RSA',
  },
  ECDSAWithSHA256: { identifier: encode(sequence(oid('1.2.840.10045.4.3.2'))), digest: 'sha256', keys: 'ECDSA' },
  ECDSAWithSHA384: { identifier: encode(sequence(oid('1.2.840.10045.4.3.3'))), digest: 'sha384', keys: 'ECDSA' },
  ECDSAWithSHA512: { identifier: encode(sequence(oid('1.2.840.10045.4.3.4'))), digest: 'sha512', keys: 'ECDSA' },
  PureEd25519: { identifier: encode(sequence(oid('1.3.101.112'))), digest: null, keys: 'Ed25519' },
} as const satisfies Record<string, SignatureAlgorithm>

/** cert-manager's name for an algorithm. */
export type SignatureAlgorithmName = keyof typeof algorithms

/** The algorithms that keys of a kind can sign with. */
export function signatureAlgorithmsOf(algorithm: KeySpec['algorithm']): SignatureAlgorithmName[] {
  return signatureAlgorithmNames.filter((name) => algorithms[name].keys === algorithm)
}

export const signatureAlgorithmNames = Object.keys(algorithms) as readonly SignatureAlgorithmName[]

/** What a key signs with, if nothing else is asked for: SHA-256 for RSA, and for ECDSA the digest that fits the curve, as Go chooses. */
function defaultAlgorithm(spec: KeySpec): SignatureAlgorithmName {
  switch (spec.algorithm) {
    case 'RSA':
      return 'SHA256WithRSA'
    case 'ECDSA':
      if (spec.size === 256) return 'ECDSAWithSHA256'
      return spec.size === 384 ? 'ECDSAWithSHA384' : 'ECDSAWithSHA512'
    case 'Ed25519':
      return 'PureEd25519'
  }
}

function algorithmFor(key: KeyObject, asked?: SignatureAlgorithmName): SignatureAlgorithm {
  const spec = keySpecOf(key)
  if (spec === undefined) throw new KeyError(`keys of type ${key.asymmetricKeyType} cannot sign`)
  const name = asked ?? defaultAlgorithm(spec)
  const algorithm = algorithms[name]
  if (algorithm.keys !== spec.algorithm) throw new KeyError(`a key of ${formatKeySpec(spec)} cannot sign by ${name}`)
  return algorithm
}

/** The AlgorithmIdentifier that {@link signStructure} uses by default; a certificate repeats it in its signed part. */
export function signatureAlgorithm(key: KeyObject): DerBlock {
  return encoded(algorithmFor(key).identifier)
}

/**
 * The shape that requests and certificates share: what is signed, the algorithm, the signature (RFC 2986 §4.2, RFC 5280 §4.1).
 *
 * @param algorithm - undefined for SHA-256 with RSA, and with ECDSA the digest that fits the curve, as Go chooses
 * @returns DER
 * @throws {KeyError} where the key cannot sign by the algorithm
 */
export function signStructure(
  content: DerBlock,
  key: KeyObject,
  algorithm?: SignatureAlgorithmName,
): Uint8Array<ArrayBuffer> {
  const { identifier, digest } = algorithmFor(key, algorithm)
  const signed = encode(content)
  return encode(sequence(encoded(signed), encoded(identifier), bitString(sign(digest, signed, key))))
}

/** The three parts of a signed structure. */
export interface SignedStructure {
  readonly signed: DerValue
  /** AlgorithmIdentifier in DER. */
  readonly algorithm: Uint8Array
  readonly signature: Uint8Array
}

/** @throws {DerError} */
export function readSignedStructure(der: Uint8Array): SignedStructure {
  const [signed, algorithm, signature, ...rest] = children(expectTag(readDer(der), tag.sequence, 'signed structure'))
  const { bytes, unusedBits } = readBitString(signature)
  if (rest.length > 0 || unusedBits > 0) throw new DerError('a signed structure is more than its three parts')
  return {
    signed: expectTag(signed, tag.sequence, 'signed part'),
    algorithm: expectTag(algorithm, tag.sequence, 'signature algorithm').raw,
    signature: bytes,
  }
}

/**
 * Checks a signature by one of the algorithms that Podpass itself signs with, in their SHA-2 variants.
 *
 * @returns why it does not hold; undefined where it does
 */
export function signatureProblem(
  { signed, algorithm, signature }: SignedStructure,
  key: KeyObject,
): string | undefined {
  const used = Object.values(algorithms).find(({ identifier }) => equalBytes(identifier, algorithm))
  if (used === undefined) return 'its signature algorithm is not allowed'
  if (keySpecOf(key)?.algorithm !== used.keys) return 'its signature algorithm does not fit its key'
  return verifies(used, signed.raw, key, signature) ? undefined : 'its signature does not verify'
}

function verifies({ digest }: SignatureAlgorithm, signed: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(digest, signed, key, signature)
  } catch {
    // OpenSSL refuses some keys only when they are used, such as RSA with an absurd exponent.
    return false
  }
}
