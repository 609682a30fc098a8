/** A SPIFFE ID in its parts (SPIFFE-ID §2). */
export interface SpiffeId {
  /** 1 to 255 of `[a-z0-9._-]`. */
  readonly trustDomain: string
  /** Empty, or with a leading slash: `/ns/shop/sa/web`. */
  readonly path: string
}

/** Of a whole ID, in bytes (SPIFFE-ID §2.3). */
const longestId = 2048
const longestTrustDomain = 255
const scheme = 'spiffe://'

/**
 * Reads a whole SPIFFE ID strictly: nothing is escaped, and there is no port, user information, query or fragment.
 *
 * @returns what is wrong with it in go-spiffe's words, where something is
 */
export function parseSpiffeId(text: string): SpiffeId | { readonly problem: string } {
  if (text === '') return { problem: 'cannot be empty' }
  if (!text.startsWith(scheme)) return { problem: 'scheme is missing or invalid' }
  const slash = text.indexOf('/', scheme.length)
  const end = slash < 0 ? text.length : slash
  const trustDomain = text.slice(scheme.length, end)
  const path = text.slice(end)
  const problem = trustDomainProblem(trustDomain) ?? (path === '' ? undefined : pathProblem(path))
  if (problem !== undefined) return { problem }
  return text.length > longestId ? { problem: `is longer than ${longestId} bytes` } : { trustDomain, path }
}

/** @returns such as `spiffe://example.org/ns/shop/sa/web` */
export function formatSpiffeId({ trustDomain, path }: SpiffeId): string {
  return `${scheme}${trustDomain}${path}`
}

/** What keeps a text from being a trust domain's name; undefined where nothing does. */
export function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'trust domain is missing'
  if (!/^[a-z0-9._-]+$/.test(name))
    return 'trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores'
  return name.length > longestTrustDomain ? `trust domain is longer than ${longestTrustDomain} bytes` : undefined
}

/** What keeps a text from being the path of a SPIFFE ID, its leading slash included; undefined where nothing does. */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return 'path must have a leading slash'
  const segments = path.slice(1).split('/')
  if (segments.at(-1) === '') return 'path cannot have a trailing slash'
  for (const segment of segments) {
    const problem = segmentProblem(segment)
    if (problem !== undefined) return problem
  }
  return undefined
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '') return 'path cannot contain empty segments'
  if (segment === '.' || segment === '..') return 'path cannot contain dot segments'
  if (/^[A-Za-z0-9._-]+$/.test(segment)) return undefined
  return 'path segment characters are limited to letters, numbers, dots, dashes, and underscores'
}

/** Whether a path is a root or lies under it, segment by segment: `/a/b-c` does not lie under `/a/b`. */
export function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`)
}

/** Whether a path is one of SPIRE's own: no workload may have it. */
export function isReservedPath(path: string): boolean {
  return isWithin(path, '/spire')
}
