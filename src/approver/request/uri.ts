import { isDnsName } from '../../x509/dns-name.ts'

/** A URI in the form that requests may carry: a scheme, a host, and a path of plain segments (RFC 3986 §3). */
export interface PlainUri {
  /** Lower case. */
  readonly scheme: string
  /** A DNS name in lower case. */
  readonly host: string
  /** Decimal; empty where there is none. */
  readonly port: string
  /** Between the slashes; none for an empty path. */
  readonly segments: readonly string[]
}

const form = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/([^/?#@:[\]%]+)(?::([1-9]\d{0,4}))?((?:\/[^/?#%*]*)*)$/

/** RFC 3986 §3.3 pchar, without percent-encoding and without the asterisk, which is what patterns are written with. */
const segment = /^[A-Za-z0-9._~!$&'()+,;=:@-]+$/

/**
 * Reads a URI strictly. One that can be spelt in two ways is none: no percent-encoding, no empty, `.` or `..` segments, no slash at
 * the end; and no user information, query or fragment.
 *
 * @returns undefined where it is anything else
 */
export function parseUri(text: string): PlainUri | undefined {
  const [, scheme = '', host = '', port = '', path = ''] = form.exec(text) ?? []
  if (scheme === '' || !isDnsName(host.toLowerCase())) return undefined
  const segments = path === '' ? [] : path.slice(1).split('/')
  const plain = segments.every((part) => segment.test(part) && part !== '.' && part !== '..')
  return plain ? { scheme: scheme.toLowerCase(), host: host.toLowerCase(), port, segments } : undefined
}

/** @returns such as `spiffe://example.org/ns/web` */
export function formatUri({ scheme, host, port, segments }: PlainUri): string {
  return `${scheme}://${host}${port === '' ? '' : `:${port}`}${segments.map((part) => `/${part}`).join('')}`
}

/** The one spelling of a URI; undefined where {@link parseUri} does not take it. */
export function canonicalUri(text: string): string | undefined {
  const uri = parseUri(text)
  return uri === undefined ? undefined : formatUri(uri)
}
