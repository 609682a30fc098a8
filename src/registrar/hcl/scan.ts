import { readHeredoc } from './heredoc.ts'
import { HclError } from './hcl-error.ts'
import type { HclLiteral, Position } from './node.ts'
import { positionsIn } from './positions.ts'
import { type Literal, type LiteralProblem, readQuoted } from './quoted.ts'

/** A word of a file in HCL 1. */
export interface Token {
  readonly kind: HclLiteral['is'] | 'identifier' | '{' | '}' | '[' | ']' | ',' | '=' | 'end'
  /** As the file has it. */
  readonly written: string
  /** What a text stands for; for all others the same as `written`. */
  readonly value: string
  readonly at: Position
}

const blank = /[ \t\r\n]+|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\//y
const identifier = /[A-Za-z_\p{L}][\w.\p{L}\p{Nd}-]*/uy
const hexadecimal = /-?0[xX][\dA-Fa-f]+/y
const number = /-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+/y
const notInAnyFile = /[\0\uE123]/

/**
 * Splits HCL 1 into its words; blanks and comments are none. The last one is `end`.
 *
 * @param source - with line ends `\n`
 * @throws {HclError}
 */
export function scan(source: string): readonly Token[] {
  const position = positionsIn(source)
  const odd = source.search(notInAnyFile)
  if (odd >= 0) throw new HclError(position(odd), 'a character that no file may hold')
  const tokens: Token[] = []
  for (let at = 0; ;) {
    at = behindBlanks(source, at)
    const place = position(at)
    if (at >= source.length) {
      tokens.push({ kind: 'end', written: '', value: '', at: place })
      return tokens
    }
    const read = readToken(source, at)
    if ('problem' in read) {
      throw new HclError(read.offset === at ? place : position(read.offset), read.problem)
    }
    const written = source.slice(at, read.end)
    tokens.push({ kind: read.kind, written, value: read.value ?? written, at: place })
    at = read.end
  }
}

type Read =
  | { readonly kind: Token['kind']; readonly end: number; readonly value?: string }
  | { readonly offset: number; readonly problem: string }

function readToken(source: string, at: number): Read {
  const character = source[at] ?? ''
  if (character === '"') return withKind('string', readQuoted(source, at))
  if (character === '<') return withKind('heredoc', readHeredoc(source, at))
  if (isMark(character)) return { kind: character, end: at + 1 }
  const word = lengthOf(identifier, source, at)
  if (word > 0) {
    const isBoolean = ['true', 'false'].includes(source.slice(at, at + word))
    return { kind: isBoolean ? 'boolean' : 'identifier', end: at + word }
  }
  const hex = lengthOf(hexadecimal, source, at)
  if (hex > 0) return { kind: 'number', end: at + hex }
  const digits = lengthOf(number, source, at)
  if (digits > 0) return readNumber(source.slice(at, at + digits), source[at + digits] ?? '', at)
  const problem = source.startsWith('/*', at) ? 'a comment is not closed' : `there is no place for ${shown(source, at)}`
  return { offset: at, problem }
}

function withKind(kind: 'string' | 'heredoc', literal: Literal | LiteralProblem): Read {
  return 'problem' in literal ? literal : { kind, ...literal }
}

function readNumber(written: string, next: string, at: number): Read {
  if (/[eE]/.test(next) || (/^-?0$/.test(written) && /[xX]/.test(next))) {
    return { offset: at, problem: 'a number is not complete' }
  }
  if (/[.eE]/.test(written)) return { kind: 'float', end: at + written.length }
  if (/^-?0\d[0-7]*[89]/.test(written)) return { offset: at, problem: 'a number that begins with 0 is octal' }
  return { kind: 'number', end: at + written.length }
}

const marks = ['{', '}', '[', ']', ',', '='] as const

function isMark(character: string): character is (typeof marks)[number] {
  return (marks as readonly string[]).includes(character)
}

function shown(source: string, at: number): string {
  return JSON.stringify(String.fromCodePoint(source.codePointAt(at) ?? 0))
}

/** The offset of the next word: behind blanks and comments. */
function behindBlanks(source: string, start: number): number {
  let at = start
  for (let length = -1; length !== 0; at += length) length = lengthOf(blank, source, at)
  return at
}

/** How many units a sticky expression takes from an offset: 0 where it does not match there. */
function lengthOf(expression: RegExp, source: string, at: number): number {
  expression.lastIndex = at
  return expression.exec(source)?.[0].length ?? 0
}
