import { readCharacter, readNumber, readString } from './constants.ts'
import { isFunction } from './functions.ts'
import { TemplateError } from './template-error.ts'
import { type TokenCursor, unexpected } from './token-cursor.ts'
import type { Token, TokenKind } from './tokens.ts'
import type { Command, Operand, Pipeline } from './tree.ts'
import type { Scalar } from './value.ts'

/** Where a parser is in a template. */
export interface Parsing {
  readonly cursor: TokenCursor
  /** What holds for a template of its own: the main one, or one that is defined within it. */
  scope: { readonly variables: string[]; ranges: number }
  /** Of actions and parentheses in each other. */
  depth: number
}

/** More than anyone writes, and less than a stack holds. */
const deepest = 50

/** Runs a reader one level deeper. */
export function deeper<T>(parsing: Parsing, read: () => T): T {
  if (parsing.depth === deepest)
    throw new TemplateError(parsing.cursor.peek().line, 'actions and parentheses stand too deep in each other')
  parsing.depth++
  const result = read()
  parsing.depth--
  return result
}

/**
 * Reads commands with `|` between them, and what ends them.
 *
 * @param context - what the pipeline is for, for messages; `range` may declare two variables
 * @throws {TemplateError}
 */
export function parsePipeline(parsing: Parsing, end: TokenKind, context: string): Pipeline {
  return deeper(parsing, () => {
    const { cursor } = parsing
    const { line } = cursor.peek()
    const { variables, assigns } = readVariables(parsing, context)
    const commands: Command[] = []
    while (cursor.peek().kind !== end) {
      const command = readCommand(parsing)
      const { is } = command.operand
      if (commands.length > 0 && (is === 'constant' || is === 'dot' || is === 'nil'))
        throw new TemplateError(command.line, 'a constant or dot cannot take the result before it as its argument')
      commands.push(command)
    }
    cursor.next()
    if (commands.length === 0) throw new TemplateError(line, `missing value for ${context}`)
    return { line, variables, assigns, commands }
  })
}

/** `$x :=`, `$x =`, and for a range `$key, $value :=`. */
function readVariables({ cursor, scope }: Parsing, context: string): Pick<Pipeline, 'variables' | 'assigns'> {
  const variables: string[] = []
  while (cursor.peek().kind === 'variable') {
    const token = cursor.take()
    const spaces = cursor.takeSpaces()
    const after = cursor.take()
    if (after.kind === ':=' || after.kind === '=') {
      variables.push(token.text)
      scope.variables.push(...variables)
      return { variables, assigns: after.kind === '=' }
    }
    if (after.kind !== ',' && variables.length === 0) {
      cursor.putBack(token, ...spaces, after)
      break
    }
    variables.push(token.text)
    const isFirstOfTwo = after.kind === ',' && context === 'range' && variables.length === 1
    if (!isFirstOfTwo || cursor.peek().kind !== 'variable')
      throw unexpected(after, `${context}, which declares variables`)
  }
  return { variables, assigns: false }
}

/** Operands with spaces between them, up to a `|` or what ends the pipeline. */
function readCommand(parsing: Parsing): Command {
  const { cursor } = parsing
  const { line } = cursor.peek()
  const operands: Operand[] = []
  for (;;) {
    cursor.takeSpaces()
    const operand = readOperand(parsing)
    if (operand !== undefined) operands.push(operand)
    const token = cursor.take()
    if (token.kind === 'space') continue
    if (token.kind === 'close' || token.kind === ')') cursor.putBack(token)
    else if (token.kind !== '|') throw unexpected(token, 'operand')
    break
  }
  const [operand, ...args] = operands
  if (operand === undefined) throw new TemplateError(line, 'empty command')
  return { line, operand, args }
}

/** @returns undefined where the next token begins none */
function readOperand(parsing: Parsing): Operand | undefined {
  const { cursor } = parsing
  const token = cursor.take()
  const term = readTerm(parsing, token)
  if (term === undefined) return undefined
  const path: string[] = []
  let next = cursor.take()
  for (; next.kind === 'field'; next = cursor.take()) path.push(next.text.slice(1))
  cursor.putBack(next)
  if (path.length === 0) return term
  if (term.is === 'field' || term.is === 'variable') return { ...term, path: [...term.path, ...path] }
  if (term.is === 'function' || term.is === 'pipeline') return { is: 'chain', of: term, path }
  throw new TemplateError(token.line, `unexpected . after ${token.text}`)
}

/** @returns undefined where the token, which is put back, begins none */
function readTerm(parsing: Parsing, token: Token): Operand | undefined {
  const { kind, text, line } = token
  if (kind === 'identifier') {
    if (!isFunction(text)) throw new TemplateError(line, `function ${JSON.stringify(text)} not defined`)
    return { is: 'function', name: text }
  }
  if (kind === 'variable') {
    if (!parsing.scope.variables.includes(text)) throw new TemplateError(line, `undefined variable ${text}`)
    return { is: 'variable', name: text, path: [] }
  }
  if (kind === '(') return { is: 'pipeline', pipeline: parsePipeline(parsing, ')', 'parenthesized pipeline') }
  if (kind === 'dot') return { is: 'dot' }
  if (kind === 'field') return { is: 'field', path: [text.slice(1)] }
  if (kind === 'keyword' && text === 'nil') return { is: 'nil' }
  const value = readConstant(token)
  if (value !== undefined) return { is: 'constant', value }
  parsing.cursor.putBack(token)
  return undefined
}

/** @returns undefined where the token is no constant */
function readConstant(token: Token): Scalar | undefined {
  if (token.kind === 'boolean') return token.text === 'true'
  if (token.kind === 'string' || token.kind === 'raw string') return readText(token)
  if (token.kind === 'character') return valueOf(token, readCharacter)
  return token.kind === 'number' ? valueOf(token, readNumber) : undefined
}

/** The text that a string constant stands for. */
export function readText(token: Token): string {
  return valueOf(token, readString)
}

function valueOf<T>({ kind, text, line }: Token, read: (text: string) => T | undefined): T {
  const value = read(text)
  if (value === undefined) throw new TemplateError(line, `bad ${kind} syntax: ${text}`)
  return value
}
