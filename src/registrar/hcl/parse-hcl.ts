import { checkDepth } from './depth.ts'
import { HclError } from './hcl-error.ts'
import type { HclItem, HclKey, HclList, HclNode, HclObject, Position } from './node.ts'
import { parseJson } from './parse-json.ts'
import { scan, type Token } from './scan.ts'

interface Cursor {
  readonly tokens: readonly Token[]
  /** Of the next token. */
  index: number
}

/**
 * Reads a file in HCL 1, or in JSON where it begins with a brace, as HashiCorp's `hcl.Parse` reads it: what that one accepts means the
 * same here. Two things that it lets pass are errors: a last key without a value, and a stray brace behind one.
 *
 * @throws {HclError} and nothing else; with the place of the first thing that is wrong
 */
export function parseHcl(text: string): HclObject {
  if (/^\s*\{/.test(text)) return parseJson(text)
  const cursor = { tokens: scan(text.replaceAll('\r\n', '\n')), index: 0 }
  return { is: 'object', items: items(cursor, 'end', 0), at: { line: 1, column: 1 } }
}

/** The items of an object up to the mark that ends it, which is taken. */
function items(cursor: Cursor, end: '}' | 'end', depth: number): readonly HclItem[] {
  const found: HclItem[] = []
  while (peek(cursor).kind !== end) {
    found.push(item(cursor, depth))
    if (peek(cursor).kind === ',') cursor.index++
  }
  cursor.index++
  return found
}

function item(cursor: Cursor, depth: number): HclItem {
  const first = peek(cursor)
  const key = takeKey(cursor)
  if (key === undefined) throw unexpected(first, 'a key')
  const keys: [HclKey, ...HclKey[]] = [key]
  for (;;) {
    const next = peek(cursor)
    if (next.kind === '{') return { keys, value: value(cursor, depth) }
    if (next.kind === '=' && keys.length === 1) {
      cursor.index++
      return { keys, value: value(cursor, depth) }
    }
    const more = takeKey(cursor)
    if (more === undefined) throw unexpected(next, `${keys.length === 1 ? '= or ' : ''}{ behind ${quoteKeys(keys)}`)
    keys.push(more)
  }
}

function takeKey(cursor: Cursor): HclKey | undefined {
  const { kind, value: name, at } = peek(cursor)
  if (kind !== 'identifier' && kind !== 'string') return undefined
  cursor.index++
  return { name, at }
}

function value(cursor: Cursor, depth: number): HclNode {
  const token = peek(cursor)
  const { kind, written, value, at } = token
  switch (kind) {
    case 'string':
    case 'heredoc':
    case 'number':
    case 'float':
    case 'boolean':
      cursor.index++
      return { is: kind, written, value, at }
    case '{':
      checkDepth(depth, at)
      cursor.index++
      return { is: 'object', items: items(cursor, '}', depth + 1), at }
    case '[':
      checkDepth(depth, at)
      cursor.index++
      return list(cursor, depth + 1, at)
    case 'identifier':
      throw new HclError(at, `${JSON.stringify(written)} is no value; texts stand in quotes`)
    case '}':
    case ']':
    case ',':
    case '=':
    case 'end':
      throw unexpected(token, 'a value')
  }
}

/** Commas are loose in lists: they may be doubled, and missing behind a list. */
function list(cursor: Cursor, depth: number, at: Position): HclList {
  const found: HclNode[] = []
  let needsComma = false
  for (;;) {
    const token = peek(cursor)
    if (token.kind === ']' || token.kind === ',') {
      cursor.index++
      if (token.kind === ']') return { is: 'list', items: found, at }
      needsComma = false
    } else if (needsComma) {
      throw unexpected(token, ', or ]')
    } else {
      const next = value(cursor, depth)
      needsComma = next.is !== 'list'
      found.push(next)
    }
  }
}

function peek(cursor: Cursor): Token {
  const token = cursor.tokens[cursor.index]
  if (token === undefined) throw new RangeError('there is nothing behind the end')
  return token
}

function unexpected({ kind, written, at }: Token, expected: string): HclError {
  const found = kind === 'end' ? 'the end of the file' : written.length > 20 ? `a ${kind}` : written
  return new HclError(at, `expected ${expected}, and there is ${found}`)
}

function quoteKeys(keys: readonly HclKey[]): string {
  return keys.map(({ name }) => JSON.stringify(name)).join(' ')
}
