import type { EntrySpec } from '../../spire/entry.ts'
import { trustDomainProblem } from '../../spire/spiffe-id.ts'
import { mostNames } from '../desired/dns-names.ts'
import type { Rendering } from '../rendering.ts'
import { selectorsOf } from './read-spiffe-id.ts'
import type { SpiffeIdSpec } from './spiffe-id-resource.ts'

/** What a SpiffeID's entry depends on besides the SpiffeID. */
export interface EntrySurroundings {
  /** The trust domains whose bundles the server holds; undefined while that is not known, and then none is left out. */
  readonly federated: ReadonlySet<string> | undefined
  /** The names of the services that lead to its pod, `<service>.<namespace>.svc`, in order. */
  readonly serviceNames: readonly string[]
}

/** The entry that a SpiffeID asks for, which breaks no rule. */
export function spiffeIdEntry(
  spec: SpiffeIdSpec,
  { federated, serviceNames }: EntrySurroundings,
): Extract<Rendering, { is: 'entry' }> {
  // Where the server has no bundle of a trust domain, it refuses the whole entry.
  const asked = [...new Set(spec.federatesWith?.map((name) => name.trim()).filter((name) => name !== ''))]
  const problems = new Map(asked.flatMap((name) => federationProblem(name, federated)))
  // The server refuses doubles.
  const names = [...new Set([...(spec.dnsNames ?? []), ...serviceNames])]
  const entry: EntrySpec = {
    spiffeId: spec.spiffeId,
    parentId: spec.parentId,
    selectors: selectorsOf(spec.selector),
    dnsNames: names.slice(0, mostNames),
    federatesWith: asked.filter((name) => !problems.has(name)),
    downstream: spec.downstream ?? false,
  }
  const notices = [...problems].map(([name, why]) => `it does not federate with ${JSON.stringify(name)}: ${why}`)
  if (names.length > mostNames) {
    notices.push(`of ${names.length} DNS names, the first ${mostNames} are in the certificate`)
  }
  return { is: 'entry', spec: entry, notices }
}

function federationProblem(name: string, federated: ReadonlySet<string> | undefined): [name: string, why: string][] {
  const problem = trustDomainProblem(name)
  if (problem !== undefined) return [[name, problem]]
  const isMissing = federated !== undefined && !federated.has(name)
  return isMissing ? [[name, 'the SPIRE server has no bundle of it']] : []
}
