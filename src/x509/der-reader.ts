import { isAscii, isUtf8 } from 'node:buffer'
import { bufferView } from './bytes.ts'

/** One DER value, still undecoded. All arrays are windows into the bytes that were read. */
export interface DerValue {
  /** The identifier octet: class, constructed bit and tag number. */
  readonly tag: number
  readonly content: Uint8Array
  /** Identifier, length and content. */
  readonly raw: Uint8Array
}

/** Bytes that are not the DER they should be. */
export class DerError extends Error {
  override readonly name = 'DerError'
  readonly code = 'DER_INVALID'
}

/** Identifier octets of X.690 §8.1.2 and X.680 §8. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  relativeOid: 0x0d,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
  /** Context-specific and primitive, as an IMPLICIT tag of a primitive type has it. */
  context: (number: number): number => 0x80 | number,
  /** Context-specific and constructed, as EXPLICIT tags have it. */
  constructed: (number: number): number => 0xa0 | number,
} as const

/** Set in the identifier octet of a value that holds values. */
export const constructedBit = 0x20

/**
 * Reads bytes that hold exactly one value. Lengths are checked, definite and minimal (X.690 §10.1); what is inside is read by
 * {@link children} and the readers below.
 *
 * @throws {DerError}
 */
export function readDer(bytes: Uint8Array): DerValue {
  const value = readValue(bytes, 0)
  if (value.raw.length !== bytes.length) throw new DerError(`${bytes.length - value.raw.length} bytes too many`)
  return value
}

/**
 * The values inside a constructed one.
 *
 * @throws {DerError} where it is primitive or does not divide into whole values
 */
export function children(value: DerValue): DerValue[] {
  if ((value.tag & constructedBit) === 0) throw new DerError(`tag ${formatTag(value.tag)} holds no values`)
  return readDerValues(value.content)
}

/**
 * Reads values that stand one after the other, with nothing between them.
 *
 * @throws {DerError} where the bytes do not divide into whole values
 */
export function readDerValues(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = []
  for (let offset = 0; offset < bytes.length;) {
    const value = readValue(bytes, offset)
    values.push(value)
    offset += value.raw.length
  }
  return values
}

function readValue(bytes: Uint8Array, start: number): DerValue {
  const identifier = byteAt(bytes, start)
  if (identifier === 0) throw new DerError('end-of-contents is not DER')
  if ((identifier & 0x1f) === 0x1f) throw new DerError('tag numbers over 30 are not used by X.509')
  const { length, headerLength } = readLength(bytes, start + 1)
  const from = start + 1 + headerLength
  const end = from + length
  if (end > bytes.length) throw new DerError(`a value of ${length} bytes is cut off after ${bytes.length - from}`)
  return { tag: identifier, content: bytes.subarray(from, end), raw: bytes.subarray(start, end) }
}

function readLength(bytes: Uint8Array, start: number): { length: number; headerLength: number } {
  const first = byteAt(bytes, start)
  if (first < 0x80) return { length: first, headerLength: 1 }
  const count = first & 0x7f
  if (count === 0) throw new DerError('a length is indefinite')
  if (count > 4) throw new DerError('a length is over 4 bytes')
  let length = 0
  for (let index = 1; index <= count; index++) length = length * 256 + byteAt(bytes, start + index)
  if (length < 0x80 || length < 256 ** (count - 1)) throw new DerError('a length is not minimal')
  return { length, headerLength: 1 + count }
}

function byteAt(bytes: Uint8Array, index: number): number {
  const byte = bytes[index]
  if (byte === undefined) throw new DerError('the bytes end inside a value')
  return byte
}

/**
 * The value itself, if it is there and has the tag.
 *
 * @param what - names it in the error
 * @throws {DerError}
 */
export function expectTag(value: DerValue | undefined, expected: number, what: string): DerValue {
  if (value?.tag === expected) return value
  throw new DerError(
    `${what}: expected tag ${formatTag(expected)}, got ${value === undefined ? 'nothing' : formatTag(value.tag)}`,
  )
}

/** Longer ones do not occur; a bound keeps the arithmetic on their arcs cheap. */
const longestOid = 128

/** @returns dotted decimal */
export function readOid(value: DerValue | undefined): string {
  const { content } = expectTag(value, tag.oid, 'object identifier')
  const [first, ...others] = readArcs(content)
  const root = first < 80n ? first / 40n : 2n
  return [root, first - root * 40n, ...others].join('.')
}

/**
 * Reads the subidentifiers of an object identifier, or of a relative one (X.690 §8.19, §8.20).
 *
 * @throws {DerError}
 */
export function readArcs(content: Uint8Array): readonly [bigint, ...bigint[]] {
  if (content.length > longestOid) throw new DerError('an object identifier is too long')
  const arcs: bigint[] = []
  let arc = 0n
  let begins = true
  for (const byte of content) {
    if (begins && byte === 0x80) throw new DerError('an object identifier is not minimal')
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    begins = (byte & 0x80) === 0
    if (begins) {
      arcs.push(arc)
      arc = 0n
    }
  }
  const [first, ...others] = arcs
  if (first === undefined || !begins) throw new DerError('an object identifier is cut off')
  return [first, ...others]
}

export function readBoolean(value: DerValue | undefined): boolean {
  const { content } = expectTag(value, tag.boolean, 'boolean')
  if (content.length === 1 && content[0] === 0xff) return true
  if (content.length === 1 && content[0] === 0) return false
  throw new DerError('a boolean is neither 00 nor FF')
}

/** @throws {DerError} also for negative numbers and those over 31 bits */
export function readSmallInteger(value: DerValue | undefined): number {
  const { content } = expectTag(value, tag.integer, 'integer')
  checkInteger(content)
  if (content.length > 4 || byteAt(content, 0) >= 0x80) throw new DerError('an integer is out of range')
  return content.reduce((number, byte) => number * 256 + byte, 0)
}

/** @throws {DerError} */
export function checkInteger(content: Uint8Array): void {
  const [first, second] = content
  if (first === undefined) throw new DerError('an integer is empty')
  // X.690 §8.3.2: the first nine bits are neither all ones nor all zero.
  if (second !== undefined && (first === 0 || first === 0xff) && first >> 7 === second >> 7) {
    throw new DerError('an integer is not minimal')
  }
}

/** @returns the bytes, and how many bits of the last one do not count */
export function readBitString(value: DerValue | undefined): { bytes: Uint8Array; unusedBits: number } {
  const { content } = expectTag(value, tag.bitString, 'bit string')
  const unusedBits = byteAt(content, 0)
  const bytes = content.subarray(1)
  const last = bytes.at(-1)
  if (unusedBits > 7 || (last === undefined && unusedBits > 0)) throw new DerError('a bit string is cut off')
  // X.690 §11.2.1: unused bits are zero.
  if (last !== undefined && (last & ((1 << unusedBits) - 1)) !== 0) throw new DerError('a bit string has stray bits')
  return { bytes, unusedBits }
}

/**
 * The text of a string of any of the types that names are written in.
 *
 * @returns undefined where the value is no such string
 * @throws {DerError} where the bytes break the type's rules
 */
export function readText(value: DerValue): string | undefined {
  const { content } = value
  const text = bufferView(content)
  switch (value.tag) {
    case tag.utf8String:
      if (!isUtf8(content)) throw new DerError('a UTF8String is not UTF-8')
      return text.toString('utf8')
    case tag.printableString:
    case tag.numericString:
    case tag.ia5String:
    case tag.visibleString:
      if (!isAscii(content)) throw new DerError('a string has characters outside ASCII')
      return text.toString('latin1')
    case tag.teletexString:
      return text.toString('latin1')
    case tag.bmpString:
      if (content.length % 2 !== 0) throw new DerError('a BMPString is cut off')
      return bufferView(content.slice()).swap16().toString('utf16le')
    default:
      return undefined
  }
}

/** @returns such as `0x30` */
export function formatTag(number: number): string {
  return `0x${number.toString(16).padStart(2, '0')}`
}
