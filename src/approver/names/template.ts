import { didYouMean } from '../../runtime/did-you-mean.ts'
import { type FactName, factNames, type Facts, type KeyedFactName, keyedFactNames, type Origin, worse } from './fact.ts'

/** A text with facts in it, such as `${service.name}.${namespace}.svc`. */
export interface Template {
  readonly text: string
  readonly pieces: readonly Piece[]
}

export type Piece =
  | { readonly literal: string }
  | { readonly fact: FactName }
  | { readonly fact: KeyedFactName; readonly key: string }

/** A template that cannot be read. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly code = 'TEMPLATE_INVALID'
}

const reference = /\$\{([A-Za-z.]+)(?:\[([A-Za-z0-9./_-]+)\])?\}/g

/**
 * Reads `${fact}` and `${fact[key]}`. There is no way to write a dollar sign: no name has one.
 *
 * @throws {TemplateError}
 */
export function parseTemplate(text: string): Template {
  const pieces: Piece[] = []
  let end = 0
  for (const match of text.matchAll(reference)) {
    const [whole, name = '', key] = match
    pieces.push(...literal(text.slice(end, match.index)), factPiece(name, key))
    end = match.index + whole.length
  }
  pieces.push(...literal(text.slice(end)))
  return { text, pieces }
}

function literal(text: string): Piece[] {
  if (text.includes('$'))
    throw new TemplateError(`${JSON.stringify(text)}: facts are written as \${pod.name} or \${pod.labels[app]}`)
  return text === '' ? [] : [{ literal: text }]
}

function factPiece(name: string, key: string | undefined): Piece {
  if (isFact(name)) {
    if (key !== undefined) throw new TemplateError(`\${${name}} has no key`)
    return { fact: name }
  }
  if (isKeyedFact(name)) {
    if (key === undefined) throw new TemplateError(`\${${name}} needs a key, such as \${${name}[app]}`)
    return { fact: name, key }
  }
  const known = [...Object.keys(factNames), ...Object.keys(keyedFactNames)]
  const guess = didYouMean(name, known)
  throw new TemplateError(
    `there is no fact ${name}${guess === undefined ? '' : `, did you mean ${guess}?`} (known: ${known.join(' ')})`,
  )
}

function isFact(name: string): name is FactName {
  return Object.hasOwn(factNames, name)
}

function isKeyedFact(name: string): name is KeyedFactName {
  return Object.hasOwn(keyedFactNames, name)
}

/** The facts that a template names. */
export function factsOf({ pieces }: Template): (FactName | KeyedFactName)[] {
  return pieces.flatMap((piece) => ('fact' in piece ? [piece.fact] : []))
}

/** What became of a template for one subject. */
export interface Expansion {
  /** One text for each combination of values; none where a fact has none. */
  readonly texts: readonly string[]
  /** The worst of all facts in it. */
  readonly origin: Origin
  /** Why there are fewer texts than facts would allow, for people. */
  readonly missing: readonly string[]
}

/** A subject pod may stand behind many Services; names beyond these are not made. */
const mostTexts = 100

/**
 * Puts facts into a template.
 *
 * @param isPlain - whether a value may stand there as it is; one that could add a name or reshape it makes no text at all
 */
export function expandTemplate(
  { pieces }: Template,
  facts: Facts,
  isPlain: (value: string, fact: FactName | KeyedFactName) => boolean,
): Expansion {
  let texts = ['']
  let origin: Origin = 'attested'
  const missing: string[] = []
  for (const piece of pieces) {
    if ('literal' in piece) {
      texts = texts.map((text) => text + piece.literal)
      continue
    }
    const key = 'key' in piece ? piece.key : undefined
    const name = key === undefined ? piece.fact : `${piece.fact}[${key}]`
    const fact = facts(piece.fact, key)
    if (fact !== undefined) origin = worse(origin, fact.origin)
    const values = fact?.values ?? []
    if (values.length === 0) missing.push(`\${${name}} is not known`)
    const plain = values.filter((value) => isPlain(value, piece.fact))
    if (plain.length < values.length) missing.push(`\${${name}} has a value that does not fit here`)
    texts = texts.flatMap((text) => plain.map((value) => text + value)).slice(0, mostTexts)
  }
  return { texts, origin, missing }
}
