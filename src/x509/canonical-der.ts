import {
  checkInteger,
  children,
  constructedBit,
  DerError,
  type DerValue,
  formatTag,
  readArcs,
  readBitString,
  readBoolean,
  readOid,
  readText,
  tag,
} from './der-reader.ts'

/** How deep a request or certificate may nest; real ones stay below 12. */
const deepest = 32

/**
 * Checks a value to its leaves against the rules of X.690 §10 and §11, so that no second encoding of the same content is taken:
 * minimal integers, lengths and object identifiers, booleans of 00 or FF, unused bits zero, sets sorted, strings primitive.
 *
 * @throws {DerError}
 */
export function checkCanonical(value: DerValue, depth = 0): void {
  if (depth > deepest) throw new DerError('values are nested too deep')
  switch (value.tag) {
    case tag.boolean:
      readBoolean(value)
      return
    case tag.integer:
    case tag.enumerated:
      checkInteger(value.content)
      return
    case tag.bitString:
      readBitString(value)
      return
    case tag.oid:
      readOid(value)
      return
    case tag.relativeOid:
      readArcs(value.content)
      return
    case tag.null:
      if (value.content.length > 0) throw new DerError('a null is not empty')
      return
    default:
  }
  const constructed = (value.tag & constructedBit) !== 0
  const universal = value.tag < 0x40
  const collection = [tag.sequence, tag.set].some((tag) => (value.tag | constructedBit) === tag)
  if (universal && constructed !== collection) {
    throw new DerError(`tag ${formatTag(value.tag)} is built the wrong way`)
  }
  if (!constructed) {
    readText(value)
    return
  }
  const inside = children(value)
  for (const child of inside) checkCanonical(child, depth + 1)
  if (value.tag === tag.set) checkOrder(inside)
}

/** X.690 §11.6: the encodings of a SET OF ascend, the shorter one padded with zeros. */
function checkOrder(values: readonly DerValue[]): void {
  for (const [index, value] of values.entries()) {
    const before = values[index - 1]
    if (before !== undefined && Buffer.compare(before.raw, value.raw) > 0) throw new DerError('a set is not sorted')
  }
}
