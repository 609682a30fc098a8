import * as asn1 from 'asn1js'

/** A value to be written as DER; {@link encode} gives its bytes. */
export type DerBlock = asn1.BaseBlock

const universalClass = 1
const contextClass = 3

export function encode(block: DerBlock): Uint8Array<ArrayBuffer> {
  return new Uint8Array(block.toBER())
}

/** A value that is encoded already and must keep its exact bytes, such as a public key or the name of an issuer. */
export function encoded(der: Uint8Array): DerBlock {
  return new EncodedBlock(der)
}

/** asn1js has RawData for this, but 4.0.0 leaves it out when it stands inside another value. */
class EncodedBlock extends asn1.BaseBlock {
  readonly #der: Uint8Array<ArrayBuffer>

  constructor(der: Uint8Array) {
    super()
    this.#der = new Uint8Array(der)
  }

  override toBER(_sizeOnly?: boolean, writer?: asn1.ViewWriter): ArrayBuffer {
    writer?.write(this.#der.buffer)
    return this.#der.buffer
  }
}

export function sequence(...parts: readonly DerBlock[]): DerBlock {
  return new asn1.Sequence({ value: [...parts] })
}

/** Sorts its values by their encodings, as X.690 §11.6 wants. */
export function setOf(...parts: readonly DerBlock[]): DerBlock {
  if (parts.length < 2) return new asn1.Set({ value: [...parts] })
  const sorted = parts.map(encode).sort((left, right) => Buffer.compare(left, right))
  return new asn1.Set({ value: sorted.map(encoded) })
}

/** A constructed context tag: EXPLICIT, or IMPLICIT over a SEQUENCE or SET whose values are given. */
export function constructed(number: number, ...parts: readonly DerBlock[]): DerBlock {
  return new asn1.Constructed({ idBlock: { tagClass: contextClass, tagNumber: number }, value: [...parts] })
}

/** A primitive context tag: IMPLICIT over a string. */
export function primitive(number: number, content: Uint8Array): DerBlock {
  return new asn1.Primitive({ idBlock: { tagClass: contextClass, tagNumber: number }, valueHex: exact(content) })
}

export function boolean(value: boolean): DerBlock {
  return new asn1.Boolean({ value })
}

/** @param value - not negative, below 2^31 */
export function integer(value: number): DerBlock {
  return new asn1.Integer({ value })
}

/** @param magnitude - the bytes of a positive number, the first one neither zero nor over 7f */
export function positiveInteger(magnitude: Uint8Array): DerBlock {
  return new asn1.Integer({ valueHex: exact(magnitude) })
}

/**
 * asn1js 4.0.0 cuts off arcs near 2^53, so the arcs are written here (X.690 §8.19).
 *
 * @param dotted - such as `2.5.4.3`
 */
export function oid(dotted: string): DerBlock {
  const [root = 0n, branch = 0n, ...arcs] = dotted.split('.').map(BigInt)
  const content = [root * 40n + branch, ...arcs].flatMap(base128)
  const idBlock = { tagClass: universalClass, tagNumber: 6 }
  return new asn1.Primitive({ idBlock, valueHex: Uint8Array.from(content).buffer })
}

/** Seven bits a byte, the highest first; all bytes but the last have their highest bit set. */
function base128(arc: bigint): number[] {
  const bytes = [Number(arc & 0x7fn)]
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) bytes.unshift(Number(rest & 0x7fn) | 0x80)
  return bytes
}

export function nullValue(): DerBlock {
  return new asn1.Null()
}

export function octetString(content: Uint8Array): DerBlock {
  return new asn1.OctetString({ valueHex: exact(content) })
}

export function bitString(content: Uint8Array, unusedBits = 0): DerBlock {
  return new asn1.BitString({ valueHex: exact(content), unusedBits })
}

export function utf8String(value: string): DerBlock {
  return new asn1.Utf8String({ value })
}

export function printableString(value: string): DerBlock {
  return new asn1.PrintableString({ value })
}

export function ia5String(value: string): DerBlock {
  return new asn1.IA5String({ value })
}

/** UTF-16, big endian; characters outside the basic plane as two units, which readers of PKCS#12 expect. */
export function bmpString(value: string): DerBlock {
  return new asn1.BmpString({ value })
}

/**
 * UTCTime up to 2049 and GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
 *
 * @param time - epoch milliseconds, in whole seconds
 */
export function time(time: number): DerBlock {
  const valueDate = new Date(time)
  const short = valueDate.getUTCFullYear() < 2050
  return short ? new asn1.UTCTime({ valueDate }) : new asn1.GeneralizedTime({ valueDate })
}

/** asn1js takes whole ArrayBuffers only. */
function exact(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
