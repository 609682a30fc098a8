/** The prefix of every attribute that a pod author sets, whatever name the driver itself runs under. */
export const attributePrefix = 'csi.cert-manager.io/'

/** The prefix of what the kubelet adds, when the CSIDriver object asks for it (podInfoOnMount, tokenRequests). */
export const kubeletPrefix = 'csi.storage.k8s.io/'

/** Every attribute, without its prefix. */
export const attributeNames = [
  'issuer-name',
  'issuer-kind',
  'issuer-group',
  'common-name',
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
  'layout',
  'fs-group',
  'renew-before',
  'disable-auto-renew',
  'reuse-private-key',
] as const

export type AttributeName = (typeof attributeNames)[number]

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
  readonly problems: AttributeProblem[] = []
  readonly warnings: AttributeProblem[] = []

  constructor(context: Readonly<Record<string, string>>) {
    this.#context = context
  }

  /** The attribute's text; undefined where it is absent or empty, which is the same (as with the Go driver). */
  text(name: AttributeName): string | undefined {
    const value = this.#context[attributePrefix + name]
    return value === undefined || value === '' ? undefined : value
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

/** The part of a volume context that may be stored: nothing that the kubelet or an author hands over in secret. */
export function sanitizeContext(context: Readonly<Record<string, string>>): Record<string, string> {
  const secret = (key: string): boolean => key === kubeletKeys.tokens || /password/i.test(key)
  return Object.fromEntries(Object.entries(context).filter(([key]) => !secret(key)))
}
