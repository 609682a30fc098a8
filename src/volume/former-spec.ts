import { DurationError, parseGoDuration } from '../runtime/go-duration.ts'
import {
  type AttributeName,
  attributePrefix,
  type AttributeProblem,
  kubeletKeys,
  subjectParts,
  wholeNumber,
} from './attributes.ts'
import { dnsNameProblem, uriProblem, withLowerScheme } from './alternative-names.ts'
import { expand } from './expand.ts'
import { parseVolumeSpec, type SpecDefaults, type VolumeSpecResult } from './spec.ts'

/** The attributes of cert-manager's csi-driver. Whatever else has the prefix it passes over without a word. */
const knownToGo: ReadonlySet<string> = new Set(
  (
    [
      'issuer-name',
      'issuer-kind',
      'issuer-group',
      'literal-subject',
      ...subjectParts,
      'dns-names',
      'ip-sans',
      'uri-sans',
      'duration',
      'is-ca',
      'key-usages',
      'key-algorithm',
      'key-size',
      'key-encoding',
      'certificate-file',
      'privatekey-file',
      'ca-file',
      'fs-group',
      'renew-before',
      'reuse-private-key',
      'pkcs12-enable',
      'pkcs12-filename',
      'pkcs12-password',
    ] as const satisfies readonly AttributeName[]
  ).map((name) => attributePrefix + name),
)

type Variables = Readonly<Record<string, string>>

/** The four variables of the Go driver. */
function goVariables(context: Readonly<Record<string, string>>): Variables {
  return {
    POD_NAME: context[kubeletKeys.podName] ?? '',
    POD_NAMESPACE: context[kubeletKeys.podNamespace] ?? '',
    POD_UID: context[kubeletKeys.podUid] ?? '',
    SERVICE_ACCOUNT_NAME: context[kubeletKeys.serviceAccount] ?? '',
  }
}

/** An attribute's text as it is read instead, undefined for not at all, and what that means, for people. */
interface Mended {
  readonly text: string | undefined
  readonly meaning: string
}

/** Undefined for what the Go driver refuses as well. */
type Remedy = (text: string, variables: Variables) => Mended | undefined

/**
 * What to make of the attributes that the Go driver takes and that are refused here (docs/csi-driver-compatibility.md): its own
 * meaning where it has one, else nothing.
 */
const remedies: ReadonlyMap<string, Remedy> = new Map<string, Remedy>([
  ['duration', (text) => (isGoDuration(text) ? { text: undefined, meaning: 'the default is used' } : undefined)],
  [
    'renew-before',
    (text) => (isGoDuration(text) ? { text: undefined, meaning: 'a third of the lifetime is used' } : undefined),
  ],
  // To chown(2) it means "leave it as it is".
  [
    'fs-group',
    (text) => (wholeNumber(text) === 2 ** 32 - 1 ? { text: undefined, meaning: 'it has no effect' } : undefined),
  ],
  ['dns-names', (text, variables) => mendItems(text, variables, (name) => name, dnsNameProblem)],
  ['uri-sans', (text, variables) => mendItems(text, variables, escapeUri, uriProblem)],
])

/**
 * Reads the attributes of a volume that cert-manager's csi-driver has published. Its pod runs and relies on being renewed, so what
 * {@link parseVolumeSpec} refuses is taken as the Go driver took it, where that is clear, and told as a warning.
 *
 * @param context - the volume context, with its passwords
 * @returns a volume, or what is wrong where no meaning is clear
 */
export function parseFormerSpec(context: Readonly<Record<string, string>>, defaults: SpecDefaults): VolumeSpecResult {
  // What is refused to new volumes was served when this pod was started.
  const lenient = { ...defaults, requireSan: false }
  const strict = parseVolumeSpec(context, lenient)
  if (strict.ok) return strict

  const [known, passedOver] = withoutUnknown(context, strict.problems)
  const asKnown = parseVolumeSpec(known, lenient)
  if (asKnown.ok) return { ...asKnown, warnings: [...passedOver, ...asKnown.warnings] }

  const [mended, notes] = withRemedies(known, asKnown.problems)
  const asMended = parseVolumeSpec(mended, lenient)
  if (!asMended.ok) return asMended
  return { ...asMended, warnings: [...passedOver, ...notes, ...asMended.warnings] }
}

type Outcome = readonly [context: Readonly<Record<string, string>>, notes: readonly AttributeProblem[]]

/** Leaves out what the Go driver does not know, and tells of what was given with an error. */
function withoutUnknown(context: Readonly<Record<string, string>>, problems: readonly AttributeProblem[]): Outcome {
  const isUnknown = (key: string): boolean => key.startsWith(attributePrefix) && !knownToGo.has(key)
  const notes = Object.keys(context)
    .filter(isUnknown)
    .map((attribute) => {
      const found = problems.find((problem) => problem.attribute === attribute)
      const message = 'is passed over, as the Go csi-driver did, until the pod is restarted'
      return { attribute, message: found === undefined ? message : `${message}: ${found.message}` }
    })
  return [Object.fromEntries(Object.entries(context).filter(([key]) => !isUnknown(key))), notes]
}

function withRemedies(context: Readonly<Record<string, string>>, problems: readonly AttributeProblem[]): Outcome {
  const variables = goVariables(context)
  const mended: Record<string, string> = { ...context }
  const notes = new Map<string, AttributeProblem>()
  for (const { attribute, message } of problems) {
    const text = context[attribute]
    const remedy = remedies.get(attribute.slice(attributePrefix.length))
    if (text === undefined || remedy === undefined || notes.has(attribute)) continue
    // The Go driver has none of these either.
    if (expand(text, variables).unknown.length > 0) continue
    const found = remedy(text, variables)
    if (found === undefined) continue
    if (found.text === undefined) delete mended[attribute]
    else mended[attribute] = found.text
    notes.set(attribute, { attribute, message: `${message}; until the pod is restarted ${found.meaning}` })
  }
  return [mended, [...notes.values()]]
}

function isGoDuration(text: string): boolean {
  try {
    parseGoDuration(text)
    return true
  } catch (error) {
    if (!(error instanceof DurationError)) throw error
    return false
  }
}

/** Writes each item so that it is accepted, and leaves out those for which that cannot be. */
function mendItems(
  text: string,
  variables: Variables,
  write: (item: string) => string,
  problemOf: (item: string) => string | undefined,
): Mended {
  const items = text.split(',').map((item) => write(expand(item.trim(), variables).text))
  const sound = items.filter((item) => problemOf(item) === undefined)
  const meaning = sound.length === items.length ? 'it is written with escapes' : 'what no peer would match is left out'
  return { text: sound.length === 0 ? undefined : sound.join(','), meaning }
}

/** Escapes what RFC 3986 lacks, as Go's net/url does when it writes what it has read. */
function escapeUri(uri: string): string {
  return withLowerScheme(uri)
    .toWellFormed()
    .replaceAll(/[^\w.~:/?#[\]@!$&'()*+,;=%-]+/g, (odd) => encodeURIComponent(odd))
}
