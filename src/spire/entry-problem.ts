import { dnsNameProblem } from './dns-name.ts'
import type { EntrySpec, Selector } from './entry.ts'
import { isReservedPath, parseSpiffeId, trustDomainProblem } from './spiffe-id.ts'

/**
 * What a SPIRE server refuses an entry for before it stores it, in the server's words where it has some; undefined where it takes it.
 * Whether it holds the bundles of the federated trust domains, only the server knows.
 *
 * @param trustDomain - the server's
 */
export function entryProblem(spec: EntrySpec, trustDomain: string): string | undefined {
  return (
    idProblem('parent ID', spec.parentId, trustDomain) ??
    idProblem('spiffe ID', spec.spiffeId, trustDomain) ??
    selectorsProblem(spec.selectors) ??
    namesProblem(spec.dnsNames) ??
    federationProblem(spec.federatesWith)
  )
}

function idProblem(what: 'parent ID' | 'spiffe ID', id: string, trustDomain: string): string | undefined {
  const parsed = parseSpiffeId(id)
  if ('problem' in parsed) return `invalid ${what}: ${parsed.problem}`
  if (parsed.trustDomain !== trustDomain)
    return `invalid ${what}: ${JSON.stringify(id)} is not a member of trust domain "${trustDomain}"`
  if (parsed.path === '') return `invalid ${what}: path is empty`
  // An agent, or the server itself, may be a parent.
  const isReserved = what === 'spiffe ID' && isReservedPath(parsed.path)
  return isReserved ? `invalid ${what}: the path "${parsed.path}" is in the reserved namespace` : undefined
}

function selectorsProblem(selectors: readonly Selector[]): string | undefined {
  if (selectors.length === 0) return 'selector list is empty'
  if (selectors.some(({ type }) => type === '')) return 'missing selector type'
  if (selectors.some(({ type }) => type.includes(':'))) return "selector type contains ':'"
  if (selectors.some(({ value }) => value === '')) return 'missing selector value'
  return hasDouble(selectors.map(({ type, value }) => `${type}:${value}`)) ? 'a selector is given twice' : undefined
}

function namesProblem(names: readonly string[]): string | undefined {
  const odd = names.find((name) => dnsNameProblem(name) !== undefined)
  if (odd !== undefined) return `invalid DNS name: ${JSON.stringify(odd)}`
  return hasDouble(names) ? 'a DNS name is given twice' : undefined
}

function federationProblem(names: readonly string[]): string | undefined {
  for (const name of names) {
    const problem = trustDomainProblem(name)
    if (problem !== undefined) return `invalid federated trust domain: ${problem}`
  }
  return undefined
}

function hasDouble(texts: readonly string[]): boolean {
  return new Set(texts).size < texts.length
}
