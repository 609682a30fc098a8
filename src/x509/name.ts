import { isAscii } from 'node:buffer'
import { utf8Bytes } from './bytes.ts'
import { children, DerError, type DerValue, expectTag, readDer, readOid, readText, tag } from './der-reader.ts'
import { type DerBlock, encode, ia5String, oid, printableString, sequence, setOf, utf8String } from './der-writer.ts'
import { isObjectIdentifier } from './object-identifier.ts'

/** One attribute of a distinguished name. */
export interface NameAttribute {
  /** A short name such as `CN`, else a dotted object identifier. */
  readonly type: string
  readonly value: string
}

/** The attributes of one level of a name, usually one. Their order carries no meaning; DER sorts them. */
export type RelativeName = readonly NameAttribute[]

/** A distinguished name in the order of its encoding, the most general level first (RFC 5280 §4.1.2.4). */
export type Subject = readonly RelativeName[]

/** The parts of a subject that cert-manager's X509Subject and its common name have. */
export interface SubjectFields {
  readonly countries?: readonly string[]
  readonly organizations?: readonly string[]
  readonly organizationalUnits?: readonly string[]
  readonly localities?: readonly string[]
  readonly provinces?: readonly string[]
  readonly streetAddresses?: readonly string[]
  readonly postalCodes?: readonly string[]
  readonly commonName?: string | undefined
  readonly serialNumber?: string | undefined
}

/** A distinguished name that cannot be written. */
export class NameError extends Error {
  override readonly name = 'NameError'
  readonly code = 'NAME_INVALID'
}

/** Short names of RFC 4514 §3 and RFC 4519, X.520 and PKCS#9. */
const attributeTypes: ReadonlyMap<string, string> = new Map([
  ['C', '2.5.4.6'],
  ['O', '2.5.4.10'],
  ['OU', '2.5.4.11'],
  ['L', '2.5.4.7'],
  ['ST', '2.5.4.8'],
  ['STREET', '2.5.4.9'],
  ['postalCode', '2.5.4.17'],
  ['CN', '2.5.4.3'],
  ['serialNumber', '2.5.4.5'],
  ['DC', '0.9.2342.19200300.100.1.25'],
  ['UID', '0.9.2342.19200300.100.1.1'],
  ['SN', '2.5.4.4'],
  ['GN', '2.5.4.42'],
  ['title', '2.5.4.12'],
  ['emailAddress', '1.2.840.113549.1.9.1'],
])

const shortNames: ReadonlyMap<string, string> = new Map([...attributeTypes].map(([name, dotted]) => [dotted, name]))

const byLowerCase: ReadonlyMap<string, string> = new Map(
  [...attributeTypes.keys()].map((name) => [name.toLowerCase(), name]),
)

/** The short names of attribute types, as they are written here; they are read in any case (RFC 4514 §3). */
export const attributeTypeNames: readonly string[] = [...attributeTypes.keys()]

/**
 * An attribute's type as {@link NameAttribute} has it.
 *
 * @param text - a short name in any case, or a dotted object identifier, also of a type that has a short name
 * @returns undefined where it is neither
 */
export function attributeTypeOf(text: string): string | undefined {
  if (isObjectIdentifier(text)) return shortNames.get(text) ?? text
  return byLowerCase.get(text.toLowerCase())
}

/** RFC 4519 §2.4 and PKCS#9 define these as IA5String: DC and emailAddress. */
const ia5Types: ReadonlySet<string> = new Set(['0.9.2342.19200300.100.1.25', '1.2.840.113549.1.9.1'])

/**
 * A subject in the order of Go's pkix.Name (ToRDNSequence), several values of one type in one multi-valued RDN, so that a request
 * of Podpass carries the name that the Go driver's would.
 */
export function buildSubject(fields: SubjectFields): Subject {
  const several = (type: string, values: readonly string[] = []): RelativeName =>
    values.map((value) => ({ type, value }))
  const single = (type: string, value: string | undefined): RelativeName =>
    value === undefined || value === '' ? [] : [{ type, value }]
  return [
    several('C', fields.countries),
    several('ST', fields.provinces),
    several('L', fields.localities),
    several('STREET', fields.streetAddresses),
    several('postalCode', fields.postalCodes),
    several('O', fields.organizations),
    several('OU', fields.organizationalUnits),
    single('CN', fields.commonName),
    single('serialNumber', fields.serialNumber),
  ].filter((attributes) => attributes.length > 0)
}

/**
 * Name in DER (RFC 5280 §4.1.2.4).
 *
 * @throws {NameError} for an unknown attribute type and for a value that its type cannot hold
 */
export function encodeName(subject: Subject): Uint8Array<ArrayBuffer> {
  return encode(sequence(...subject.map((attributes) => setOf(...attributes.map(encodeAttribute)))))
}

function encodeAttribute({ type, value }: NameAttribute): DerBlock {
  const dotted = attributeTypes.get(type) ?? type
  if (!isObjectIdentifier(dotted)) throw new NameError(`${JSON.stringify(type)} is no attribute type`)
  if (value === '') throw new NameError(`${type} is empty`)
  if (!value.isWellFormed()) throw new NameError(`${type} is not valid Unicode`)
  return sequence(oid(dotted), encodeValue(type, dotted, value))
}

/** X.680 §41.4. Go leaves out the asterisk and ampersand as well, which some writers take for printable. */
const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/

function encodeValue(type: string, dotted: string, value: string): DerBlock {
  if (ia5Types.has(dotted)) {
    if (!isAscii(utf8Bytes(value))) throw new NameError(`${type} ${JSON.stringify(value)} has characters outside ASCII`)
    return ia5String(value)
  }
  return printable.test(value) ? printableString(value) : utf8String(value)
}

/** A name as it was read. */
export interface DecodedName {
  readonly subject: Subject
  /** What a strict reader does not take, for people: values that are no text, or text that its type does not hold or is outdated. */
  readonly unknown: readonly string[]
}

const currentEncodings: ReadonlySet<number> = new Set([tag.utf8String, tag.printableString, tag.ia5String])

/**
 * @param der - Name
 * @throws {DerError}
 */
export function decodeName(der: Uint8Array): DecodedName {
  const unknown: string[] = []
  const subject = children(expectTag(readDer(der), tag.sequence, 'name')).map((relative) => {
    const attributes = children(expectTag(relative, tag.set, 'relative distinguished name'))
    if (attributes.length === 0) throw new DerError('a relative distinguished name is empty')
    return attributes.map((attribute) => decodeAttribute(attribute, unknown))
  })
  return { subject, unknown }
}

function decodeAttribute(attribute: DerValue, unknown: string[]): NameAttribute {
  const [typeValue, value, ...rest] = children(expectTag(attribute, tag.sequence, 'name attribute'))
  if (value === undefined || rest.length > 0) throw new DerError('a name attribute is not a type and a value')
  const dotted = readOid(typeValue)
  const type = shortNames.get(dotted) ?? dotted
  const text = readText(value)
  if (text === undefined) unknown.push(`${type} that is no text`)
  else if (text === '') unknown.push(`${type} that is empty`)
  else if (!currentEncodings.has(value.tag)) unknown.push(`${type} in an outdated string type`)
  else if (value.tag === tag.printableString && !printable.test(text)) {
    // Go cannot read most of these (encoding/asn1 parsePrintableString).
    unknown.push(`${type} with characters that a PrintableString does not have`)
  }
  // RFC 4514 §2.4 writes a value that has no text by its encoding.
  return { type, value: text ?? `#${value.raw.toHex()}` }
}

/**
 * The name as people read it (RFC 4514): most specific level first, special characters escaped. So are those that
 * shape text without being seen, so that a certificate cannot break the line of a log.
 *
 * @returns such as `CN=web,OU=team+OU=other,O=Example`; empty for the empty name
 */
export function formatName(subject: Subject): string {
  return subject
    .toReversed()
    .map((attributes) => attributes.map(({ type, value }) => `${type}=${escapeValue(value)}`).join('+'))
    .join(',')
}

function escapeValue(value: string): string {
  return value.replace(/[\\,+"<>;]|^[ #]| $/g, String.raw`\$&`).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeOctets)
}

function escapeOctets(character: string): string {
  return utf8Bytes(character)
    .toHex()
    .replace(/../g, String.raw`\$&`)
}

/** @returns the last, most specific common name */
export function commonNameOf(subject: Subject): string | undefined {
  return subject.flat().findLast(({ type }) => type === 'CN')?.value
}
