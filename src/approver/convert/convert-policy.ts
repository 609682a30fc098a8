import type { CertificatePolicySpec } from '../policy/certificate-policy.ts'
import type { NameKind } from '../request/asked-names.ts'
import { convertObjectPattern, convertPattern } from './convert-patterns.ts'
import type { ForeignPolicySpec } from './foreign-policy.ts'

/** Something that is not the same in the policy that comes out. */
export interface ConversionNote {
  /** An error: without it the policy would be weaker, so there is none. A warning: it is stricter, or needs something beside it. */
  readonly is: 'error' | 'warning'
  /** The steps to the field of the foreign policy. */
  readonly at: readonly (string | number)[]
  readonly message: string
}

/** A converted policy, not yet checked. */
export interface Conversion {
  readonly spec: Partial<CertificatePolicySpec>
  readonly notes: readonly ConversionNote[]
}

type Note = (is: ConversionNote['is'], at: readonly (string | number)[], message: string) => void
type Rule = NonNullable<CertificatePolicySpec['rules']>[number]

/** What is never approved, whoever allows it. */
const neverAllowed: ReadonlySet<string> = new Set(['any', 'cert sign', 'crl sign'])

/**
 * Says the same in our words as a CertificateRequestPolicy does, or less, and tells where it is less: never more. The policy that
 * comes out is for whoever RBAC lets `use` it, and its names alone decide, as in approver-policy.
 */
export function convertPolicy(foreign: ForeignPolicySpec): Conversion {
  const notes: ConversionNote[] = []
  const note: Note = (is, at, message) => void notes.push({ is, at, message })
  note(
    'warning',
    [],
    'grant the verb use on certificatepolicies.podpass.io where it is granted on certificaterequestpolicies',
  )
  for (const plugin of Object.keys(foreign.plugins)) {
    note('error', ['plugins', plugin], 'is a condition that cannot be carried over: say it as a rule')
  }
  const { allowed, rules } = convertNames(foreign, note)
  const keys = convertKeys(foreign, note)
  const duration = convertDuration(foreign)
  const spec: Partial<CertificatePolicySpec> = {
    requests: convertSelector(foreign, note),
    binding: 'none',
    subjects: { mayUse: true },
    names: { allowed },
    ...(keys && { keys }),
    usages: convertUsages(foreign, note),
    ...(duration && { duration }),
    ...(rules.length > 0 && { rules }),
  }
  return { spec, notes }
}

function convertSelector({ selector }: ForeignPolicySpec, note: Note): CertificatePolicySpec['requests'] {
  const { name = '*', kind = '*', group = '*' } = selector.issuerRef ?? {}
  const patterns = (field: string, text: string): readonly string[] => {
    const converted = convertObjectPattern(text)
    if (converted === undefined) note('error', ['selector', 'issuerRef', field], 'has more than one asterisk')
    return converted ?? []
  }
  const [names, kinds, groups] = [patterns('name', name), patterns('kind', kind), patterns('group', group)]
  const issuers = names.flatMap((name) => kinds.flatMap((kind) => groups.map((group) => ({ name, kind, group }))))
  const { matchNames = [], matchLabels } = selector.namespace ?? {}
  const namespaces = matchNames.flatMap((text, index) => {
    const converted = convertObjectPattern(text)
    if (converted === undefined)
      note('error', ['selector', 'namespace', 'matchNames', index], 'has more than one asterisk')
    return converted ?? []
  })
  const hasLabels = Object.keys(matchLabels ?? {}).length > 0
  return {
    kinds: ['CertificateRequest'],
    issuers,
    ...((namespaces.length > 0 || hasLabels) && {
      namespaces: { ...(namespaces.length > 0 && { names: namespaces }), ...(hasLabels && { matchLabels }) },
    }),
  }
}

/** A field of names: what it allows, where it stands there, and how our expressions call it. */
interface ForeignNames {
  readonly kind: NameKind
  readonly at: readonly string[]
  readonly values: readonly string[] | undefined
  readonly required: boolean
  readonly validations: readonly { readonly rule: string; readonly message?: string | undefined }[]
  /** A list of all values that are asked for. */
  readonly expression: string
}

function foreignNames({ allowed }: ForeignPolicySpec): ForeignNames[] {
  const { subject = {} } = allowed
  const lists = [
    ...(['dnsNames', 'ipAddresses', 'uris', 'emailAddresses'] as const).map((kind) => ({
      kind,
      at: [kind],
      field: allowed[kind],
    })),
    ...(
      [
        'organizations',
        'organizationalUnits',
        'countries',
        'localities',
        'provinces',
        'streetAddresses',
        'postalCodes',
      ] as const
    ).map((kind) => ({ kind, at: ['subject', kind], field: subject[kind] })),
  ]
  const singles = [
    { kind: 'commonNames', at: ['commonName'], field: allowed.commonName, name: 'commonName' },
    { kind: 'serialNumbers', at: ['subject', 'serialNumber'], field: subject.serialNumber, name: 'serialNumber' },
  ] as const
  return [
    ...singles.flatMap(({ kind, at, field, name }) =>
      field === undefined
        ? []
        : [
            foreignName(
              kind,
              at,
              field,
              field.value === undefined ? undefined : [field.value],
              `[request.${name}].filter(one, one != "")`,
            ),
          ],
    ),
    ...lists.flatMap(({ kind, at, field }) =>
      field === undefined ? [] : [foreignName(kind, at, field, field.values, `request.${kind}`)],
    ),
  ]
}

function foreignName(
  kind: NameKind,
  at: readonly string[],
  {
    required = false,
    validations = [],
  }: { readonly required?: boolean | undefined; readonly validations?: ForeignNames['validations'] | undefined },
  values: readonly string[] | undefined,
  expression: string,
): ForeignNames {
  return { kind, at: ['allowed', ...at], values, required, validations, expression }
}

function convertNames(foreign: ForeignPolicySpec, note: Note) {
  const allowed: Partial<Record<NameKind, string[]>> = {}
  const rules: Rule[] = []
  for (const names of foreignNames(foreign)) {
    const patterns = allowedPatterns(names, note)
    if (patterns.length > 0) allowed[names.kind] = patterns
    rules.push(...convertRules(names))
  }
  const { isCA, subject = {}, otherNames = [] } = foreign.allowed
  if (isCA === true)
    note('warning', ['allowed', 'isCA'], 'is left out: no request for a certificate authority is approved')
  if (otherNames.length > 0)
    note('warning', ['allowed', 'otherNames'], 'is left out: requests with other names are refused')
  if ((subject.otherAttributes ?? []).length > 0) {
    note(
      'warning',
      ['allowed', 'subject', 'otherAttributes'],
      'is left out: requests with these attributes are refused',
    )
  }
  return { allowed, rules }
}

function allowedPatterns({ kind, at, values, validations }: ForeignNames, note: Note): string[] {
  // Without values, validations alone decide; a field with neither must be empty.
  const given = values ?? (validations.length > 0 ? ['*'] : [])
  const patterns = given
    .filter((text) => text !== '')
    .flatMap((text, index) => {
      const { patterns, narrower, problem } = convertPattern(kind, text)
      const place =
        values === undefined
          ? at
          : [
              ...at,
              kind === 'commonNames' || kind === 'serialNumbers' ? 'value' : 'values',
              ...(at.at(-1) === kind ? [index] : []),
            ]
      if (problem !== undefined) note('error', place, `${JSON.stringify(text)} ${problem}`)
      if (narrower !== undefined) note('warning', place, `${JSON.stringify(text)}: ${narrower}`)
      return patterns
    })
  return [...new Set(patterns)]
}

/** Their variables are `self`, one value, and `cr`, the request: loops over lists give both their names. */
function convertRules({ kind, at, required, validations, expression }: ForeignNames): Rule[] {
  const name = at.slice(1).join('.')
  const checks = validations.map(({ rule, message }, index) => ({
    name: `${name}-${index + 1}`,
    expression: `[request].all(cr, ${expression}.all(self, (${rule})))`,
    ...(message !== undefined && { message }),
  }))
  if (!required) return checks
  return [
    { name: `${name}-required`, expression: `${expression}.size() > 0`, message: `${kind} are required` },
    ...checks,
  ]
}

function convertUsages({ allowed }: ForeignPolicySpec, note: Note): CertificatePolicySpec['usages'] {
  const usages = (allowed.usages ?? []).filter((usage) => !neverAllowed.has(usage))
  const left = (allowed.usages ?? []).filter((usage) => neverAllowed.has(usage))
  if (left.length > 0) note('warning', ['allowed', 'usages'], `${left.join(', ')}: left out, they are never approved`)
  if (usages.length > 0) return usages
  note('error', ['allowed', 'usages'], 'allows none, which ours cannot say: name the usages that requests may have')
  return undefined
}

function convertDuration({ constraints }: ForeignPolicySpec): CertificatePolicySpec['duration'] {
  const { minDuration: min, maxDuration: max } = constraints
  if (min === undefined && max === undefined) return undefined
  return { ...(min !== undefined && { min }), ...(max !== undefined && { max }) }
}

function convertKeys({ constraints: { privateKey } }: ForeignPolicySpec, note: Note): CertificatePolicySpec['keys'] {
  if (privateKey === undefined) return undefined
  const { algorithm, minSize, maxSize } = privateKey
  const sizes = { ...(minSize !== undefined && { minSize }), ...(maxSize !== undefined && { maxSize }) }
  // To approver-policy an Ed25519 key has the size -1, which no smallest size lets pass.
  const ed25519 = minSize === undefined ? [{ algorithm: 'Ed25519' as const }] : []
  if (algorithm === 'Ed25519') {
    if (ed25519.length === 0)
      note('error', ['constraints', 'privateKey', 'minSize'], 'lets no Ed25519 key pass: leave it out')
    return ed25519
  }
  if (algorithm !== undefined) return [{ algorithm, ...sizes }]
  return [{ algorithm: 'RSA', ...sizes }, { algorithm: 'ECDSA', ...sizes }, ...ed25519]
}
