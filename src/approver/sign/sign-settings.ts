import * as v from 'valibot'
import { child, type Field, isObject } from '../../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../../manifest/problem.ts'
import { DurationError, parseGoDuration } from '../../runtime/go-duration.ts'
import { keyUsages } from '../../x509/key-usage.ts'
import { schemaProblems } from '../policy/schema-problems.ts'
import type { SignerDescription } from './running-signer.ts'
import { refreshMargin } from './pod-request.ts'
import { defaultUsages } from './signer-profile.ts'

/** What is signed where nothing is said, in Go's form. */
const defaultLongest = '24h'

const text = v.pipe(v.string(), v.minLength(1, 'must not be empty'))

const signerName = v.pipe(
  text,
  v.maxLength(571, 'must not be longer than 571 characters'),
  v.regex(
    /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+\/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/,
    'must be a signer such as example.com/serving',
  ),
  v.check(
    (name) => !/^(?:[^/]*\.)?kubernetes\.io\//.test(name),
    'must not be under kubernetes.io, whose signers are its own',
  ),
)

const duration = v.pipe(v.string(), v.check(isLifetime, 'must be a duration from 10m on, such as 24h'))

/** The least that a request may ask for (certificates.k8s.io/v1 expirationSeconds), and the soonest refresh. */
const shortest = refreshMargin

function isLifetime(value: string): boolean {
  try {
    return parseGoDuration(value) >= shortest
  } catch (error) {
    if (error instanceof DurationError) return false
    throw error
  }
}

const reserved: readonly string[] = ['any', 'cert sign', 'crl sign']

const usage = v.pipe(
  v.picklist(keyUsages),
  v.check((one) => !reserved.includes(one), `must be a usage of leaves: none of ${reserved.join(', ')}`),
)

const labels = v.record(v.string(), v.string())

const settingsSchema = v.strictObject({
  signers: v.pipe(
    v.array(
      v.strictObject({
        name: signerName,
        ca: v.strictObject({
          secret: v.optional(v.strictObject({ namespace: text, name: text })),
          files: v.optional(v.strictObject({ certificate: text, key: text, root: v.optional(text) })),
        }),
        usages: v.optional(v.pipe(v.array(usage), v.minLength(1, 'must not be empty: leave it out'))),
        longest: v.optional(duration),
        refreshAfter: v.optional(duration),
        configMaps: v.optional(
          v.strictObject({
            name: text,
            key: v.optional(text),
            namespaces: v.strictObject({ matchLabels: labels }),
          }),
        ),
      }),
    ),
    v.minLength(1, 'must name a signer'),
  ),
})

/**
 * Reads the document that describes the signers.
 *
 * @returns the descriptions, or everything that is wrong, each with its place
 */
export function readSignSettings(document: Field): {
  readonly signers: readonly SignerDescription[]
  readonly problems: readonly Problem[]
} {
  const found = [...schemaProblems(settingsSchema, document, ''), ...furtherProblems(document)]
  if (found.length > 0) return { signers: [], problems: inReadingOrder(found) }
  const { signers } = v.parse(settingsSchema, document.value)
  return { signers: signers.map(describe), problems: [] }
}

type SignerSettings = v.InferOutput<typeof settingsSchema>['signers'][number]

function describe(settings: SignerSettings): SignerDescription {
  const { name, ca, usages, longest = defaultLongest, refreshAfter, configMaps } = settings
  const { secret, files } = ca
  const place = secret === undefined ? { files: files ?? { certificate: '', key: '' } } : { secret }
  const selector = Object.entries(configMaps?.namespaces.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`)
  return {
    profile: {
      signerName: name,
      usages: usages ?? defaultUsages,
      longest: parseGoDuration(longest),
      ...(refreshAfter !== undefined && { refreshAfter: parseGoDuration(refreshAfter) }),
    },
    ca: place,
    configMaps: configMaps && {
      name: configMaps.name,
      key: configMaps.key ?? 'ca.crt',
      labelSelector: selector.join(','),
    },
  }
}

/** What goes together cannot be said in the schema. */
function furtherProblems(document: Field): Problem[] {
  const list = child(document, 'signers')
  if (!Array.isArray(list.value)) return []
  const seen = new Set<unknown>()
  return (list.value as readonly unknown[]).flatMap((signer, index) => {
    if (!isObject(signer)) return []
    const field = child(list, index)
    const problems: Problem[] = []
    const { name, ca } = signer
    if (seen.has(name))
      problems.push({ location: child(field, 'name').location, message: `${field.path}.name is that of two signers` })
    seen.add(name)
    if (isObject(ca) && (ca['secret'] === undefined) === (ca['files'] === undefined)) {
      problems.push({
        location: child(field, 'ca').location,
        message: `${field.path}.ca must be either secret or files`,
      })
    }
    return problems
  })
}
