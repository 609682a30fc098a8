import type { NameKind } from '../request/asked-names.ts'
import { isDnsLabel, isDnsName } from '../../x509/dns-name.ts'
import { printable } from '../../x509/printable.ts'
import type { FactName, Facts, KeyedFactName } from './fact.ts'
import { patternProblem } from './pattern.ts'
import { type Expansion, expandTemplate, factsOf, parseTemplate, type Template, TemplateError } from './template.ts'

/** A template for names of one kind: a policy's allowed or required name, or one that it issues. */
export interface NameTemplate extends Template {
  readonly kind: NameKind
  /** Whether it has an asterisk, and so stands for more than one name. */
  readonly isPattern: boolean
}

/**
 * @param kind - what the value may look like depends on it
 * @throws {TemplateError}
 */
export function readNameTemplate(kind: NameKind, text: string): NameTemplate {
  const template = parseTemplate(text)
  // A fact stands for something plain; what surrounds it must make a name with any of it.
  const sample = template.pieces
    .map((piece) => ('literal' in piece ? piece.literal : sampleOf(kind, piece.fact)))
    .join('')
  const problem = patternProblem(kind, sample)
  if (problem !== undefined) throw new TemplateError(`${JSON.stringify(text)} ${problem}`)
  if (kind === 'uris' && hasFactInHost(template))
    throw new TemplateError('facts stand in the path of a URI, not before it')
  if (kind === 'ipAddresses' && factsOf(template).length > 0) throw new TemplateError('no fact is an IP address')
  return { ...template, kind, isPattern: kind === 'ipAddresses' || text.includes('*') }
}

/** A value with a dot is one segment of a path, and would be two labels of a host. */
function hasFactInHost({ pieces }: Template): boolean {
  let before = ''
  for (const piece of pieces) {
    if ('literal' in piece) before += piece.literal
    else if (piece.fact !== 'cluster.domain' && !/^[^/]*:\/\/[^/]*\//.test(before)) return true
  }
  return false
}

function sampleOf(kind: NameKind, fact: FactName | KeyedFactName): string {
  return fact === 'cluster.domain' && kind !== 'uris' ? 'cluster.local' : 'x'
}

/** The patterns that a template makes of facts: one for each combination of values that fit as they are. */
export function expandNameTemplate(template: NameTemplate, facts: Facts): Expansion {
  return expandTemplate(template, facts, (value, fact) => isPlain(template.kind, value, fact))
}

/** Values that keep a name's shape: as many labels, segments and names as the template itself has. */
function isPlain(kind: NameKind, value: string, fact: FactName | KeyedFactName): boolean {
  // The administrator's own setting, and many labels by its nature.
  if (fact === 'cluster.domain') return isDnsName(value)
  return (plainValues[kind] ?? isPlainText)(value)
}

const plainValues: Partial<Record<NameKind, (value: string) => boolean>> = {
  dnsNames: isDnsLabel,
  emailAddresses: isDnsLabel,
  // Unreserved (RFC 3986 §2.3) and no dot segment.
  uris: (value) => /^[A-Za-z0-9._~-]+$/.test(value) && value !== '.' && value !== '..',
}

function isPlainText(value: string): boolean {
  return value !== '' && !value.includes('*') && printable(value) === value
}
