import { domainToUnicode } from 'node:url'
import type { EntryFilter, EntrySpec, Selector } from '../../src/spire/entry.ts'

/**
 * What a SPIRE server has against an entry before it looks at its database (api.ProtoToRegistrationEntryWithMask), in its words and order.
 *
 * @param given - what is not given is not looked at, as with a mask
 */
export function entryProblem(given: Partial<EntrySpec>, trustDomain: string): string | undefined {
  const { parentId, spiffeId, dnsNames = [], federatesWith = [], selectors } = given
  return (
    (parentId !== undefined && prefixed('invalid parent ID', memberProblem(parentId, trustDomain))) ||
    (spiffeId !== undefined && prefixed('invalid spiffe ID', workloadProblem(spiffeId, trustDomain))) ||
    prefixed('invalid DNS name', first(dnsNames, dnsProblem)) ||
    prefixed('invalid federated trust domain', first(federatesWith, trustDomainProblem)) ||
    (selectors !== undefined &&
      (selectors.length === 0 ? 'selector list is empty' : first(selectors, selectorProblem))) ||
    undefined
  )
}

/** What a SPIRE server has against a listing's filter (Service.ListEntries). */
export function filterProblem({ parentId, spiffeId, selectors }: EntryFilter, trustDomain: string): string | undefined {
  return (
    (parentId !== undefined && prefixed('malformed parent ID filter', memberProblem(parentId, trustDomain))) ||
    (spiffeId !== undefined && prefixed('malformed SPIFFE ID filter', workloadProblem(spiffeId, trustDomain))) ||
    (selectors !== undefined &&
      prefixed(
        'malformed selectors filter',
        selectors.length === 0 ? 'empty selector set' : first(selectors, selectorProblem),
      )) ||
    undefined
  )
}

/** What a SPIRE server's database has against an id that a client has chosen. */
export function entryIdProblem(id: string): string | undefined {
  const what = 'datastore-validation: invalid registration entry: entry ID'
  if (Buffer.byteLength(id) > 255) return `${what} too long`
  return /^[A-Za-z0-9\-._]*$/.test(id) ? undefined : `${what} contains invalid characters`
}

function prefixed(what: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${what}: ${problem}`
}

function first<Item>(items: readonly Item[], problemOf: (item: Item) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = problemOf(item)
    if (problem !== undefined) return problem
  }
  return undefined
}

function memberProblem(id: string, trustDomain: string): string | undefined {
  const { name, path } = split(id)
  const malformed = trustDomainProblem(name) ?? pathProblem(path)
  if (malformed !== undefined) return malformed
  const not = `"${id}" is not a member of trust domain "${trustDomain}"`
  if (name !== trustDomain) return not
  return path === '' ? `${not}; path is empty` : undefined
}

function workloadProblem(id: string, trustDomain: string): string | undefined {
  const { name, path } = split(id)
  const problem = memberProblem(id, trustDomain)
  if (problem !== undefined && (name !== trustDomain || path !== '')) return problem
  const not = `"${id}" is not a workload in trust domain "${trustDomain}"`
  if (path === '') return `${not}; path is empty`
  return path === '/spire' || path.startsWith('/spire/') ? `${not}; path is in the reserved namespace` : undefined
}

function split(id: string): { readonly name: string; readonly path: string } {
  const rest = id.replace(/^spiffe:\/\//, '')
  const slash = rest.indexOf('/')
  return slash < 0 ? { name: rest, path: '' } : { name: rest.slice(0, slash), path: rest.slice(slash) }
}

function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'trust domain is missing'
  return /^[a-z0-9._-]{1,255}$/.test(name)
    ? undefined
    : 'trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores'
}

function pathProblem(path: string): string | undefined {
  const segments = path.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    if (segment === '') {
      return index === segments.length - 1 ? 'path cannot have a trailing slash' : 'path cannot contain empty segments'
    }
    if (segment === '.' || segment === '..') return 'path cannot contain dot segments'
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) {
      return 'path segment characters are limited to letters, numbers, dots, dashes, and underscores'
    }
  }
  return undefined
}

/** x509util.ValidateLabel: any ASCII character does, of which a label has 1 to 63. */
function dnsProblem(name: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- these are the ASCII characters
  if (!/^[\0-\x7f]*$/.test(name)) return 'name must be ascii'
  const stars = name.split('*').length - 1
  if (stars > 1) return 'too many wildcards'
  if (stars === 1 && !name.startsWith('*.')) return 'wildcard must be first label'
  const domain = name.replace(/^\*\./, '').trim()
  if (domain === '') return 'empty or only whitespace'
  if (domain.endsWith('.')) return 'domain ends with dot'
  const isValid = domain.length <= 253 && domain.split('.').every(isLabel)
  return isValid ? undefined : `idna error\nidna: invalid label "${domain}"`
}

function isLabel(label: string): boolean {
  if (label === '' || label.length > 63 || label.startsWith('-') || label.endsWith('-')) return false
  return label.slice(2, 4) !== '--' || (label.startsWith('xn--') && domainToUnicode(label) !== label)
}

function selectorProblem({ type, value }: Selector): string | undefined {
  if (type === '') return 'missing selector type'
  if (type.includes(':')) return "selector type contains ':'"
  return value === '' ? 'missing selector value' : undefined
}
