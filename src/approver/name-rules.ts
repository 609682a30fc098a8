import type { Facts } from './names/fact.ts'
import { expandNameTemplate, type NameTemplate } from './names/name-template.ts'
import { matchesName } from './names/pattern.ts'
import type { Expansion } from './names/template.ts'
import type { DerivedNames } from './names-of-pod.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import { bindsToSubject, isIdentityKind } from './policy/binding-templates.ts'
import type { Policy } from './policy/policy.ts'
import { type AskedNames, formatName, listNames, type NameKind, nameKinds } from './request/asked-names.ts'

/** What the names of a request are compared with. */
export interface NameGround {
  readonly facts: Facts
  /** What the binding finds by itself. */
  readonly derived: DerivedNames
}

interface Expanded {
  readonly template: NameTemplate
  readonly expansion: Expansion
}

/** Holds each name of a request against what a policy allows and, by itself, against what its binding says of the subject. */
export function nameOutcomes(policy: Policy, names: AskedNames, ground: NameGround): RuleOutcome[] {
  return [
    ...listNames(names).flatMap(({ kind, name }) => {
      const expanded = expand(policy.allowed[kind], ground.facts)
      const allowed = allowedOutcome(policy, kind, name, expanded)
      return [allowed].concat(bindingOutcomes(policy, kind, name, expanded, ground))
    }),
    ...requiredOutcomes(policy, names, ground.facts),
  ]
}

function expand(templates: readonly NameTemplate[], facts: Facts): Expanded[] {
  return templates.map((template) => ({ template, expansion: expandNameTemplate(template, facts) }))
}

function allowedOutcome({ spec }: Policy, kind: NameKind, name: string, expanded: readonly Expanded[]): RuleOutcome {
  const value = formatName(kind, name)
  const wildcards = spec.names.allowWildcardNames === true
  const match = expanded.find(({ expansion }) =>
    expansion.texts.some((text) => matchesName(kind, text, name, wildcards)),
  )
  if (match !== undefined) {
    const { origin } = match.expansion
    const more = origin === 'written' ? { isUserControlled: true as const } : {}
    const nature = origin === 'attested' ? 'intrinsic' : 'extrinsic'
    return passed('names.allowed', value, `${match.template.text} allows it`, { nature, ...more })
  }
  // Only what was attested, and all of it known, rules a name out for good.
  const isSettled = expanded.every(({ expansion }) => expansion.origin === 'attested' && expansion.missing.length === 0)
  const missing = [...new Set(expanded.flatMap(({ expansion }) => expansion.missing))]
  const list = expanded.map(({ template }) => template.text).join(', ')
  const why = list === '' ? `the policy allows no ${kind}` : `none of ${list} allows it`
  return failed('names.allowed', isSettled ? 'intrinsic' : 'extrinsic', value, [why, ...missing].join('; '))
}

function bindingOutcomes(
  { spec }: Policy,
  kind: NameKind,
  name: string,
  expanded: readonly Expanded[],
  { derived }: NameGround,
): RuleOutcome[] {
  if (spec.binding === 'none' || !(isIdentityKind(kind) || kind === 'ipAddresses')) return []
  const value = formatName(kind, name)
  const bound = expanded.find(
    ({ template, expansion }) =>
      bindsToSubject(template, spec) && expansion.texts.some((text) => matchesName(kind, text, name)),
  )
  if (bound !== undefined) {
    const nature = bound.expansion.origin === 'attested' ? 'intrinsic' : 'extrinsic'
    return [passed('names.binding', value, `${bound.template.text} names the ${spec.binding}`, { nature })]
  }
  const known = kind === 'ipAddresses' ? derived.ipAddresses : derived.dnsNames
  const isDerivable = kind === 'ipAddresses' || kind === 'dnsNames' || kind === 'commonNames'
  if (isDerivable && known.has(name)) {
    return [passed('names.binding', value, `it is a name of the ${spec.binding}`, { nature: 'extrinsic' })]
  }
  const list = [...known].slice(0, 8).join(', ')
  const has = isDerivable && list !== '' ? `, which has ${list}` : ''
  return [failed('names.binding', 'extrinsic', value, `it is no name of the ${spec.binding}${has}`)]
}

function requiredOutcomes({ required, spec }: Policy, names: AskedNames, facts: Facts): RuleOutcome[] {
  return nameKinds.flatMap((kind) =>
    expand(required[kind], facts).map(({ template, expansion }) => {
      const value = `${kind} ${template.text}`
      const wildcards = spec.names.allowWildcardNames === true
      const isThere = names[kind].some((name) =>
        expansion.texts.some((text) => matchesName(kind, text, name, wildcards)),
      )
      const isSettled = expansion.origin === 'attested' && expansion.missing.length === 0
      const nature = isSettled ? 'intrinsic' : 'extrinsic'
      return isThere
        ? passed('names.required', value, 'it is asked for', { nature })
        : failed('names.required', nature, value, ['it is not asked for', ...expansion.missing].join('; '))
    }),
  )
}
