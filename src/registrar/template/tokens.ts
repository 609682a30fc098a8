import { TemplateError } from './template-error.ts'

export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'space'
  | 'keyword'
  | 'identifier'
  | 'field'
  | 'variable'
  | 'dot'
  | 'boolean'
  | 'string'
  | 'raw string'
  | 'character'
  | 'number'
  | ':='
  | '='
  | '|'
  | '('
  | ')'
  | ','
  | 'end of text'

export interface Token {
  readonly kind: TokenKind
  /** As it is written, with quotes. */
  readonly text: string
  readonly line: number
}

const keywords: ReadonlySet<string> = new Set([
  'block',
  'break',
  'continue',
  'define',
  'else',
  'end',
  'if',
  'nil',
  'range',
  'template',
  'with',
])

/** What may follow a name, so that `$x+2` is no variable (Go text/template/parse). */
const nameEnd = String.raw`(?=[ \t\r\n.,|:()]|\}\}|$)`

/** Tried in this order at each place inside of an action. */
const forms: readonly (readonly [TokenKind, RegExp])[] = [
  ['space', /[ \t\r\n]+/y],
  [':=', /:=/y],
  ['=', /=/y],
  ['|', /\|/y],
  ['(', /\(/y],
  [')', /\)/y],
  [',', /,/y],
  ['string', /"(?:[^"\\\n]|\\[^\n])*"/y],
  ['raw string', /`[^`]*`/y],
  ['character', /'(?:[^'\\\n]|\\[^\n])*'/y],
  ['number', /(?:[+-]|(?=\.?\d))[\p{L}\p{Nd}_.]*(?:(?<=[eEpP])[+-][\p{L}\p{Nd}_]*)?/uy],
  ['variable', new RegExp(String.raw`\$[\p{L}\p{Nd}_]*${nameEnd}`, 'uy')],
  ['field', new RegExp(String.raw`\.[\p{L}\p{Nd}_]+${nameEnd}`, 'uy')],
  ['dot', new RegExp(String.raw`\.${nameEnd}`, 'y')],
  ['identifier', new RegExp(String.raw`[\p{L}\p{Nd}_]+${nameEnd}`, 'uy')],
]

const opening = /\{\{(?:-(?=[ \t\r\n]))?/g
const commentEnd = /\*\/(?:[ \t\r\n]-)?\}\}/y
const closing = /(?:[ \t\r\n]-)?\}\}/y

/**
 * Cuts a template into tokens, as Go's text/template/parse does, trim markers and comments taken care of.
 *
 * @throws {TemplateError}
 */
export function* readTokens(text: string): Generator<Token, void, void> {
  const lines = lineCounter(text)
  let at = 0
  let trimNext = false
  for (;;) {
    opening.lastIndex = at
    const open = opening.exec(text)
    let literal = text.slice(at, open?.index)
    if (trimNext) literal = literal.replace(/^[ \t\r\n]+/, '')
    if (open?.[0].endsWith('-') === true) literal = trimEnd(literal)
    if (literal !== '') yield { kind: 'text', text: literal, line: lines(at) }
    if (open === null) return yield { kind: 'end of text', text: '', line: lines(text.length) }
    const start = open.index + open[0].length
    const inside = open[0].endsWith('-') ? start + 1 : start
    if (text.startsWith('/*', inside)) {
      at = skipComment(text, inside, lines)
      trimNext = text.slice(at - 3, at) === '-}}'
      continue
    }
    yield { kind: 'open', text: open[0], line: lines(open.index) }
    at = yield* readAction(text, start, lines)
    trimNext = text.slice(at - 3, at) === '-}}'
  }
}

/** By hand: a regular expression anchored at the end tries every run of spaces anew. */
function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && ' \t\r\n'.includes(text.charAt(end - 1))) end--
  return text.slice(0, end)
}

function skipComment(text: string, at: number, lines: (at: number) => number): number {
  const end = text.indexOf('*/', at + 2)
  if (end < 0) throw new TemplateError(lines(at), 'unclosed comment')
  commentEnd.lastIndex = end
  const match = commentEnd.exec(text)
  if (match === null) throw new TemplateError(lines(end), 'comment ends before closing delimiter')
  return end + match[0].length
}

function* readAction(text: string, start: number, lines: (at: number) => number): Generator<Token, number, void> {
  let at = start
  let depth = 0
  for (;;) {
    closing.lastIndex = at
    const close = closing.exec(text)
    if (close !== null) {
      if (depth > 0) throw new TemplateError(lines(at), 'unclosed left paren')
      yield { kind: 'close', text: '}}', line: lines(at) }
      return at + close[0].length
    }
    if (at >= text.length) throw new TemplateError(lines(start), 'unclosed action')
    const token = readToken(text, at, lines(at))
    if (token.kind === '(') depth++
    if (token.kind === ')' && --depth < 0) throw new TemplateError(token.line, 'unexpected right paren')
    yield token
    at += token.text.length
  }
}

function readToken(text: string, at: number, line: number): Token {
  for (const [kind, form] of forms) {
    form.lastIndex = at
    const [found] = form.exec(text) ?? []
    if (found === undefined) continue
    if (kind === 'space') return { kind, text: beforeTrim(text, at, found), line }
    if (kind === 'identifier') return { kind: kindOfWord(found), text: found, line }
    return { kind, text: found, line }
  }
  const next = String.fromCodePoint(text.codePointAt(at) ?? 0)
  if (`"'\``.includes(next)) throw new TemplateError(line, `unterminated ${next} constant`)
  throw new TemplateError(line, `unexpected ${JSON.stringify(next)} in action`)
}

/** The last space before `-}}` belongs to that. */
function beforeTrim(text: string, at: number, spaces: string): string {
  return spaces.length > 1 && text.startsWith('-}}', at + spaces.length) ? spaces.slice(0, -1) : spaces
}

function kindOfWord(word: string): TokenKind {
  if (keywords.has(word)) return 'keyword'
  return word === 'true' || word === 'false' ? 'boolean' : 'identifier'
}

/** Line numbers of places that only go forward. */
function lineCounter(text: string): (at: number) => number {
  let line = 1
  let seen = 0
  return (at) => {
    for (; seen < at; seen++) if (text[seen] === '\n') line++
    return line
  }
}
