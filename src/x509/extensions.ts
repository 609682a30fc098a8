import {
  children,
  DerError,
  type DerValue,
  expectTag,
  readBitString,
  readBoolean,
  readDer,
  readOid,
  readSmallInteger,
  tag,
} from './der-reader.ts'
import {
  bitString,
  boolean,
  type DerBlock,
  encode,
  integer,
  octetString,
  oid,
  primitive,
  sequence,
} from './der-writer.ts'
import { encodeGeneralNames, type SubjectNames } from './general-names.ts'
import { type KeyUsage, splitUsages, usageOfBit, usageOfPurpose } from './key-usage.ts'

/** An extension of a certificate, or one that a request asks for (RFC 5280 §4.1.2.9). */
export interface Extension {
  /** Dotted object identifier. */
  readonly id: string
  readonly critical: boolean
  /** The DER inside its octet string. */
  readonly value: Uint8Array
}

/** Object identifiers of the extensions that Podpass writes and understands (RFC 5280 §4.2.1). */
export const extensionIds = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Extensions of RFC 5280 §4.1. */
export function encodeExtensions(extensions: readonly Extension[]): DerBlock {
  return sequence(...extensions.map(encodeExtension))
}

function encodeExtension({ id, critical, value }: Extension): DerBlock {
  // A critical of FALSE is the default, which DER leaves out (X.690 §11.5).
  return critical ? sequence(oid(id), boolean(true), octetString(value)) : sequence(oid(id), octetString(value))
}

/**
 * @param der - Extensions
 * @throws {DerError} also where one stands twice (RFC 5280 §4.2)
 */
export function decodeExtensions(der: Uint8Array): Extension[] {
  const seen = new Set<string>()
  return children(expectTag(readDer(der), tag.sequence, 'extensions')).map((value) => {
    const extension = decodeExtension(value)
    if (seen.has(extension.id)) throw new DerError(`extension ${extension.id} stands twice`)
    seen.add(extension.id)
    return extension
  })
}

function decodeExtension(value: DerValue): Extension {
  const [id, ...rest] = children(expectTag(value, tag.sequence, 'extension'))
  const critical = rest[0]?.tag === tag.boolean && readBoolean(rest.shift())
  const [content, ...more] = rest
  if (more.length > 0) throw new DerError('an extension has too many parts')
  return { id: readOid(id), critical, value: expectTag(content, tag.octetString, 'extension value').content }
}

/** @param subjectIsEmpty - makes the names critical, as they are then all that identifies the subject (RFC 5280 §4.2.1.6) */
export function subjectAltName(names: SubjectNames, subjectIsEmpty: boolean): Extension {
  return { id: extensionIds.subjectAltName, critical: subjectIsEmpty, value: encodeGeneralNames(names) }
}

/** @param pathLength - how many CAs may follow, for a CA that is to be limited (RFC 5280 §4.2.1.9) */
export function basicConstraints(isCA: boolean, pathLength?: number): Extension {
  const limit = pathLength === undefined ? [] : [integer(pathLength)]
  const value = encode(isCA ? sequence(boolean(true), ...limit) : sequence())
  return { id: extensionIds.basicConstraints, critical: true, value }
}

/** @throws {DerError} */
export function readBasicConstraints(value: Uint8Array): { isCA: boolean; pathLength: number | undefined } {
  const parts = children(expectTag(readDer(value), tag.sequence, 'basic constraints'))
  const isCA = parts[0]?.tag === tag.boolean && readBoolean(parts.shift())
  const pathLength = parts.length > 0 ? readSmallInteger(parts.shift()) : undefined
  if (parts.length > 0) throw new DerError('basic constraints have too many parts')
  return { isCA, pathLength }
}

/** The key usage extension (critical, RFC 5280 §4.2.1.3) and the extended one, each only if there is something to say in it. */
export function usageExtensions(usages: readonly KeyUsage[]): Extension[] {
  const { bits, purposes } = splitUsages(usages)
  const keyUsage = { id: extensionIds.keyUsage, critical: true, value: encode(encodeBits(bits)) }
  const value = encode(sequence(...purposes.map(oid)))
  const extendedKeyUsage = { id: extensionIds.extendedKeyUsage, critical: false, value }
  return [...(bits.length > 0 ? [keyUsage] : []), ...(purposes.length > 0 ? [extendedKeyUsage] : [])]
}

/** A named bit list: bit 0 is the highest of the first byte, and it ends with its last set bit (X.690 §11.2.2). */
function encodeBits(bits: readonly number[]): DerBlock {
  const count = Math.max(-1, ...bits) + 1
  const bytes = new Uint8Array(Math.ceil(count / 8))
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  return bitString(bytes, bytes.length * 8 - count)
}

/** Usages as they were read. */
export interface DecodedUsages {
  readonly usages: readonly KeyUsage[]
  /** Bits and purposes without a name, for people. */
  readonly unknown: readonly string[]
}

/** @throws {DerError} */
export function readKeyUsage(value: Uint8Array): DecodedUsages {
  const { bytes } = readBitString(readDer(value))
  const usages: KeyUsage[] = []
  const unknown: string[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    if (((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) === 0) continue
    const usage = usageOfBit(bit)
    if (usage === undefined) unknown.push(`key usage bit ${bit}`)
    else usages.push(usage)
  }
  return { usages, unknown }
}

/** @throws {DerError} */
export function readExtendedKeyUsage(value: Uint8Array): DecodedUsages {
  const usages: KeyUsage[] = []
  const unknown: string[] = []
  for (const purpose of children(expectTag(readDer(value), tag.sequence, 'extended key usage')).map(readOid)) {
    const usage = usageOfPurpose(purpose)
    if (usage === undefined) unknown.push(`key purpose ${purpose}`)
    else usages.push(usage)
  }
  return { usages, unknown }
}

export function subjectKeyIdentifier(id: Uint8Array): Extension {
  return { id: extensionIds.subjectKeyIdentifier, critical: false, value: encode(octetString(id)) }
}

/** @throws {DerError} */
export function readSubjectKeyIdentifier(value: Uint8Array): Uint8Array {
  return expectTag(readDer(value), tag.octetString, 'subject key identifier').content
}

export function authorityKeyIdentifier(id: Uint8Array): Extension {
  return { id: extensionIds.authorityKeyIdentifier, critical: false, value: encode(sequence(primitive(0, id))) }
}
