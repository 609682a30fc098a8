/** The type of a value in an expression, as far as it is known before it is evaluated. */
export type RuleType =
  | 'string'
  | 'int'
  | 'bool'
  /** Anything; checked when it is evaluated. */
  | 'dyn'
  | { readonly list: RuleType }
  | { readonly map: RuleType }
  | { readonly fields: Readonly<Record<string, RuleType>> }
  /** A type of the language that no variable has, such as `double`. */
  | { readonly other: string }

const strings: RuleType = { list: 'string' }
const texts: RuleType = { map: 'string' }

/** What every expression may look at. Everything in `labels` and `annotations` is as its object's author wrote it. */
export const ruleVariables = {
  request: {
    fields: {
      kind: 'string',
      name: 'string',
      namespace: 'string',
      username: 'string',
      groups: strings,
      signerName: 'string',
      issuerName: 'string',
      issuerKind: 'string',
      issuerGroup: 'string',
      commonName: 'string',
      dnsNames: strings,
      ipAddresses: strings,
      uris: strings,
      emailAddresses: strings,
      organizations: strings,
      organizationalUnits: strings,
      countries: strings,
      localities: strings,
      provinces: strings,
      streetAddresses: strings,
      postalCodes: strings,
      serialNumber: 'string',
      usages: strings,
      keyAlgorithm: 'string',
      keySize: 'int',
      durationSeconds: 'int',
    },
  },
  pod: {
    fields: {
      name: 'string',
      namespace: 'string',
      uid: 'string',
      nodeName: 'string',
      hostNetwork: 'bool',
      labels: texts,
      annotations: texts,
    },
  },
  serviceAccount: { fields: { name: 'string', namespace: 'string', labels: texts, annotations: texts } },
  // `namespace` is a reserved word of the language; Kubernetes' own admission policies have the same name for it.
  namespaceObject: { fields: { name: 'string', labels: texts, annotations: texts } },
} as const satisfies Readonly<Record<string, RuleType>>

export type RuleVariable = keyof typeof ruleVariables

/** @returns such as `list(string)` */
export function formatType(type: RuleType): string {
  if (typeof type === 'string') return type
  if ('list' in type) return `list(${formatType(type.list)})`
  if ('map' in type) return `map(string, ${formatType(type.map)})`
  return 'other' in type ? type.other : 'object'
}

/** Whether a value of one type may stand where another is wanted; what is not known may. */
export function fits(given: RuleType, wanted: RuleType): boolean {
  if (given === 'dyn' || wanted === 'dyn') return true
  if (typeof given === 'string' || typeof wanted === 'string') return given === wanted
  if ('list' in given && 'list' in wanted) return fits(given.list, wanted.list)
  // An object of known fields is a map to the language.
  if (('map' in given || 'fields' in given) && ('map' in wanted || 'fields' in wanted)) return true
  return 'other' in given && 'other' in wanted && given.other === wanted.other
}
