import { GeneralNameError } from '../x509/general-names.ts'
import type { KeySpec } from '../x509/key.ts'
import { canonicalUsage, type KeyUsage, keyUsages } from '../x509/key-usage.ts'
import { type NameConstraintItem, type NameConstraints, nameConstraintExtensions } from '../x509/name-constraints.ts'
import { type SignatureAlgorithmName, signatureAlgorithmNames, signatureAlgorithmsOf } from '../x509/signature.ts'
import type { AttributeName, AttributeReader } from './attributes.ts'
import { didYouMean } from '../runtime/did-you-mean.ts'

/** How a request is written, beside its key, subject and names. */
export interface RequestOptions {
  /** Undefined for what fits the key. */
  readonly signatureAlgorithm: SignatureAlgorithmName | undefined
  /** Whether the request itself names the usages, and not only the object around it. */
  readonly encodeUsages: boolean
  readonly nameConstraints: NameConstraints | undefined
}

export function readRequestOptions(
  reader: AttributeReader,
  algorithm: KeySpec['algorithm'],
  isCA: boolean,
): RequestOptions {
  return {
    signatureAlgorithm: readSignatureAlgorithm(reader, algorithm),
    encodeUsages: reader.flag('encode-usages-in-request'),
    nameConstraints: readNameConstraints(reader, isCA),
  }
}

function readSignatureAlgorithm(
  reader: AttributeReader,
  algorithm: KeySpec['algorithm'],
): SignatureAlgorithmName | undefined {
  const name = reader.choice('signature-algorithm', signatureAlgorithmNames, undefined)
  const fitting = signatureAlgorithmsOf(algorithm)
  if (name !== undefined && !fitting.includes(name)) {
    const allowed = fitting.join(', ')
    reader.problem('signature-algorithm', `invalid value "${name}": a key of ${algorithm} signs by ${allowed}`)
  }
  return name
}

/** Each kind of constraint with cert-manager's field. */
const constraintKinds = [
  ['dns', 'dnsDomains'],
  ['ip', 'ipRanges'],
  ['email', 'emailAddresses'],
  ['uri', 'uriDomains'],
] as const satisfies readonly (readonly [string, keyof NameConstraintItem])[]

/** As with cert-manager's validation, constraints are for CAs only, and `critical` alone constrains nothing. */
function readNameConstraints(reader: AttributeReader, isCA: boolean): NameConstraints | undefined {
  const permitted = readConstraints(reader, 'permitted')
  const excluded = readConstraints(reader, 'excluded')
  const critical = reader.flag('name-constraints-critical')
  const given = [...Object.values(permitted), ...Object.values(excluded)].some((items) => items.length > 0)
  if (!given && critical) {
    reader.problem('name-constraints-critical', 'nothing is constrained: name what is permitted or excluded')
  }
  if (!given) return undefined
  if (!isCA) reader.problem('is-ca', 'must be "true" where there are name constraints: only a CA has them')
  return { critical, permitted, excluded }
}

function readConstraints(reader: AttributeReader, side: 'permitted' | 'excluded'): NameConstraintItem {
  const item: { -readonly [Field in keyof NameConstraintItem]: NameConstraintItem[Field] } = {}
  for (const [kind, field] of constraintKinds) {
    const name = `name-constraints-${side}-${kind}` as const
    const values = reader.list(name)
    for (const value of values) reportConstraint(reader, name, { [field]: [value] })
    if (values.length > 0) item[field] = values
  }
  return item
}

function reportConstraint(reader: AttributeReader, name: AttributeName, permitted: NameConstraintItem): void {
  try {
    nameConstraintExtensions({ critical: false, permitted })
  } catch (error) {
    if (!(error instanceof GeneralNameError)) throw error
    reader.problem(name, `invalid value: ${error.message}`)
  }
}

/**
 * Reads the usages that are asked for, each once.
 *
 * @param encoded - whether the request names them itself: then a second name for one of them is left out, as cert-manager refuses a
 *   request whose purposes are not the same as those around it, each as often
 */
export function readUsages(reader: AttributeReader, encoded: boolean): readonly KeyUsage[] {
  const listed = reader.list('key-usages')
  if (listed.length === 0) return ['digital signature', 'key encipherment']
  const usages = listed.flatMap((item) => {
    const usage = keyUsages.find((known) => known === item)
    if (usage !== undefined) return [usage]
    const guess = didYouMean(item, keyUsages)
    const hint = guess === undefined ? `one of ${keyUsages.join(', ')}` : `did you mean ${JSON.stringify(guess)}?`
    reader.problem('key-usages', `invalid value ${JSON.stringify(item)}: not a key usage, ${hint}`)
    return []
  })
  const name = (usage: KeyUsage): KeyUsage => (encoded ? canonicalUsage(usage) : usage)
  return usages.filter((usage, index) => usages.findIndex((other) => name(other) === name(usage)) === index)
}
