import { canonicalUri } from './uri.ts'
import { formatIpAddress, parseIpAddress } from '../../x509/ip-address.ts'
import type { CertificateRequest } from '../../x509/certificate-request.ts'

/** Every kind of name and subject attribute that a request may carry, by the word that policies use for a list of them. */
export const nameKinds = [
  'commonNames',
  'dnsNames',
  'ipAddresses',
  'uris',
  'emailAddresses',
  'organizations',
  'organizationalUnits',
  'countries',
  'localities',
  'provinces',
  'streetAddresses',
  'postalCodes',
  'serialNumbers',
] as const

export type NameKind = (typeof nameKinds)[number]

/** What a request asks to be called, in the one form in which names are compared. A kind that is not asked for is empty. */
export type AskedNames = Readonly<Record<NameKind, readonly string[]>>

/** The attribute types of a subject that a request may use; all others are refused (RFC 4519 short names). */
export const subjectKinds: Readonly<Record<string, NameKind>> = {
  CN: 'commonNames',
  O: 'organizations',
  OU: 'organizationalUnits',
  C: 'countries',
  L: 'localities',
  ST: 'provinces',
  STREET: 'streetAddresses',
  postalCode: 'postalCodes',
  serialNumber: 'serialNumbers',
}

/** How a name of a kind is shown to people, such as `DNS:a.example`. */
export const kindLabels: Readonly<Record<NameKind, string>> = {
  commonNames: 'CN',
  dnsNames: 'DNS',
  ipAddresses: 'IP',
  uris: 'URI',
  emailAddresses: 'email',
  organizations: 'O',
  organizationalUnits: 'OU',
  countries: 'C',
  localities: 'L',
  provinces: 'ST',
  streetAddresses: 'STREET',
  postalCodes: 'postalCode',
  serialNumbers: 'serialNumber',
}

export const noAskedNames: AskedNames = forEachKind(() => [])

/** Something for each kind. */
export function forEachKind<Value>(valueOf: (kind: NameKind) => Value): Readonly<Record<NameKind, Value>> {
  return Object.fromEntries(nameKinds.map((kind) => [kind, valueOf(kind)])) as Record<NameKind, Value>
}

/** All names with their kinds. */
export function listNames(names: AskedNames): { readonly kind: NameKind; readonly name: string }[] {
  return nameKinds.flatMap((kind) => names[kind].map((name) => ({ kind, name })))
}

/** @returns such as `DNS:a.example` */
export function formatName(kind: NameKind, name: string): string {
  return `${kindLabels[kind]}:${name}`
}

/**
 * The names of a request in the form in which they are compared: DNS names, hosts and e-mail domains in lower case, IP addresses as
 * RFC 5952 has it. Attributes of types that no policy knows are left out; {@link nameFaults} refuses them.
 */
export function askedNames({ subject, names }: Pick<CertificateRequest, 'subject' | 'names'>): AskedNames {
  const attributes = subject.flat()
  return {
    ...forEachKind((kind) => attributes.filter(({ type }) => subjectKinds[type] === kind).map(({ value }) => value)),
    dnsNames: names.dns.map((name) => name.toLowerCase()),
    ipAddresses: names.ip.map(canonicalIp),
    uris: names.uri.map((uri) => canonicalUri(uri) ?? uri),
    emailAddresses: names.email.map(canonicalEmail),
  }
}

/** RFC 5321 §2.4: the domain is without case, the mailbox before it is not. */
export function canonicalEmail(email: string): string {
  const at = email.lastIndexOf('@') + 1
  return email.slice(0, at) + email.slice(at).toLowerCase()
}

/** @returns the text as it is where it is no address */
export function canonicalIp(address: string): string {
  const bytes = parseIpAddress(address)
  return bytes === undefined ? address : formatIpAddress(bytes)
}
