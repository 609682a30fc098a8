import { parseGoDuration } from '../runtime/go-duration.ts'
import type { KeyUsage } from '../x509/key-usage.ts'
import type { PodCertificateRequest } from '../kubernetes/certificates.ts'
import { accountNames } from './names/account-names.ts'
import type { Facts } from './names/fact.ts'
import { expandNameTemplate } from './names/name-template.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import type { Policy } from './policy/policy.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'
import { type AskedNames, forEachKind, formatName } from './request/asked-names.ts'
import { nameFaults } from './request/name-faults.ts'
import { buildSubject } from '../x509/name.ts'

/** What a PodCertificateRequest is granted: it asks for nothing but a key, so its policy says the rest. */
export interface GrantedNames {
  readonly names: AskedNames
  readonly usages: readonly KeyUsage[]
  /** The longest that the leaf may live, milliseconds. */
  readonly longest: number
}

/** The server's own default (KEP-4317). */
const defaultLongest = 86_400_000

/**
 * Makes the names that a policy issues to a pod. A template that gives nothing yet leaves the request waiting: a certificate with a
 * part of its names would be taken for the whole one.
 */
export function issueNames(
  policy: Policy,
  { spec }: PodCertificateRequest,
  asked: AskedCertificate,
  facts: Facts,
): { readonly granted: GrantedNames | undefined; readonly outcomes: readonly RuleOutcome[] } {
  const { issue } = policy
  const said = policy.spec.issue
  if (issue === undefined || said === undefined) {
    return { granted: undefined, outcomes: [failed('issue', 'intrinsic', '', 'the policy issues no names')] }
  }
  const expanded = issue.names.map((template) => ({ template, expansion: expandNameTemplate(template, facts) }))
  const outcomes = expanded.map(({ template, expansion: { texts, origin, missing } }) => {
    const nature = origin === 'attested' && missing.length === 0 ? 'intrinsic' : 'extrinsic'
    const more = origin === 'written' ? { isUserControlled: true as const } : {}
    const value = texts.map((text) => formatName(template.kind, text)).join(', ')
    return texts.length === 0 || missing.length > 0
      ? failed('issue.names', 'extrinsic', template.text, ['it gives no name yet', ...missing].join('; '), more)
      : passed('issue.names', value, `${template.text} gives it`, { nature, ...more })
  })
  const names = forEachKind((kind) => [
    ...new Set(expanded.filter(({ template }) => template.kind === kind).flatMap(({ expansion }) => expansion.texts)),
  ])
  const faults = nameFaults({
    subject: buildSubject({
      commonName: names.commonNames[0],
      organizations: names.organizations,
      organizationalUnits: names.organizationalUnits,
    }),
    names: { dns: names.dnsNames, ip: [], uri: names.uris, email: [] },
  }).map(({ value, why }) => failed('issue.names', 'extrinsic', value, why))
  // Facts made them so, and may change: it is no fault of the request.
  const accounts = accountNames(names).map((name) =>
    failed('names.reserved', 'extrinsic', name, 'names under "system:" are accounts of Kubernetes'),
  )
  const longest = Math.min(asked.duration ?? defaultLongest, ...limitOf(policy))
  return {
    granted: { names, usages: said.usages, longest },
    outcomes: [...outcomes, ...faults, ...accounts, ...annotationOutcomes(spec, said.userAnnotations)],
  }
}

function limitOf({ spec }: Policy): number[] {
  return spec.duration?.max === undefined ? [] : [parseGoDuration(spec.duration.max)]
}

/** Nothing has checked them, so that a key which no policy lists may be there to be believed (KEP-4317). */
function annotationOutcomes(
  { unverifiedUserAnnotations = {} }: PodCertificateRequest['spec'],
  allowed: readonly string[] = [],
): RuleOutcome[] {
  const keys = Object.keys(unverifiedUserAnnotations)
  const other = keys.filter((key) => !allowed.includes(key))
  if (keys.length === 0) return []
  return other.length === 0
    ? [
        passed('issue.userAnnotations', keys.join(', '), 'the policy knows them; no name comes of them', {
          isUserControlled: true,
        }),
      ]
    : [failed('issue.userAnnotations', 'intrinsic', other.join(', '), 'the policy does not know them')]
}
