import { isIP } from 'node:net'
import {
  encodeGeneralNames,
  GeneralNameError,
  noNames,
  type OtherName,
  type SubjectNames,
} from '../x509/general-names.ts'
import type { AttributeName, AttributeReader } from './attributes.ts'
import { readCsv } from './subject.ts'
import { asLabels, type ExpandedAttribute, expandItems, expandUris, type Variables } from './variables.ts'

/**
 * Reads the subject alternative names of a volume.
 *
 * @param requireSan - refuses a volume that asks for no DNS, IP or URI name
 */
export function readNames(reader: AttributeReader, variables: Variables, requireSan: boolean): SubjectNames {
  const labels = asLabels(variables)
  const listed = (name: ExpandedAttribute): readonly string[] => expandItems(reader, name, reader.list(name), labels)
  const otherNames = readOtherNames(reader)
  const names: SubjectNames = {
    dns: listed('dns-names'),
    ip: reader.list('ip-sans'),
    uri: expandUris(reader, reader.list('uri-sans'), variables).map(withLowerScheme),
    email: listed('email-sans'),
    ...(otherNames.length > 0 && { otherNames }),
  }
  reportEach(reader, 'dns-names', names.dns, dnsNameProblem)
  reportEach(reader, 'ip-sans', names.ip, ipProblem)
  reportEach(reader, 'uri-sans', names.uri, uriProblem)
  reportEach(reader, 'email-sans', names.email, emailProblem)
  if ((['dns-names', 'ip-sans', 'uri-sans'] as const).every((name) => reader.list(name).length === 0)) {
    const message = 'no DNS, IP or URI name is asked for, so most peers cannot verify the certificate'
    if (requireSan) reader.problem('dns-names', message)
    else reader.warning('dns-names', message)
  }
  return names
}

function reportEach(
  reader: AttributeReader,
  name: AttributeName,
  values: readonly string[],
  problemOf: (value: string) => string | undefined,
): void {
  for (const value of values) {
    const problem = problemOf(value)
    if (problem !== undefined) reader.problem(name, `invalid value ${JSON.stringify(value)}: ${problem}`)
  }
}

/** A scheme means the same in any case (RFC 3986 §3.1); issuers written in Go answer with lower case. */
export function withLowerScheme(uri: string): string {
  return uri.replace(/^[A-Za-z][A-Za-z0-9+.-]*:/, (scheme) => scheme.toLowerCase())
}

/** What is wrong with a DNS name, or undefined where it is fine. */
export function dnsNameProblem(name: string): string | undefined {
  return asciiProblem(name)
}

function asciiProblem(name: string): string | undefined {
  if (name === '') return 'is empty once its variables are replaced'
  // oxlint-disable-next-line no-control-regex -- IA5String is ASCII, RFC 5280 §4.2.1.6
  return /^[\u0021-\u007e]+$/.test(name) ? undefined : 'must be ASCII without white space'
}

function ipProblem(address: string): string | undefined {
  return isIP(address) === 0 || address.includes('%') ? 'must be an IPv4 or IPv6 address' : undefined
}

/**
 * What is wrong with a URI. Most issuers are written in Go and write what they have read: characters that RFC 3986 lacks would come
 * back escaped, and a host with empty parts not at all (crypto/x509), so the answer could never have the name that was asked for.
 */
export function uriProblem(uri: string): string | undefined {
  const problem = asciiProblem(uri)
  if (problem !== undefined) return problem
  if (/[^\w.~:/?#[\]@!$&'()*+,;=%-]|%(?![0-9A-Fa-f]{2})/.test(uri))
    return 'must write characters that RFC 3986 lacks as %XX'
  if (/^\/(?!\/)/.test(uri)) return undefined
  if (!/^[a-z][a-z0-9+.-]*:/.test(uri)) return 'must be an absolute URI, such as spiffe://cluster.local/ns/default'
  if (!URL.canParse(uri)) return 'must be an absolute URI'
  const { host } = new URL(uri)
  if (host === '') return undefined
  return host.includes('%') || host.split('.').includes('')
    ? 'must have a host name without empty or escaped parts'
    : undefined
}

/** Mailbox of RFC 5280 §4.2.1.6, without the quoted local parts of RFC 5321, which hardly any reader compares rightly. */
function emailProblem(address: string): string | undefined {
  const mailbox = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/
  return asciiProblem(address) ?? (mailbox.test(address) ? undefined : 'must be an address such as web@example.com')
}

/** Items are an object identifier, `=` and a text. They are taken as they stand: to some readers they are the very account. */
function readOtherNames(reader: AttributeReader): readonly OtherName[] {
  return readCsv(reader, 'other-names').flatMap((item) => {
    const sign = item.indexOf('=')
    const name = { oid: item.slice(0, Math.max(sign, 0)).trim(), utf8Value: item.slice(sign + 1) }
    const problem = sign < 0 ? 'there is no "="' : otherNameProblem(name)
    if (problem === undefined) return [name]
    const form = 'must be an object identifier, "=" and a text, such as 1.3.6.1.4.1.311.20.2.3=web@example.com'
    reader.problem('other-names', `invalid value ${JSON.stringify(item)}: ${form}: ${problem}`)
    return []
  })
}

function otherNameProblem(name: OtherName): string | undefined {
  try {
    encodeGeneralNames({ ...noNames, otherNames: [name] })
    return undefined
  } catch (error) {
    if (!(error instanceof GeneralNameError)) throw error
    return error.message
  }
}
