import { checkDepth } from './depth.ts'
import { HclError } from './hcl-error.ts'
import type { HclItem, HclKey, HclNode, HclObject } from './node.ts'
import { positionsIn } from './positions.ts'

interface Cursor {
  readonly text: string
  at: number
  readonly position: ReturnType<typeof positionsIn>
}

/**
 * Reads JSON (RFC 8259) as HCL 1 does: a list of objects stands for its key repeated, an object of objects for blocks with labels, and
 * null for the empty text.
 *
 * @throws {HclError}
 */
export function parseJson(text: string): HclObject {
  const cursor = { text, at: 0, position: positionsIn(text) }
  skipBlanks(cursor)
  const root = value(cursor, 0)
  if (root.is !== 'object') throw new HclError(root.at, 'expected an object')
  skipBlanks(cursor)
  if (cursor.at < text.length) throw unexpected(cursor, 'the end')
  return flattened(root)
}

function value(cursor: Cursor, depth: number): HclNode {
  const at = cursor.position(cursor.at)
  if (take(cursor, '{')) {
    checkDepth(depth, at)
    return { is: 'object', items: separated(cursor, '}', () => member(cursor, depth + 1)), at }
  }
  if (take(cursor, '[')) {
    checkDepth(depth, at)
    return { is: 'list', items: separated(cursor, ']', () => value(cursor, depth + 1)), at }
  }
  if (cursor.text[cursor.at] === '"') {
    const written = takeString(cursor)
    return { is: 'string', written, value: JSON.parse(written) as string, at }
  }
  const word = takeMatch(cursor, /true|false|null/y)
  if (word === 'null') return { is: 'string', written: '', value: '', at }
  if (word !== undefined) return { is: 'boolean', written: word, value: word, at }
  const number = takeMatch(cursor, /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\d.\w])/y)
  if (number === undefined) throw unexpected(cursor, 'a value')
  return { is: /[.eE]/.test(number) ? 'float' : 'number', written: number, value: number, at }
}

function member(cursor: Cursor, depth: number): HclItem {
  const at = cursor.position(cursor.at)
  if (cursor.text[cursor.at] !== '"') throw unexpected(cursor, 'a key in quotes')
  const name = JSON.parse(takeString(cursor)) as string
  skipBlanks(cursor)
  if (!take(cursor, ':')) throw unexpected(cursor, `: behind ${JSON.stringify(name)}`)
  skipBlanks(cursor)
  return { keys: [{ name, at }], value: value(cursor, depth) }
}

/** What stands between commas, up to the mark that ends it, which is taken. */
function separated<Item>(cursor: Cursor, end: ']' | '}', read: () => Item): readonly Item[] {
  const found: Item[] = []
  skipBlanks(cursor)
  if (take(cursor, end)) return found
  for (;;) {
    found.push(read())
    skipBlanks(cursor)
    if (take(cursor, end)) return found
    if (!take(cursor, ',')) throw unexpected(cursor, `, or ${end}`)
    skipBlanks(cursor)
  }
}

/** @returns with its quotes; a valid JSON text */
function takeString(cursor: Cursor): string {
  const { text, at } = cursor
  let end = at + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  const written = text.slice(at, end + 1)
  try {
    JSON.parse(written)
  } catch {
    throw new HclError(
      cursor.position(at),
      'a text in quotes is not closed, or holds an escape or character that JSON has not',
    )
  }
  cursor.at = end + 1
  return written
}

function takeMatch(cursor: Cursor, expression: RegExp): string | undefined {
  expression.lastIndex = cursor.at
  const [found] = expression.exec(cursor.text) ?? []
  cursor.at += found?.length ?? 0
  return found
}

function take(cursor: Cursor, mark: string): boolean {
  if (cursor.text[cursor.at] !== mark) return false
  cursor.at++
  return true
}

function skipBlanks(cursor: Cursor): void {
  takeMatch(cursor, /[ \t\r\n]*/y)
}

function unexpected({ text, at, position }: Cursor, expected: string): HclError {
  const found =
    at >= text.length ? 'the end of the file' : JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))
  return new HclError(position(at), `expected ${expected}, and there is ${found}`)
}

/** The object with everything below it as HCL's blocks would have it. */
function flattened({ items, ...object }: HclObject): HclObject {
  return { ...object, items: items.flatMap(blocksOf).map(({ keys, value }) => ({ keys, value: below(value) })) }
}

function below(node: HclNode): HclNode {
  if (node.is === 'object') return flattened(node)
  return node.is === 'list' ? { ...node, items: node.items.map(below) } : node
}

function blocksOf(item: HclItem): readonly HclItem[] {
  const { keys, value } = item
  if (value.is === 'object' && value.items.length > 0 && value.items.every((inner) => inner.value.is === 'object')) {
    const labelled = (inner: HclItem): [HclKey, ...HclKey[]] => [...keys, ...inner.keys]
    return value.items.flatMap((inner) => blocksOf({ keys: labelled(inner), value: inner.value }))
  }
  if (value.is === 'list' && value.items.length > 0 && value.items.every(({ is }) => is === 'object')) {
    return value.items.flatMap((element) => blocksOf({ keys, value: element }))
  }
  return [item]
}
