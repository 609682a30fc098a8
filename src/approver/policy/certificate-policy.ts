import * as v from 'valibot'
import { DurationError, parseGoDuration } from '../../runtime/go-duration.ts'
import { keyUsages } from '../../x509/key-usage.ts'
import { nameKinds, type NameKind } from '../request/asked-names.ts'
import { requestKinds } from '../request/request-object.ts'

/** Where the kind lives. */
export const policyApi = { group: 'podpass.io', version: 'v1alpha1', kind: 'CertificatePolicy' } as const
export const policyApiVersion = `${policyApi.group}/${policyApi.version}`

/** Which attested facts the names of a request must derive from. */
export const bindings = ['pod', 'serviceAccount', 'node', 'none'] as const
export type Binding = (typeof bindings)[number]

/** Bounds keep a policy cheap to look at, and are the same in the CRD. */
export const policyBounds = { items: 64, text: 512, rules: 32, tests: 64, expression: 2048 } as const

const text = v.pipe(
  v.string(),
  v.minLength(1, 'must not be empty'),
  v.maxLength(policyBounds.text, `must not be longer than ${policyBounds.text} characters`),
)

function listOf<const Item extends v.GenericSchema>(item: Item) {
  return v.pipe(v.array(item), v.maxLength(policyBounds.items, `must not have more than ${policyBounds.items} items`))
}

function oneOrMore<const Item extends v.GenericSchema>(item: Item) {
  return v.pipe(listOf(item), v.minLength(1, 'must not be empty: leave it out'))
}

const duration = v.pipe(v.string(), v.check(isLifetime, 'must be a duration such as 90m or 24h'))

function isLifetime(value: string): boolean {
  try {
    return parseGoDuration(value) > 0
  } catch (error) {
    if (error instanceof DurationError) return false
    throw error
  }
}

const labels = v.record(v.string(), v.string())

/** Objects by name or by label; both must hold where both are given. */
const selector = v.strictObject({ names: v.optional(oneOrMore(text)), matchLabels: v.optional(labels) })

const signerName = v.pipe(
  text,
  v.regex(
    /^[a-z0-9.-]+\.[a-z0-9.-]+\/(?:[A-Za-z0-9.:-]+|\*)$/,
    'must be a signer such as example.com/serving, or all of a domain: example.com/*',
  ),
)

const requests = v.strictObject({
  kinds: v.optional(oneOrMore(v.picklist(requestKinds))),
  signerNames: v.optional(oneOrMore(signerName)),
  issuers: v.optional(oneOrMore(v.strictObject({ name: text, kind: v.optional(text), group: v.optional(text) }))),
  namespaces: v.optional(selector),
  serviceAccounts: v.optional(selector),
})

const subjects = v.strictObject({
  users: v.optional(oneOrMore(text)),
  groups: v.optional(oneOrMore(text)),
  serviceAccounts: v.optional(oneOrMore(v.strictObject({ namespace: text, name: text }))),
  mayUse: v.optional(v.literal(true)),
})

const nameLists = v.strictObject(
  Object.fromEntries(nameKinds.map((kind) => [kind, v.optional(listOf(text))])) as Record<
    NameKind,
    v.OptionalSchema<ReturnType<typeof listOf<typeof text>>, undefined>
  >,
)

const names = v.strictObject({
  allowed: v.optional(nameLists),
  required: v.optional(nameLists),
  allowBareNames: v.optional(v.boolean()),
  allowPodIPs: v.optional(v.boolean()),
  allowWildcardNames: v.optional(v.boolean()),
})

const algorithms = ['RSA', 'ECDSA', 'Ed25519'] as const
const size = v.pipe(
  v.number(),
  v.integer('must be a whole number'),
  v.minValue(1, 'must be 1 or more'),
  v.maxValue(16_384, 'must be 16384 or less'),
)
const key = v.strictObject({ algorithm: v.picklist(algorithms), minSize: v.optional(size), maxSize: v.optional(size) })

const issue = v.strictObject({
  commonName: v.optional(text),
  organizations: v.optional(oneOrMore(text)),
  organizationalUnits: v.optional(oneOrMore(text)),
  dnsNames: v.optional(oneOrMore(text)),
  uris: v.optional(oneOrMore(text)),
  usages: oneOrMore(v.picklist(keyUsages)),
  userAnnotations: v.optional(oneOrMore(text)),
})

const rule = v.strictObject({
  name: text,
  expression: v.pipe(
    v.string(),
    v.minLength(1, 'must not be empty'),
    v.maxLength(policyBounds.expression, `must not be longer than ${policyBounds.expression} characters`),
  ),
  message: v.optional(text),
})

/** A request as its author would make it, and what becomes of it: checked by `podpass approver check`, ignored by the approver. */
const policyTest = v.strictObject({
  name: text,
  request: v.strictObject({
    kind: v.optional(v.picklist(requestKinds)),
    signerName: v.optional(signerName),
    issuer: v.optional(v.strictObject({ name: text, kind: v.optional(text), group: v.optional(text) })),
    namespace: v.optional(text),
    pod: v.optional(text),
    serviceAccount: v.optional(text),
    user: v.optional(text),
    groups: v.optional(oneOrMore(text)),
    commonName: v.optional(text),
    organizations: v.optional(oneOrMore(text)),
    dnsNames: v.optional(oneOrMore(text)),
    ipAddresses: v.optional(oneOrMore(text)),
    uris: v.optional(oneOrMore(text)),
    emailAddresses: v.optional(oneOrMore(text)),
    usages: v.optional(oneOrMore(v.picklist(keyUsages))),
    duration: v.optional(duration),
    key: v.optional(v.strictObject({ algorithm: v.picklist(algorithms), size: v.optional(size) })),
  }),
  objects: v.optional(listOf(v.looseObject({ kind: text }))),
  expect: v.picklist(['approve', 'deny', 'wait', 'leave alone']),
})

export const policySpecSchema = v.strictObject({
  requests,
  binding: v.optional(v.picklist(bindings), 'pod'),
  subjects: v.optional(subjects),
  names: v.optional(names, {}),
  keys: v.optional(oneOrMore(key)),
  usages: v.optional(oneOrMore(v.picklist(keyUsages))),
  duration: v.optional(v.strictObject({ min: v.optional(duration), max: v.optional(duration) })),
  issue: v.optional(issue),
  rules: v.optional(
    v.pipe(v.array(rule), v.maxLength(policyBounds.rules, `must not have more than ${policyBounds.rules} items`)),
  ),
  neverDeny: v.optional(v.boolean(), false),
  tests: v.optional(
    v.pipe(v.array(policyTest), v.maxLength(policyBounds.tests, `must not have more than ${policyBounds.tests} items`)),
  ),
})

/** The object as files and the API server hold it. `metadata` beyond the name, and `status`, are nobody's business here. */
export const policySchema = v.strictObject({
  apiVersion: v.literal(policyApiVersion, `must be ${policyApiVersion}`),
  kind: v.literal(policyApi.kind),
  metadata: v.looseObject({ name: text, generation: v.optional(v.number()) }),
  spec: policySpecSchema,
  status: v.optional(v.unknown()),
})

/** What a CertificatePolicy says, with its defaults. */
export type CertificatePolicySpec = v.InferOutput<typeof policySpecSchema>
export type CertificatePolicy = v.InferOutput<typeof policySchema>
export type PolicyTest = v.InferOutput<typeof policyTest>
export type PolicySubjects = v.InferOutput<typeof subjects>
export type PolicySelector = v.InferOutput<typeof selector>
