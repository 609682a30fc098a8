import { canonicalEmail, type NameKind } from '../request/asked-names.ts'
import { isDnsName, isDnsLabel } from '../../x509/dns-name.ts'
import { parseUri, type PlainUri } from '../request/uri.ts'
import { inRange, parseIpRange } from './ip-range.ts'

/**
 * Whether a part of a name is what a part of a pattern says: the same, or with one asterisk for one or more characters. An asterisk
 * never stands for an asterisk.
 */
export function matchesPart(pattern: string, part: string): boolean {
  const star = pattern.indexOf('*')
  if (star < 0 || part.includes('*')) return pattern === part && star < 0
  const head = pattern.slice(0, star)
  const tail = pattern.slice(star + 1)
  return part.length > head.length + tail.length && part.startsWith(head) && part.endsWith(tail)
}

/**
 * Label by label: an asterisk never reaches over a dot.
 *
 * @param allowWildcards - whether `*.example.com` matches a request for the wildcard name `*.example.com` itself
 */
export function matchesDnsName(pattern: string, name: string, allowWildcards = false): boolean {
  const [first, ...rest] = name.split('.')
  const labels = pattern.split('.')
  if (labels.length !== rest.length + 1) return false
  const firstMatches = first === '*' ? allowWildcards && labels[0] === '*' : matchesPart(labels[0] ?? '', first ?? '')
  return firstMatches && rest.every((label, index) => matchesPart(labels[index + 1] ?? '', label))
}

/** Component by component: scheme and port are the same, the host matches as a DNS name, and the path segment by segment. */
export function matchesUri(pattern: string, name: string): boolean {
  const [wanted, given] = [parseUriPattern(pattern), parseUri(name)]
  if (wanted === undefined || given === undefined) return false
  return (
    wanted.scheme === given.scheme &&
    wanted.port === given.port &&
    matchesDnsName(wanted.host, given.host) &&
    wanted.segments.length === given.segments.length &&
    given.segments.every((segment, index) => matchesPart(wanted.segments[index] ?? '', segment))
  )
}

function matchesEmail(pattern: string, name: string): boolean {
  const [at, given] = [pattern.lastIndexOf('@'), name.lastIndexOf('@')]
  return (
    at > 0 &&
    given > 0 &&
    matchesPart(pattern.slice(0, at), name.slice(0, given)) &&
    matchesDnsName(pattern.slice(at + 1), name.slice(given + 1))
  )
}

function matchesIp(pattern: string, address: string): boolean {
  const range = parseIpRange(pattern)
  return range !== undefined && inRange(range, address)
}

type Matcher = (pattern: string, name: string, allowWildcards: boolean) => boolean

/** Kinds of name with a structure; all others are one text. */
const matchers: Partial<Record<NameKind, Matcher>> = {
  dnsNames: (pattern, name, allowWildcards) => matchesDnsName(pattern.toLowerCase(), name, allowWildcards),
  uris: matchesUri,
  emailAddresses: (pattern, name) => matchesEmail(canonicalEmail(pattern), name),
  ipAddresses: matchesIp,
}

/** @param name - in the form of {@link askedNames} */
export function matchesName(kind: NameKind, pattern: string, name: string, allowWildcards = false): boolean {
  return (matchers[kind] ?? matchesPart)(pattern, name, allowWildcards)
}

/** Reads a pattern as if each asterisk were a letter, and says so where it then is no name. */
function parseUriPattern(pattern: string): PlainUri | undefined {
  // A letter that patterns cannot otherwise hold there marks each asterisk: reading folds the case of hosts alone.
  const marked = parseUri(pattern.replaceAll('*', 'xstarx'))
  if (marked === undefined || pattern.toLowerCase().includes('xstarx')) return undefined
  const back = (part: string): string => part.replaceAll('xstarx', '*')
  return { ...marked, host: back(marked.host), segments: marked.segments.map(back) }
}

/**
 * What is wrong with a pattern, for whoever writes a policy.
 *
 * @param pattern - with a plain value in the place of each fact
 */
export function patternProblem(kind: NameKind, pattern: string): string | undefined {
  if (pattern === '') return 'is empty'
  const { isPattern, expected } = patternForms[kind] ?? textForm
  return isPattern(pattern) ? undefined : `is no ${expected}`
}

interface PatternForm {
  readonly isPattern: (pattern: string) => boolean
  readonly expected: string
}

const textForm: PatternForm = { isPattern: (pattern) => !hasTwoStars(pattern), expected: 'text with at most one *' }

const patternForms: Partial<Record<NameKind, PatternForm>> = {
  dnsNames: {
    isPattern: (pattern) => isDnsPattern(pattern.toLowerCase()),
    expected: 'DNS name, with at most one * in each label',
  },
  uris: {
    isPattern: isUriPattern,
    expected:
      'URI of scheme, host and plain path, with at most one * in each label of the host and segment of the path',
  },
  emailAddresses: {
    isPattern: isEmailPattern,
    expected: 'e-mail address, with at most one * in the mailbox and in each label',
  },
  ipAddresses: {
    isPattern: (pattern) => parseIpRange(pattern) !== undefined,
    expected: 'IP address or range such as 10.96.0.0/12',
  },
}

function isEmailPattern(pattern: string): boolean {
  const at = pattern.lastIndexOf('@')
  return at > 0 && !hasTwoStars(pattern.slice(0, at)) && isDnsPattern(pattern.slice(at + 1).toLowerCase())
}

function isDnsPattern(pattern: string): boolean {
  const labels = pattern.split('.')
  const plain = labels.map((label) => label.replace('*', 'x'))
  return plain.every(isDnsLabel) && isDnsName(plain.join('.'))
}

function isUriPattern(pattern: string): boolean {
  const parsed = parseUriPattern(pattern)
  return parsed !== undefined && isDnsPattern(parsed.host) && !parsed.segments.some(hasTwoStars)
}

function hasTwoStars(text: string): boolean {
  return text.indexOf('*') !== text.lastIndexOf('*')
}
