import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { hclVectors } from './fixtures/vectors.ts'
import { HclError } from './hcl-error.ts'
import type { HclNode, HclObject } from './node.ts'
import { parseHcl } from './parse-hcl.ts'

/** The tree as the vectors have it: without places, and without how numbers and texts were written. */
function treeOf(node: HclNode): unknown {
  if (node.is === 'object') return { object: itemsOf(node) }
  return node.is === 'list' ? { list: node.items.map(treeOf) } : [node.is, node.value]
}

function itemsOf({ items }: HclObject): unknown {
  return items.map(({ keys, value }) => [keys.map(({ name }) => name), treeOf(value)])
}

function refusalOf(source: string): HclError | undefined {
  try {
    parseHcl(source)
    return undefined
  } catch (error) {
    if (error instanceof HclError) return error
    throw error
  }
}

function problemOf(source: string): HclError {
  const refusal = refusalOf(source)
  if (refusal === undefined) throw new Error(`${source} was read`)
  return refusal
}

test('generated files mean what they mean to HashiCorp', () => {
  const read = hclVectors.filter(({ tree }) => tree !== undefined)
  expect(read.length).toBeGreaterThan(300)
  expect(read.map(({ source }) => ({ source, tree: itemsOf(parseHcl(source)) }))).toEqual(
    read.map(({ source, tree }) => ({ source, tree })),
  )
})

test('generated files that HashiCorp refuses are refused', () => {
  const refused = hclVectors.filter((vector) => vector.refused === true)
  expect(refused.length).toBeGreaterThan(50)
  expect(refused.filter(({ source }) => refusalOf(source) === undefined)).toEqual([])
})

test('objects, lists, blocks with labels, comments of three kinds and heredocs are read', () => {
  const source = `
# one
trust_domain = "example.org" // two
context { "Region" = "EU" /* three */ Zone = 0x1F }
block "label" other { a = [1, 2.5, true, [], {}] }
text = <<-EOF
    indented
      more
    EOF
`
  expect(itemsOf(parseHcl(source))).toEqual([
    [['trust_domain'], ['string', 'example.org']],
    [
      ['context'],
      {
        object: [
          [['Region'], ['string', 'EU']],
          [['Zone'], ['number', '0x1F']],
        ],
      },
    ],
    [
      ['block', 'label', 'other'],
      {
        object: [
          [['a'], { list: [['number', '1'], ['float', '2.5'], ['boolean', 'true'], { list: [] }, { object: [] }] }],
        ],
      },
    ],
    [['text'], ['heredoc', 'indented\n  more\n']],
  ])
})

test('what stands between ${ and its brace is kept as it is', () => {
  const { items } = parseHcl(String.raw`a = "x${'${'}lower("\n{}")}\n"`)
  expect(items[0]?.value).toMatchObject({ is: 'string', value: `x\${lower("\\n{}")}\n` })
})

test('a file that begins with a brace is JSON, whose lists of objects repeat their key', () => {
  const source = '{"context": [{"A": "b\\u00e4\\/"}, {"B": 5}], "x": {"y": {"z": null}}, "l": [true, [1]]}'
  expect(itemsOf(parseHcl(source))).toEqual([
    [['context'], { object: [[['A'], ['string', 'bä/']]] }],
    [['context'], { object: [[['B'], ['number', '5']]] }],
    [['x', 'y'], { object: [[['z'], ['string', '']]] }],
    [['l'], { list: [['boolean', 'true'], { list: [['number', '1']] }] }],
  ])
})

test.each([
  ['line ends of Windows', 'a = 1\r\nb = 2\r\n'],
  ['no line end at all', 'a = 1 b = 2'],
  ['commas between items', 'a = 1, b = 2,'],
])('%s are fine', (_what, source) => {
  expect(itemsOf(parseHcl(source))).toEqual([
    [['a'], ['number', '1']],
    [['b'], ['number', '2']],
  ])
})

test('every node knows its line and column, counted in characters', () => {
  const { items } = parseHcl('/* 😀 */ a = "ä" b = [\n  1,\n  { c = 2 }]')
  expect(items.map(({ keys: [{ at }] }) => at)).toEqual([
    { line: 1, column: 9 },
    { line: 1, column: 17 },
  ])
  const list = items[1]?.value
  expect(list).toMatchObject({
    at: { line: 1, column: 21 },
    items: [
      { at: { line: 2, column: 3 } },
      { at: { line: 3, column: 3 }, items: [{ keys: [{ at: { line: 3, column: 5 } }] }] },
    ],
  })
})

test.each([
  ['a', 'At 1:2: expected = or { behind "a", and there is the end of the file'],
  ['a b = 1', 'At 1:5: expected { behind "a" "b", and there is ='],
  ['a = b', 'At 1:5: "b" is no value; texts stand in quotes'],
  ['a =\n', 'At 2:1: expected a value, and there is the end of the file'],
  ['a {\n  b = }', 'At 2:7: expected a value, and there is }'],
  ['a {', 'At 1:4: expected a key, and there is the end of the file'],
  ['}', 'At 1:1: expected a key, and there is }'],
  ['a = [1 2]', 'At 1:8: expected , or ], and there is 2'],
  ['a = "b\nc"', 'At 1:5: a text in quotes is not closed on its line'],
  ['a = "b', 'At 1:5: a text in quotes is not closed'],
  ['a = "\\d"', 'At 1:6: there is no such escape; a backslash itself is written \\\\'],
  ['a = "\\U00110000"', 'At 1:6: there is no such escape; a backslash itself is written \\\\'],
  ['a = <<\nb\n', 'At 1:5: a heredoc begins with << and a word alone on the rest of the line, such as <<EOF'],
  ['a = <<EOF\nb\nEOF', 'At 1:5: a heredoc is not closed by a line that holds EOF alone'],
  ['/* a', 'At 1:1: a comment is not closed'],
  ['a = 1 / 2', 'At 1:7: there is no place for "/"'],
  ["a = 'b'", 'At 1:5: there is no place for "\'"'],
  ['a = 0189', 'At 1:5: a number that begins with 0 is octal'],
  ['a = 1e', 'At 1:5: a number is not complete'],
  ['# a\u0000', 'At 1:4: a character that no file may hold'],
  ['{"a": 1,}', 'At 1:9: expected a key in quotes, and there is "}"'],
  ['{"a": 01}', 'At 1:7: expected a value, and there is "0"'],
  ['{"a": 1} b', 'At 1:10: expected the end, and there is "b"'],
  ['{"a" 1}', 'At 1:6: expected : behind "a", and there is "1"'],
  ['{"a": "\n"}', 'At 1:7: a text in quotes is not closed, or holds an escape or character that JSON has not'],
])('%j is told as %j', (source, message) => {
  expect(problemOf(source).message).toBe(message)
})

test.each(['a = ', 'a = [', '{"a": ', '{"a": ['])('what stands thousands deep behind %j is refused', (opening) => {
  const inner = opening.startsWith('{') ? '{"a": ' : 'a { '
  expect(problemOf(`${opening}${(opening.endsWith('[') ? '[' : inner).repeat(50_000)}`).reason).toMatch(
    /deep|no value|behind/,
  )
})

test('a file of a hundred thousand words is read', () => {
  const count = 12_000
  const source = `${'# comment\n'.repeat(count)}${'key = ["a", "b"] '.repeat(count)}text = "${'\\n'.repeat(count)}"`
  expect(parseHcl(source).items).toHaveLength(count + 1)
})

const structure = ['=', '{', '}', '[', ']', ',', ':', 'b {', 'a = 1\n', '\n', ' ', '#', '//', '/*', '*/', 'a', "'"]
const values = ['"', '"a"', '\\', '${', '<<E\n', '<<-E\n', 'E\n', ' E\n', '1', '0x', '.5', 'e', '-', 'true', 'null']
const odd = ['\u0000', '\ud83d', '\u00e4', '\u2028']
const word = fc.constantFrom(structure, values, odd).chain((words) => fc.constantFrom(...words))
const soup = fc.tuple(fc.constantFrom('', '{', ' {"a":'), fc.array(word, { maxLength: 40 }))

test('whatever a file holds, it is read or refused with a place in it', () => {
  fc.assert(
    fc.property(soup, ([start, words]) => {
      const source = start + words.join('')
      const lines = source.split('\n')
      const { line, column } = refusalOf(source)?.position ?? { line: 1, column: 1 }
      expect(line).toBeLessThanOrEqual(lines.length)
      expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1)
    }),
    { numRuns: 2000 },
  )
})

test('a text in quotes, with all that is odd in it escaped, stands for itself', () => {
  const quoted = (text: string): string => JSON.stringify(text).replaceAll('\\/', '/')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(!text.includes('${'))
      expect(parseHcl(`a = ${quoted(text)}`).items[0]?.value).toMatchObject({ value: text })
      expect(parseHcl(`{"a": ${quoted(text)}}`).items[0]?.value).toMatchObject({ value: text })
    }),
  )
})
