import type { Impersonation } from './connection-config.ts'
import { ConfigurationError } from './errors.ts'

/**
 * The headers of a request that is made in somebody else's name (Kubernetes documentation "User impersonation").
 *
 * @returns names in lower case (RFC 9113 §8.2), values in the bytes of UTF-8
 * @throws {ConfigurationError} naming the field
 */
export function impersonationHeaders({ user, uid, groups, extra }: Impersonation): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'impersonate-user': headerValue('user', user) }
  if (uid !== undefined) headers['impersonate-uid'] = headerValue('uid', uid)
  if (groups.length > 0) headers['impersonate-group'] = groups.map((group) => headerValue('groups', group))
  for (const [key, values] of Object.entries(extra)) {
    if (values.length === 0) continue
    headers[`impersonate-extra-${headerKey(key)}`] = values.map((value) => headerValue('user-extra', value))
  }
  return headers
}

function headerValue(field: string, value: string): string {
  const bytes = Buffer.from(value)
  // A line break would begin another header.
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) {
    throw new ConfigurationError(`impersonation: ${field}: expected a text without control characters`)
  }
  // Node writes one byte for each character of a header.
  return bytes.toString('latin1')
}

/** What cannot stand in the name of a header is percent-encoded, and so is the percent sign (client-go, headerKeyEscape). */
function headerKey(key: string): string {
  const escaped = [...Buffer.from(key)].map((byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9!#$&'*+.^_`|~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  })
  return escaped.join('').toLowerCase()
}
