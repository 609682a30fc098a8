import type { AskedCertificate } from '../../src/approver/request/asked-certificate.ts'
import { canonicalUri } from '../../src/approver/request/uri.ts'
import { formatKeySpec } from '../../src/x509/key.ts'
import { splitUsages } from '../../src/x509/key-usage.ts'
import { attributeTypeOf, type Subject } from '../../src/x509/name.ts'
import { parseIpAddress } from '../../src/x509/ip-address.ts'
import type { GoAnswer } from './go-reader.ts'
import type { OpensslAnswer } from './openssl-reader.ts'

/** The extensions that a request may ask for: names, key usage, extended key usage, and being no CA. */
const understood: ReadonlySet<string> = new Set(['2.5.29.17', '2.5.29.15', '2.5.29.37', '2.5.29.19'])

/** Where Go sees something else in a request that was taken; empty where it sees the same. */
export function differencesToGo({ request, key, keyHash }: AskedCertificate, go: GoAnswer): readonly string[] {
  if (go.error !== undefined) return [`Go refuses it: ${go.error}`]
  const { names, subject } = request
  const { bits, purposes } = splitUsages(request.usages ?? [])
  const asGo: Subject = go.subject.map((level) =>
    level.map(({ type, value }) => ({ type: attributeTypeOf(type) ?? type, value })),
  )
  const strange = go.extensions.filter(({ id }) => !understood.has(id)).map(({ id }) => id)
  return [
    ...difference('subject', subject, asGo),
    ...difference('DNS names', names.dns, go.dns ?? []),
    ...difference(
      'addresses',
      names.ip.map((address) => parseIpAddress(address)?.toHex()),
      go.ip,
    ),
    // Go writes the scheme in lower case.
    ...difference('URIs', names.uri.map(withPlainScheme), go.uri),
    ...difference('canonical URIs', names.uri.map(canonicalUri), go.uri.map(canonicalUri)),
    ...difference('e-mail addresses', names.email, go.email ?? []),
    ...difference('key usage', bits, go.bits),
    ...difference('purposes', sorted(purposes), sorted(go.purposes)),
    ...difference('being a CA', request.isCA, go.isCA),
    ...difference('other extensions', [], strange),
    ...difference('key', formatKeySpec(key), go.key),
    ...difference('hash of the key', keyHash, go.keyHash),
  ]
}

function withPlainScheme(uri: string): string {
  const colon = uri.indexOf(':')
  return uri.slice(0, colon).toLowerCase() + uri.slice(colon)
}

/** openssl's names of usages, where they are not ours. */
const opensslBits: Readonly<Record<string, number>> = {
  'Digital Signature': 0,
  'Non Repudiation': 1,
  'Key Encipherment': 2,
  'Data Encipherment': 3,
  'Key Agreement': 4,
  'Certificate Sign': 5,
  'CRL Sign': 6,
  'Encipher Only': 7,
  'Decipher Only': 8,
}

const opensslPurposes: Readonly<Record<string, string>> = {
  'Any Extended Key Usage': '2.5.29.37.0',
  'TLS Web Server Authentication': '1.3.6.1.5.5.7.3.1',
  'TLS Web Client Authentication': '1.3.6.1.5.5.7.3.2',
  'Code Signing': '1.3.6.1.5.5.7.3.3',
  'E-mail Protection': '1.3.6.1.5.5.7.3.4',
  'IPSec End System': '1.3.6.1.5.5.7.3.5',
  'IPSec Tunnel': '1.3.6.1.5.5.7.3.6',
  'IPSec User': '1.3.6.1.5.5.7.3.7',
  'Time Stamping': '1.3.6.1.5.5.7.3.8',
  'OCSP Signing': '1.3.6.1.5.5.7.3.9',
  'Microsoft Server Gated Crypto': '1.3.6.1.4.1.311.10.3.3',
  'Netscape Server Gated Crypto': '2.16.840.1.113730.4.1',
}

const opensslExtensions: ReadonlySet<string> = new Set([
  'X509v3 Subject Alternative Name',
  'X509v3 Key Usage',
  'X509v3 Extended Key Usage',
  'X509v3 Basic Constraints',
])

/** Where openssl sees something else in a request that was taken; empty where it sees the same. */
export function differencesToOpenssl({ request }: AskedCertificate, openssl: OpensslAnswer): readonly string[] {
  if (!openssl.verifies) return ['openssl refuses it']
  const { dns, ip, uri, email } = request.names
  const names = [
    ...dns.map((name) => `DNS:${name}`),
    ...ip.map((address) => `IP Address:${opensslAddress(address)}`),
    ...uri.map((name) => `URI:${name}`),
    ...email.map((name) => `email:${name}`),
  ]
  const { bits, purposes } = splitUsages(request.usages ?? [])
  return [
    ...difference('subject', opensslSubject(request.subject), openssl.subject),
    ...difference('names', sorted(names), sorted(openssl.names)),
    ...difference('key usage', bits, openssl.bits.map((name) => opensslBits[name]).sort(ascending)),
    ...difference('purposes', sorted(purposes), sorted(openssl.purposes.map((name) => opensslPurposes[name] ?? name))),
    ...difference('being a CA', request.isCA, openssl.isCA),
    ...difference(
      'other extensions',
      [],
      openssl.extensions.filter((name) => !opensslExtensions.has(name)),
    ),
  ]
}

function ascending(left = 0, right = 0): number {
  return left - right
}

function opensslSubject(subject: Subject): string {
  return subject
    .map((level) =>
      level
        .map(({ type, value }) => {
          const escaped = value.replace(/[\\,+"<>;]|^[ #]| $/g, String.raw`\$&`)
          return `${type === 'STREET' ? 'street' : type}=${escaped}`
        })
        .join('+'),
    )
    .join(',')
}

/** openssl writes all groups of an IPv6 address, in upper case and without leading zeros. */
function opensslAddress(address: string): string {
  const bytes = parseIpAddress(address) ?? new Uint8Array()
  if (bytes.length === 4) return bytes.join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return Array.from({ length: 8 }, (_, group) =>
    view
      .getUint16(group * 2)
      .toString(16)
      .toUpperCase(),
  ).join(':')
}

function sorted(texts: readonly string[]): readonly string[] {
  return texts.toSorted()
}

function difference(what: string, ours: unknown, theirs: unknown): string[] {
  const [left, right] = [JSON.stringify(ours), JSON.stringify(theirs)]
  return left === right ? [] : [`${what}: taken as ${left}, seen as ${right}`]
}
