import { trustDomainProblem } from '../../spire/spiffe-id.ts'
import { shortList } from './short-list.ts'

/** The annotation of pods, and in reconcile mode of nodes, with the trust domains whose bundles a workload gets: `a.org, b.org`. */
export const federationAnnotation = 'spiffe.io/federatesWith'

/** With which trust domains an entry federates, and what was left out. */
export interface Federation {
  readonly federatesWith: readonly string[]
  readonly notices: readonly string[]
}

const none: Federation = { federatesWith: [], notices: [] }

/**
 * Reads the federation annotation. What is no trust domain, and what the server has no bundle of, is left out: the server refuses the
 * whole entry for it.
 *
 * @param annotations - of a pod or node
 * @param trustDomain - the server's own
 * @param bundles - the names that the server has bundles of; undefined where all are taken
 */
export function federationOf(
  annotations: Readonly<Record<string, string>>,
  trustDomain: string,
  bundles: ReadonlySet<string> | undefined,
): Federation {
  const names = namesIn(annotations)
  if (names.size === 0) return none
  const malformed: string[] = []
  const unknown: string[] = []
  const federatesWith: string[] = []
  for (const name of names) {
    if (trustDomainProblem(name) !== undefined) malformed.push(name)
    else if (name !== trustDomain && bundles !== undefined && !bundles.has(name)) unknown.push(name)
    else if (name !== trustDomain) federatesWith.push(name)
  }
  return {
    federatesWith,
    notices: [
      ...about(malformed, (list) => `annotation ${federationAnnotation}: ${list} cannot be the name of a trust domain`),
      ...about(unknown, (list) => `annotation ${federationAnnotation}: the SPIRE server has no bundle of ${list}`),
    ],
  }
}

/** The trust domains that the federation annotation names, without what cannot be one and without the server's own. */
export function wishesOf(annotations: Readonly<Record<string, string>>, trustDomain: string): readonly string[] {
  return federationWishes(namesIn(annotations), trustDomain)
}

/** Those of some names that another trust domain than the server's own can have. */
export function federationWishes(names: Iterable<string>, trustDomain: string): readonly string[] {
  return [...names].filter((name) => name !== trustDomain && trustDomainProblem(name) === undefined)
}

const noNames: ReadonlySet<string> = new Set()

function namesIn(annotations: Readonly<Record<string, string>>): ReadonlySet<string> {
  const value = Object.hasOwn(annotations, federationAnnotation) ? annotations[federationAnnotation] : undefined
  if (value === undefined) return noNames
  const names = new Set(value.split(',').map((name) => name.trim()))
  names.delete('')
  return names
}

function about(names: readonly string[], notice: (list: string) => string): readonly string[] {
  return names.length === 0 ? [] : [notice(shortList(names))]
}
