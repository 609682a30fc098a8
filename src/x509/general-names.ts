import { isAscii } from 'node:buffer'
import { bufferView, utf8Bytes } from './bytes.ts'
import { children, type DerValue, expectTag, readDer, readOid, readText, tag } from './der-reader.ts'
import { constructed, type DerBlock, encode, oid, primitive, sequence, utf8String } from './der-writer.ts'
import { formatIpAddress, parseIpAddress } from './ip-address.ts'
import { isObjectIdentifier } from './object-identifier.ts'

/** The names of a subject alternative name extension (RFC 5280 §4.2.1.6), of the kinds that Podpass knows. */
export interface SubjectNames {
  readonly dns: readonly string[]
  /** IPv4 or IPv6 addresses in any spelling. */
  readonly ip: readonly string[]
  readonly uri: readonly string[]
  readonly email: readonly string[]
  /** Names of other kinds, where there are any. */
  readonly otherNames?: readonly OtherName[]
}

/** A name whose kind is an object identifier and whose value is a text, by cert-manager's field names. */
export interface OtherName {
  /** Dotted decimal, such as `1.3.6.1.4.1.311.20.2.3` for a user principal name. */
  readonly oid: string
  /** Not empty. */
  readonly utf8Value: string
}

/** A name that cannot stand in a certificate. */
export class GeneralNameError extends Error {
  override readonly name = 'GeneralNameError'
  readonly code = 'GENERAL_NAME_INVALID'
}

export const noNames: SubjectNames = { dns: [], ip: [], uri: [], email: [] }

/** GeneralName's own tags (RFC 5280 A.2), by their numbers. */
const kinds = [
  'otherName',
  'rfc822Name',
  'dNSName',
  'x400Address',
  'directoryName',
  'ediPartyName',
  'uniformResourceIdentifier',
  'iPAddress',
  'registeredID',
] as const

const otherNameTag = 0
const emailTag = 1
const dnsTag = 2
const uriTag = 6
const ipTag = 7

export function hasNames({ dns, ip, uri, email, otherNames = [] }: SubjectNames): boolean {
  return dns.length + ip.length + uri.length + email.length + otherNames.length > 0
}

/**
 * GeneralNames in DER, in the order DNS, e-mail, IP, URI that Go's crypto/x509 uses, and then others as cert-manager does.
 *
 * @throws {GeneralNameError} for a name that is empty or not ASCII, and for text that is no IP address or object identifier
 */
export function encodeGeneralNames(names: SubjectNames): Uint8Array<ArrayBuffer> {
  const blocks = [
    ...names.dns.map((name) => textName('DNS name', name)),
    ...names.email.map((name) => textName('e-mail address', name)),
    ...names.ip.map((address) => primitive(ipTag, ipBytes(address))),
    ...names.uri.map((name) => textName('URI', name)),
    ...(names.otherNames ?? []).map(encodeOtherName),
  ]
  return encode(sequence(...blocks))
}

const textTags = {
  'DNS name': dnsTag,
  'DNS domain': dnsTag,
  'e-mail address': emailTag,
  URI: uriTag,
  'URI domain': uriTag,
} as const

/**
 * A GeneralName of a kind that is written as IA5String.
 *
 * @param kind - names it in errors; domains are what name constraints hold (RFC 5280 §4.2.1.10)
 * @throws {GeneralNameError} where it is empty or not ASCII
 */
export function textName(kind: keyof typeof textTags, name: string): DerBlock {
  if (name === '') throw new GeneralNameError(`the ${kind} is empty`)
  const bytes = utf8Bytes(name)
  if (!isAscii(bytes)) {
    const advice = kind === 'URI' ? 'percent-encode it' : 'write the host in its xn-- form'
    throw new GeneralNameError(`${kind} ${JSON.stringify(name)} has characters outside ASCII: ${advice}`)
  }
  return primitive(textTags[kind], bytes)
}

/** OtherName (RFC 5280 §4.2.1.6), its value a UTF8String. */
function encodeOtherName(name: OtherName): DerBlock {
  if (!isObjectIdentifier(name.oid)) {
    throw new GeneralNameError(`${JSON.stringify(name.oid)} is not the object identifier of an other name`)
  }
  if (name.utf8Value === '') throw new GeneralNameError(`the other name ${name.oid} is empty`)
  if (!name.utf8Value.isWellFormed()) throw new GeneralNameError(`the other name ${name.oid} is not valid Unicode`)
  return constructed(otherNameTag, oid(name.oid), constructed(0, utf8String(name.utf8Value)))
}

function ipBytes(address: string): Uint8Array {
  const bytes = parseIpAddress(address)
  if (bytes === undefined) throw new GeneralNameError(`${JSON.stringify(address)} is not an IP address`)
  return bytes
}

/** Names as they were read. */
export interface DecodedNames {
  readonly names: SubjectNames
  /** Names of other kinds, for people, such as `otherName 1.3.6.1.4.1.311.20.2.3`. */
  readonly unknown: readonly string[]
}

/**
 * @param der - GeneralNames
 * @throws {DerError | GeneralNameError}
 */
export function decodeGeneralNames(der: Uint8Array): DecodedNames {
  const dns: string[] = []
  const ip: string[] = []
  const uri: string[] = []
  const email: string[] = []
  const otherNames: OtherName[] = []
  const unknown: string[] = []
  for (const value of children(expectTag(readDer(der), tag.sequence, 'general names'))) {
    if (value.content.length === 0) {
      unknown.push(`empty ${kindOf(value)}`)
      continue
    }
    switch (value.tag) {
      case tag.context(emailTag):
        email.push(readIa5(value))
        break
      case tag.context(dnsTag):
        dns.push(readIa5(value))
        break
      case tag.context(uriTag):
        uri.push(readIa5(value))
        break
      case tag.context(ipTag):
        if (value.content.length !== 4 && value.content.length !== 16) {
          throw new GeneralNameError(`an IP address has ${value.content.length} bytes`)
        }
        ip.push(formatIpAddress(value.content))
        break
      case tag.constructed(otherNameTag): {
        const { id, text } = readOtherName(value)
        if (text === undefined || text === '') unknown.push(`${kindOf(value)} ${id}`)
        else otherNames.push({ oid: id, utf8Value: text })
        break
      }
      default:
        unknown.push(kindOf(value))
    }
  }
  return { names: { dns, ip, uri, email, ...(otherNames.length > 0 && { otherNames }) }, unknown }
}

function readIa5({ content }: DerValue): string {
  if (!isAscii(content)) throw new GeneralNameError('a name has characters outside ASCII')
  return bufferView(content).toString('latin1')
}

/** @returns no text where the value is anything but one UTF8String */
function readOtherName(value: DerValue): { id: string; text: string | undefined } {
  const [id, wrapped, ...rest] = children(value)
  const [content, ...more] = wrapped?.tag === tag.constructed(0) ? children(wrapped) : []
  const isText = content?.tag === tag.utf8String && rest.length === 0 && more.length === 0
  return { id: readOid(id), text: isText ? readText(content) : undefined }
}

function kindOf(value: DerValue): string {
  const number = value.tag & 0x1f
  return kinds[number] ?? `name of kind ${number}`
}

/**
 * The names of `wanted` that `given` lacks. DNS names and the hosts of e-mail addresses compare without case
 * (RFC 5280 §7.2, §7.5), IP addresses by their bytes, URIs exactly.
 *
 * @returns such as `DNS:a.example`, as OpenSSL writes names
 */
export function missingNames(wanted: SubjectNames, given: SubjectNames): string[] {
  const has = new Set(listNames(given).map(({ canonical }) => canonical))
  return listNames(wanted)
    .filter(({ canonical }) => !has.has(canonical))
    .map(({ label }) => label)
}

/** @returns all names for people, such as `DNS:a.example` */
export function formatNames(names: SubjectNames): string[] {
  return listNames(names).map(({ label }) => label)
}

interface LabelledName {
  readonly label: string
  readonly canonical: string
}

function listNames({ dns, ip, uri, email, otherNames = [] }: SubjectNames): LabelledName[] {
  return [
    ...dns.map((name) => ({ label: `DNS:${name}`, canonical: `DNS:${name.toLowerCase()}` })),
    ...ip.map((address) => ({
      label: `IP:${address}`,
      canonical: `IP:${parseIpAddress(address)?.toHex() ?? address}`,
    })),
    ...uri.map((name) => ({ label: `URI:${name}`, canonical: `URI:${name}` })),
    ...email.map((name) => ({ label: `email:${name}`, canonical: `email:${lowerCaseHost(name)}` })),
    ...otherNames.map(({ oid, utf8Value }) => ({
      label: `otherName:${oid};UTF8:${utf8Value}`,
      canonical: `otherName:${oid};UTF8:${utf8Value}`,
    })),
  ]
}

function lowerCaseHost(email: string): string {
  const at = email.lastIndexOf('@') + 1
  return email.slice(0, at) + email.slice(at).toLowerCase()
}
