import { dnsNameProblem } from '../../spire/dns-name.ts'
import type { EntrySpec } from '../../spire/entry.ts'
import { formatSpiffeId, isReservedPath, isWithin, parseSpiffeId } from '../../spire/spiffe-id.ts'
import { mostNames } from '../desired/dns-names.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { idRefusal } from '../desired/pod-path.ts'
import { selectorsOf } from './read-spiffe-id.ts'
import type { SpiffeIdSpec } from './spiffe-id-resource.ts'

/** Of all selectors of one SpiffeID together, in characters: many times what a workload has to show. */
const longestSelectors = 16_384

/** What SpiffeIDs may ask for. The same for the controller and for the webhook. */
export interface SpiffeIdRules {
  /** Which IDs may be given out at all. */
  readonly identity: IdentityRules
  /** The registrar's own: who may write there is trusted with aliases of nodes. */
  readonly namespace: string
  /** Whether a SpiffeID of the registrar's namespace makes an alias of this ID. */
  readonly isNamedAlias: (spiffeId: string) => boolean
  /** Exact names of the namespaces whose SpiffeIDs may be downstream. */
  readonly allowDownstreamNamespaces: readonly string[]
}

/** A rule that a SpiffeID breaks. */
export interface Violation {
  /** UpperCamelCase, for machines. */
  readonly reason: string
  /** For people. */
  readonly message: string
}

/** What a rule looks at: a SpiffeID, or what one has asked for before. */
export interface Asked {
  readonly namespace: string
  readonly spec: SpiffeIdSpec
}

/**
 * Which rules a SpiffeID breaks; all of them, those of SPIRE's registrar first and in its words. Whether it doubles another one is not
 * for here ({@link import('./identity-holders.ts').IdentityHolders}).
 */
export function violationsOf(asked: Asked, rules: SpiffeIdRules): readonly Violation[] {
  const { selector } = asked.spec
  const isAlias = selector.cluster !== undefined || selector.agent_node_uid !== undefined
  const invalidIds = idViolations(asked, rules)
  return [
    ...invalidIds,
    ...(isAlias ? aliasViolations(asked, rules) : namespaceViolations(asked)),
    ...(isAlias || invalidIds.length > 0 ? [] : workloadViolations(asked, rules)),
    ...downstreamViolations(asked, rules),
    ...nameViolations(asked),
    ...selectorViolations(asked),
    ...sizeViolations(asked),
  ]
}

/** Several broken rules as one: the reason of the first, everything that is to be said. */
export function summarize(violations: readonly Violation[]): Violation | undefined {
  const [first] = violations
  return first && { reason: first.reason, message: violations.map(({ message }) => message).join('; ') }
}

/**
 * Whether an entry that a SpiffeID of a namespace has could have been asked for in its form: not whether it is the right one. One that
 * could not have been is no good one, and is not kept where the SpiffeID breaks a rule.
 */
export function isLawful(entry: EntrySpec, namespace: string, rules: SpiffeIdRules): boolean {
  const values = (type: string, name: string): readonly string[] =>
    entry.selectors.flatMap((one) =>
      one.type === type && one.value.startsWith(`${name}:`) ? [one.value.slice(name.length + 1)] : [],
    )
  const [cluster] = values('k8s_psat', 'cluster')
  const [agentNodeUid] = values('k8s_psat', 'agent_node_uid')
  const spec: SpiffeIdSpec = {
    spiffeId: entry.spiffeId,
    parentId: entry.parentId,
    downstream: entry.downstream,
    selector: {
      ...(cluster !== undefined && { cluster }),
      ...(agentNodeUid !== undefined && { agent_node_uid: agentNodeUid }),
      ...(values('k8s', 'ns').includes(namespace) && { namespace }),
    },
  }
  return violationsOf({ namespace, spec }, rules).length === 0
}

function idViolations({ spec }: Asked, { identity }: SpiffeIdRules): Violation[] {
  return (['parentId', 'spiffeId'] as const).flatMap((field) => {
    const problem = idProblem(spec[field], identity.trustDomain)
    return problem === undefined ? [] : { reason: 'InvalidId', message: `spec.${field} ${problem}` }
  })
}

/** SPIRE's registrar compares the beginning only, so that `spiffe://example.orgevil/x` passes. */
function idProblem(id: string, trustDomain: string): string | undefined {
  const own = `spiffe://${trustDomain}`
  if (!id.startsWith(own)) return `must begin with ${own}`
  const parsed = parseSpiffeId(id)
  if ('problem' in parsed) return `${JSON.stringify(id)} is no SPIFFE ID: ${parsed.problem}`
  if (parsed.trustDomain !== trustDomain)
    return `${id} is in the trust domain ${parsed.trustDomain}, not in ${trustDomain}`
  return parsed.path === '' ? `${id} has no path` : undefined
}

/** Agents' selectors make an alias of nodes. The registrar's namespace is trusted with these, and with their parents. */
function aliasViolations({ namespace, spec }: Asked, rules: SpiffeIdRules): Violation[] {
  if (namespace !== rules.namespace) {
    const message =
      'spec.Selector.Cluster and spec.Selector.AgentNodeUid can only be used by the k8s-workload-registrar'
    return [{ reason: 'NodeSelectorsNotAllowed', message }]
  }
  const path = pathOf(spec.spiffeId)
  if (path === rules.identity.reserved.ownPath) return [notAllowed(spec, "is the registrar's own ID")]
  return isReservedPath(path) ? [notAllowed(spec, "is one of SPIRE's own IDs")] : []
}

function namespaceViolations({ namespace, spec }: Asked): Violation[] {
  if (spec.selector.namespace === namespace) return []
  return [{ reason: 'NamespaceMismatch', message: 'spec.Selector.Namespace must match namespace of resource' }]
}

function workloadViolations({ namespace, spec }: Asked, rules: SpiffeIdRules): Violation[] {
  const violations: Violation[] = []
  const refusal = idRefusal(rules.identity, namespace, pathOf(spec.spiffeId))
  if (refusal !== undefined) violations.push(notAllowed(spec, refusal))
  if (!isParent(spec.parentId, rules)) {
    const { trustDomain, aliasRoot } = rules.identity
    const aliases = formatSpiffeId({ trustDomain, path: `${aliasRoot}/<node>` })
    const message = `spec.parentId ${spec.parentId} is no alias of nodes of this cluster; these are ${aliases}`
    violations.push({ reason: 'ParentNotAllowed', message })
  }
  return violations
}

/** One node's alias, the one of the whole cluster, or one that the registrar's namespace names. */
function isParent(id: string, { identity: { aliasRoot }, isNamedAlias }: SpiffeIdRules): boolean {
  const path = pathOf(id)
  const isNode = isWithin(path, aliasRoot) && !path.slice(aliasRoot.length + 1).includes('/')
  return isNode || isNamedAlias(id)
}

function notAllowed({ spiffeId }: SpiffeIdSpec, refusal: string): Violation {
  return { reason: 'IdNotAllowed', message: `spec.spiffeId ${spiffeId} ${refusal}` }
}

/** @returns the empty text for what is no ID: that is told elsewhere */
function pathOf(id: string): string {
  const parsed = parseSpiffeId(id)
  return 'path' in parsed ? parsed.path : ''
}

/** Whoever holds such an identity can have a CA that signs for the whole trust domain. */
function downstreamViolations({ namespace, spec }: Asked, { allowDownstreamNamespaces }: SpiffeIdRules): Violation[] {
  if (spec.downstream !== true || allowDownstreamNamespaces.includes(namespace)) return []
  const message = `spec.downstream is not allowed in the namespace ${namespace}: it is not in allow_downstream_namespaces`
  return [{ reason: 'DownstreamNotAllowed', message }]
}

function nameViolations({ spec: { dnsNames = [] } }: Asked): Violation[] {
  return dnsNames.flatMap((name) => {
    const problem = dnsNameProblem(name)
    if (problem === undefined) return []
    return { reason: 'InvalidDnsName', message: `invalid DNS name ${JSON.stringify(name)}: it ${problem}` }
  })
}

/** What the server would refuse. */
function selectorViolations({ spec: { selector } }: Asked): Violation[] {
  const selectors = selectorsOf(selector)
  if (selectors.length === 0) return [{ reason: 'InvalidSelector', message: 'spec.selector is empty' }]
  const isEmpty = selectors.some(({ value }) => value === '')
  return isEmpty ? [{ reason: 'InvalidSelector', message: 'spec.selector.arbitrary holds an empty text' }] : []
}

/** What would make certificates that no handshake takes, and listings that no message holds. */
function sizeViolations({ spec: { dnsNames = [], selector } }: Asked): Violation[] {
  const violations: Violation[] = []
  if (new Set(dnsNames).size > mostNames) {
    const message = `spec.dnsNames holds ${dnsNames.length} names, and a certificate takes ${mostNames}`
    violations.push({ reason: 'TooLarge', message })
  }
  const size = selectorsOf(selector).reduce((sum, { value }) => sum + value.length, 0)
  if (size > longestSelectors) {
    const message = `spec.selector has ${size} characters, and may have ${longestSelectors}`
    violations.push({ reason: 'TooLarge', message })
  }
  return violations
}
