import { DurationError, parseGoDuration } from '../runtime/go-duration.ts'

/** The prefix of every attribute that a pod author sets, whatever name the driver itself runs under. */
export const attributePrefix = 'csi.cert-manager.io/'

/** The prefix of what the kubelet adds, when the CSIDriver object asks for it (podInfoOnMount, tokenRequests). */
export const kubeletPrefix = 'csi.storage.k8s.io/'

/** What makes a subject where it is not written as a whole, and may hold variables. */
export const expandedSubjectParts = [
  'common-name',
  'organizations',
  'organizationalunits',
  'countries',
  'provinces',
  'localities',
  'streetaddresses',
  'postalcodes',
] as const

/** What makes a subject where it is not written as a whole. */
export const subjectParts = [...expandedSubjectParts, 'serialnumber'] as const

/** Every attribute, without its prefix. */
export const attributeNames = [
  'issuer-name',
  'issuer-kind',
  'issuer-group',
  'literal-subject',
  ...subjectParts,
  'dns-names',
  'ip-sans',
  'uri-sans',
  'email-sans',
  'other-names',
  'duration',
  'is-ca',
  'key-usages',
  'encode-usages-in-request',
  'name-constraints-critical',
  'name-constraints-permitted-dns',
  'name-constraints-permitted-ip',
  'name-constraints-permitted-email',
  'name-constraints-permitted-uri',
  'name-constraints-excluded-dns',
  'name-constraints-excluded-ip',
  'name-constraints-excluded-email',
  'name-constraints-excluded-uri',
  'signature-algorithm',
  'key-algorithm',
  'key-size',
  'key-encoding',
  'reuse-private-key',
  'certificate-file',
  'privatekey-file',
  'ca-file',
  'credential-bundle-file',
  'additional-output-formats',
  'pkcs12-enable',
  'pkcs12-filename',
  'pkcs12-truststore-filename',
  'pkcs12-password',
  'pkcs12-profile',
  'jks-enable',
  'jks-filename',
  'jks-truststore-filename',
  'jks-password',
  'jks-alias',
  'layout',
  'fs-group',
  'renew-before',
  'renew-before-percentage',
  'renewal-windows',
  'disable-auto-renew',
] as const

export type AttributeName = (typeof attributeNames)[number]

/** Other spellings that documents promise, or that cert-manager's own field has, with the attribute that each stands for. */
export const attributeAliases: ReadonlyMap<string, AttributeName> = new Map([
  ['email-addresses', 'email-sans'],
  ['keystore-pkcs12-enable', 'pkcs12-enable'],
  ['keystore-pkcs12-filename', 'pkcs12-filename'],
  ['keystore-pkcs12-password', 'pkcs12-password'],
  ['keystore-pkcs12-profile', 'pkcs12-profile'],
])

const knownKeys: ReadonlySet<string> = new Set(
  [...attributeNames, ...attributeAliases.keys()].map((name) => attributePrefix + name),
)

/** Whether a full key is that of an attribute, in either spelling. */
export function isKnownKey(key: string): boolean {
  return knownKeys.has(key)
}

/** The keys that the kubelet sets. */
export const kubeletKeys = {
  podName: `${kubeletPrefix}pod.name`,
  podNamespace: `${kubeletPrefix}pod.namespace`,
  podUid: `${kubeletPrefix}pod.uid`,
  serviceAccount: `${kubeletPrefix}serviceAccount.name`,
  ephemeral: `${kubeletPrefix}ephemeral`,
  tokens: `${kubeletPrefix}serviceAccount.tokens`,
} as const

/** Something wrong, or odd, with one attribute. The message never holds a password or a token. */
export interface AttributeProblem {
  /** The full key, as the pod author writes it. */
  readonly attribute: string
  readonly message: string
}

/** How much is told of one volume, and how long each text may be: who writes a pod could else fill the node's log and its events. */
export const mostNotes = 50
const longestNote = 1000

function note(notes: AttributeProblem[], attribute: string, message: string): void {
  const cut = (text: string): string => (text.length > longestNote ? `${text.slice(0, longestNote - 1)}…` : text)
  if (notes.length < mostNotes) notes.push({ attribute: cut(attribute), message: cut(message) })
}

/** Collects what is wrong while a volume's attributes are read, so that all of it comes in one answer. */
export class AttributeReader {
  readonly #context: Readonly<Record<string, string>>
  /** What was given under another spelling. */
  readonly #aliased = new Map<AttributeName, string>()
  readonly problems: AttributeProblem[] = []
  readonly warnings: AttributeProblem[] = []

  constructor(context: Readonly<Record<string, string>>) {
    this.#context = context
    for (const [alias, name] of attributeAliases) this.#readAlias(alias, name)
  }

  /** Neither text quotes a value: one of them may be a password. */
  #readAlias(alias: string, name: AttributeName): void {
    const value = this.#given(alias)
    if (value === undefined) return
    const named = this.#given(name)
    if (named !== undefined && named !== value) {
      this.problem(name, `differs from ${attributePrefix}${alias}, which means the same: leave that one out`)
    } else {
      this.warningOfKey(attributePrefix + alias, `another spelling of ${attributePrefix}${name}: better write that`)
    }
    this.#aliased.set(name, value)
  }

  #given(name: string): string | undefined {
    return this.#context[attributePrefix + name] || undefined
  }

  /** The attribute's text; undefined where it is absent or empty, which is the same (as with the Go driver). */
  text(name: AttributeName): string | undefined {
    return this.#given(name) ?? this.#aliased.get(name)
  }

  /** Notes what is wrong with an attribute. */
  problem(name: AttributeName, message: string): void {
    this.problemOfKey(attributePrefix + name, message)
  }

  /** Notes what is wrong with any key. */
  problemOfKey(key: string, message: string): void {
    note(this.problems, key, message)
  }

  /** Notes what is odd, but goes. */
  warning(name: AttributeName, message: string): void {
    this.warningOfKey(attributePrefix + name, message)
  }

  /** Notes what is odd about any key. */
  warningOfKey(key: string, message: string): void {
    note(this.warnings, key, message)
  }

  /** Exactly `true` or `false`; false where absent. */
  flag(name: AttributeName): boolean {
    const value = this.text(name)
    if (value === undefined || value === 'false') return false
    if (value !== 'true') this.problem(name, `invalid value ${JSON.stringify(value)}: must be "true" or "false"`)
    return true
  }

  /** A duration in Go's grammar that is longer than 0, in milliseconds; undefined where absent or wrong. */
  duration(name: AttributeName): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    try {
      const duration = parseGoDuration(text)
      if (duration > 0) return duration
      this.problem(name, `invalid value ${JSON.stringify(text)}: must be longer than 0`)
    } catch (error) {
      if (!(error instanceof DurationError)) throw error
      const form = 'must be a duration such as 720h or 1h30m'
      this.problem(name, `invalid value ${JSON.stringify(text)}: ${form}: ${error.message}`)
    }
    return undefined
  }

  /** One of a few words, in any case; `fallback` where absent or wrong. */
  choice<const Choice extends string, Fallback extends Choice | undefined>(
    name: AttributeName,
    choices: readonly Choice[],
    fallback: Fallback,
  ): Choice | Fallback {
    const value = this.text(name)
    if (value === undefined) return fallback
    const found = choices.find((choice) => choice.toLowerCase() === value.toLowerCase())
    if (found !== undefined) return found
    const allowed = choices.map((choice) => JSON.stringify(choice)).join(', ')
    this.problem(name, `unsupported value ${JSON.stringify(value)}: supported values are ${allowed}`)
    return fallback
  }

  /** A list separated by commas, trimmed, empty items dropped. */
  list(name: AttributeName): readonly string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }
}

/** A decimal number without a fraction, as Go's strconv.Atoi reads it but for a minus; undefined for any other text. */
export function wholeNumber(text: string): number | undefined {
  return /^\+?\d{1,15}$/.test(text) ? Number(text) : undefined
}
