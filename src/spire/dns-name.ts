import { isDnsLabel } from '../x509/dns-name.ts'

/** With the octets for the lengths of its labels, a name fits into 255 (RFC 1035 §2.3.4). */
const longestName = 253

/**
 * What keeps a text from being a DNS name of an entry, as a clause about it; undefined where nothing does.
 *
 * A SPIRE server takes labels in lower case, of which the first may be a whole wildcard, and refuses an entry with any other name.
 */
export function dnsNameProblem(name: string): string | undefined {
  if (name.length > longestName) return `is longer than ${longestName} characters`
  const labels = (name.startsWith('*.') ? name.slice(2) : name).split('.')
  const odd = labels.find((label) => !isDnsLabel(label))
  if (odd === undefined) return undefined
  return odd === '' ? 'has an empty label' : `${JSON.stringify(odd)} is no label of a DNS name in lower case`
}
