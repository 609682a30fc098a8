import { bufferView, utf8Bytes } from './bytes.ts'
import { DerError, readDer, readText, tag } from './der-reader.ts'
import { attributeTypeNames, attributeTypeOf, type NameAttribute, type Subject } from './name.ts'
import { printable } from './printable.ts'

/** A text that is no distinguished name. */
export class DistinguishedNameError extends Error {
  override readonly name = 'DistinguishedNameError'
  readonly code = 'DISTINGUISHED_NAME_INVALID'
}

/** More than any name needs, and little enough to read at once. In UTF-16 units. */
const longest = 16 * 1024

/** One attribute and what stands behind it: a comma or semicolon ends a level of the name, a plus goes on with it. */
const attribute = /([^=,;+\\]*)=((?:\\.|[^,;+\\])*)([,;+]|$)/sy

/**
 * Reads a distinguished name as people write it (RFC 4514), most specific level first, as cert-manager's `literalSubject` takes it.
 * Beyond the RFC, as with go-ldap: spaces around types and values, and semicolons for commas.
 *
 * What cert-manager would sign as something else is refused: types that nobody knows, empty values, values that are not UTF-8.
 * Variables are best replaced in the subject that comes out, where no value can add or reshape a name.
 *
 * @param text - types are C, O, OU, CN, SERIALNUMBER, L, ST, STREET, DC, UID and the others of {@link attributeTypeNames}, in any case,
 *   or dotted object identifiers
 * @returns in the order of its encoding, most general level first; empty for a text of white space
 * @throws {DistinguishedNameError}
 * @example
 * ```ts
 * parseDistinguishedName('CN=web,OU=team+OU=other,O=Acme\\, Inc.')
 * ```
 */
export function parseDistinguishedName(text: string): Subject {
  if (!text.isWellFormed()) throw new DistinguishedNameError('it is not valid Unicode')
  if (text.length > longest) throw new DistinguishedNameError(`it is over ${longest} characters long`)
  if (text.trim() === '') return []
  const levels: NameAttribute[][] = []
  let separator = ','
  for (let offset = 0; separator !== '';) {
    attribute.lastIndex = offset
    const match = attribute.exec(text)
    if (match === null) throw new DistinguishedNameError(problemAt(text, offset))
    const [whole, type = '', value = '', end = ''] = match
    const read = readAttribute(type, value)
    if (separator === '+') levels.at(-1)?.push(read)
    else levels.push([read])
    offset += whole.length
    separator = end
  }
  return levels.toReversed()
}

function problemAt(text: string, offset: number): string {
  const rest = text.slice(offset)
  if (/^[^=,;+\\]*=(?:\\.|[^,;+\\])*\\$/s.test(rest)) return 'it ends with a backslash that escapes nothing'
  const where = offset === 0 ? 'at its beginning' : `behind ${quote(text.slice(0, offset))}`
  return `expected a type, "=" and a value ${where}; write a comma, plus or semicolon inside a value with a backslash before it`
}

function readAttribute(typeText: string, valueText: string): NameAttribute {
  const name = trimSpaces(typeText)
  const type = attributeTypeOf(name)
  if (type === undefined) {
    const known = `${attributeTypeNames.join(', ')} or a dotted object identifier`
    throw new DistinguishedNameError(`${quote(name)} is no attribute type: expected ${known}`)
  }
  const value = valueText.startsWith('#') ? readHexValue(name, valueText) : readString(name, valueText)
  if (value === '') throw new DistinguishedNameError(`${name} is empty`)
  return { type, value }
}

/** RFC 4514 §3: a special character behind a backslash, or an octet of UTF-8 in two hexadecimal digits. */
const escapable = ' "#+,;<=>\\'

function readString(name: string, text: string): string {
  const parts = text.match(/\\[\dA-Fa-f]{2}|\\.|[^\\]/gsu) ?? []
  const first = parts.findIndex((part) => part !== ' ')
  const last = parts.findLastIndex((part) => part !== ' ')
  const inside = first < 0 ? [] : parts.slice(first, last + 1)
  return decodeUtf8(name, Buffer.concat(inside.map((part) => readPart(name, part))))
}

function readPart(name: string, part: string): Uint8Array {
  if (!part.startsWith('\\')) {
    if (!'"<>\0'.includes(part)) return utf8Bytes(part)
    throw new DistinguishedNameError(`${name} has a ${JSON.stringify(part)} that needs a backslash before it`)
  }
  const escaped = part.slice(1)
  if (/^[\dA-Fa-f]{2}$/.test(escaped)) return Uint8Array.fromHex(escaped)
  if (escapable.includes(escaped)) return utf8Bytes(escaped)
  throw new DistinguishedNameError(
    `${name} has a backslash before ${JSON.stringify(escaped)}, which is neither a special character nor two hexadecimal digits`,
  )
}

/**
 * A value by its encoding (RFC 4514 §2.4). As with cert-manager its text is taken, and written anew in the string type that fits;
 * an OCTET STRING counts as text, as in the RFC's own example.
 */
function readHexValue(name: string, text: string): string {
  const invalid = (reason: string, cause?: unknown): DistinguishedNameError =>
    new DistinguishedNameError(`${name} begins with "#", and what follows ${reason}`, { cause })
  const digits = trimSpaces(text.slice(1))
  if (!/^(?:[\dA-Fa-f]{2})+$/.test(digits)) throw invalid('is not pairs of hexadecimal digits')
  let value: string | undefined
  try {
    const encoded = readDer(Uint8Array.fromHex(digits))
    value = encoded.tag === tag.octetString ? decodeUtf8(name, encoded.content) : readText(encoded)
  } catch (error) {
    if (!(error instanceof DerError)) throw error
    throw invalid(`is no DER: ${error.message}`, error)
  }
  if (value?.isWellFormed() !== true) throw invalid('is no text')
  return value
}

function decodeUtf8(name: string, bytes: Uint8Array): string {
  const text = bufferView(bytes).toString('utf8')
  if (!bufferView(bytes).equals(utf8Bytes(text))) throw new DistinguishedNameError(`${name} is not UTF-8`)
  return text
}

function trimSpaces(text: string): string {
  let start = 0
  let end = text.length
  while (text[start] === ' ') start++
  while (end > start && text[end - 1] === ' ') end--
  return text.slice(start, end)
}

function quote(text: string): string {
  return JSON.stringify(printable(text))
}
