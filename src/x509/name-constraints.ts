import { constructed, type DerBlock, encode, primitive, sequence } from './der-writer.ts'
import { type Extension, extensionIds } from './extensions.ts'
import { GeneralNameError, textName } from './general-names.ts'
import { parseIpAddress } from './ip-address.ts'

/** Where names must or must not lie, by cert-manager's field names. */
export interface NameConstraintItem {
  /** Such as `example.com`, which covers its subdomains, or `.example.com`, which to most verifiers is these alone. */
  readonly dnsDomains?: readonly string[]
  /** CIDR notation, such as `10.0.0.0/8`; bits behind the prefix do not count. */
  readonly ipRanges?: readonly string[]
  /** Such as `a@example.com`, `example.com` or `.example.com`. */
  readonly emailAddresses?: readonly string[]
  /** Domains of the hosts in URIs. */
  readonly uriDomains?: readonly string[]
}

/** What a CA may certify (RFC 5280 §4.2.1.10), by cert-manager's field names. */
export interface NameConstraints {
  /** Whether verifiers that do not know the extension must refuse. RFC 5280 wants it; cert-manager leaves it out by default. */
  readonly critical: boolean
  readonly permitted?: NameConstraintItem
  readonly excluded?: NameConstraintItem
}

/**
 * The name constraints extension, its subtrees in cert-manager's order: DNS, IP, e-mail, URI.
 *
 * @returns none where nothing is constrained, as RFC 5280 forbids an empty one
 * @throws {GeneralNameError} for a name that is empty or not ASCII, and for text that is no IP range
 */
export function nameConstraintExtensions({ critical, permitted = {}, excluded = {} }: NameConstraints): Extension[] {
  const subtrees = [encodeSubtrees(permitted), encodeSubtrees(excluded)]
  const parts = subtrees.flatMap((blocks, index) => (blocks.length === 0 ? [] : [constructed(index, ...blocks)]))
  if (parts.length === 0) return []
  return [{ id: extensionIds.nameConstraints, critical, value: encode(sequence(...parts)) }]
}

/** GeneralSubtrees; minimum 0 is the default, and maximum is not used (RFC 5280 §4.2.1.10). */
function encodeSubtrees(item: NameConstraintItem): DerBlock[] {
  const { dnsDomains = [], ipRanges = [], emailAddresses = [], uriDomains = [] } = item
  return [
    ...dnsDomains.map((domain) => textName('DNS domain', domain)),
    ...ipRanges.map((range) => primitive(7, ipRangeBytes(range))),
    ...emailAddresses.map((address) => textName('e-mail address', address)),
    ...uriDomains.map((domain) => textName('URI domain', domain)),
  ].map((base) => sequence(base))
}

/** An address and a mask of the same length (RFC 5280 §4.2.1.10, RFC 4632). */
function ipRangeBytes(range: string): Uint8Array {
  const slash = range.indexOf('/')
  const address = parseIpAddress(range.slice(0, slash))
  const prefix = /^(?:0|[1-9]\d{0,2})$/.test(range.slice(slash + 1)) ? Number(range.slice(slash + 1)) : undefined
  if (slash < 0 || address === undefined || prefix === undefined || prefix > address.length * 8) {
    throw new GeneralNameError(`${JSON.stringify(range)} is not an IP range such as 10.0.0.0/8 or 2001:db8::/32`)
  }
  const mask = address.map((_, index) => maskByte(prefix - index * 8))
  return Uint8Array.of(...address.map((byte, index) => byte & (mask[index] ?? 0)), ...mask)
}

/** @param bits - how many of the byte's highest bits, or of those from it on, are set */
function maskByte(bits: number): number {
  return bits <= 0 ? 0 : (0xff << (8 - Math.min(bits, 8))) & 0xff
}
