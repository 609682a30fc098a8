import { utf8Bytes } from './bytes.ts'
import { tag } from './der-reader.ts'

/** A value that is written as DER (X.690); {@link encode} gives its bytes. */
export interface DerBlock {
  readonly der: Uint8Array<ArrayBuffer>
}

/** The tag, the length in the fewest bytes (X.690 §10.1), the content. */
function block(tagByte: number, ...parts: readonly Uint8Array[]): DerBlock {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const lengthBytes = length < 0x80 ? [length] : longLength(length)
  const der = new Uint8Array(1 + lengthBytes.length + length)
  der[0] = tagByte
  der.set(lengthBytes, 1)
  let at = 1 + lengthBytes.length
  for (const part of parts) {
    der.set(part, at)
    at += part.length
  }
  return { der }
}

function longLength(length: number): number[] {
  const bytes = bigEndian(length)
  return [0x80 | bytes.length, ...bytes]
}

/** @returns at least one byte */
function bigEndian(value: number): number[] {
  const bytes = [value & 0xff]
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff)
  return bytes
}

function contents(parts: readonly DerBlock[]): readonly Uint8Array[] {
  return parts.map(({ der }) => der)
}

export function encode({ der }: DerBlock): Uint8Array<ArrayBuffer> {
  return der
}

/** A value that is encoded already and must keep its exact bytes, such as a public key or the name of an issuer. */
export function encoded(der: Uint8Array): DerBlock {
  return { der: new Uint8Array(der) }
}

export function sequence(...parts: readonly DerBlock[]): DerBlock {
  return block(tag.sequence, ...contents(parts))
}

/** Sorts its values by their encodings, as X.690 §11.6 wants. */
export function setOf(...parts: readonly DerBlock[]): DerBlock {
  return block(tag.set, ...contents(parts).toSorted((one, other) => Buffer.compare(one, other)))
}

/** A constructed context tag: EXPLICIT, or IMPLICIT over a SEQUENCE or SET whose values are given. */
export function constructed(number: number, ...parts: readonly DerBlock[]): DerBlock {
  return block(tag.constructed(number), ...contents(parts))
}

/** A primitive context tag: IMPLICIT over a string. */
export function primitive(number: number, content: Uint8Array): DerBlock {
  return block(tag.context(number), content)
}

export function boolean(value: boolean): DerBlock {
  return block(tag.boolean, Uint8Array.of(value ? 0xff : 0))
}

/** @param value - not negative, below 2^31 */
export function integer(value: number): DerBlock {
  const bytes = bigEndian(value)
  // A first bit of one would make it negative.
  return block(tag.integer, Uint8Array.from((bytes[0] ?? 0) > 0x7f ? [0, ...bytes] : bytes))
}

/** @param magnitude - the bytes of a positive number, the first one neither zero nor over 7f */
export function positiveInteger(magnitude: Uint8Array): DerBlock {
  return block(tag.integer, magnitude)
}

/** @param dotted - such as `2.5.4.3`; arcs may be of any size (X.690 §8.19) */
export function oid(dotted: string): DerBlock {
  const [root = 0n, branch = 0n, ...arcs] = dotted.split('.').map(BigInt)
  return block(tag.oid, Uint8Array.from([root * 40n + branch, ...arcs].flatMap(base128)))
}

/** Seven bits a byte, the highest first; all bytes but the last have their highest bit set. */
function base128(arc: bigint): number[] {
  const bytes = [Number(arc & 0x7fn)]
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) bytes.unshift(Number(rest & 0x7fn) | 0x80)
  return bytes
}

export function nullValue(): DerBlock {
  return block(tag.null)
}

export function octetString(content: Uint8Array): DerBlock {
  return block(tag.octetString, content)
}

export function bitString(content: Uint8Array, unusedBits = 0): DerBlock {
  return block(tag.bitString, Uint8Array.of(unusedBits), content)
}

export function utf8String(value: string): DerBlock {
  return block(tag.utf8String, utf8Bytes(value))
}

/** @param value - of its letters alone, which are ASCII */
export function printableString(value: string): DerBlock {
  return block(tag.printableString, utf8Bytes(value))
}

/** @param value - ASCII */
export function ia5String(value: string): DerBlock {
  return block(tag.ia5String, utf8Bytes(value))
}

/** UTF-16, big endian; characters outside the basic plane as two units, which readers of PKCS#12 expect. */
export function bmpString(value: string): DerBlock {
  const units = Array.from({ length: value.length }, (_, index) => value.charCodeAt(index))
  return block(tag.bmpString, Uint8Array.from(units.flatMap((unit) => [unit >> 8, unit & 0xff])))
}

/**
 * UTCTime up to 2049 and GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
 *
 * @param time - epoch milliseconds, in whole seconds
 */
export function time(time: number): DerBlock {
  const date = new Date(time)
  const text = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return date.getUTCFullYear() < 2050
    ? block(tag.utcTime, utf8Bytes(text.slice(2)))
    : block(tag.generalizedTime, utf8Bytes(text))
}
