import { domainToASCII, domainToUnicode } from 'node:url'

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Whether a text is one label of a DNS name in lower case (RFC 1123 §2.1), an A-label where it begins as one (RFC 5890 §2.3.2.1). */
export function isDnsLabel(text: string): boolean {
  if (!label.test(text)) return false
  if (text.slice(2, 4) !== '--') return true
  // Two hyphens there are kept for encodings, of which A-labels are the only one.
  const decoded = text.startsWith('xn--') ? domainToUnicode(text) : ''
  return decoded !== '' && decoded !== text && domainToASCII(decoded) === text
}

/** Names of this length fit a DNS message with their length octets (RFC 1035 §2.3.4). */
const longestName = 253

/**
 * Whether a text in lower case is a DNS name that can stand in a certificate: labels and dots, and nothing that a reader could take
 * for an IP address. No trailing dot, no underscore, no wildcard.
 */
export function isDnsName(text: string): boolean {
  if (text.length > longestName) return false
  const labels = text.split('.')
  return labels.every(isDnsLabel) && !/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
}

/** A DNS name whose leftmost label is the wildcard of RFC 6125 §6.4.3: all of it, and none further right. */
export function isWildcardName(text: string): boolean {
  return text.startsWith('*.') && isDnsName(text.slice(2))
}
