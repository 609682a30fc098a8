import { expect, test } from 'vitest'
import { hclVectors } from '../hcl/fixtures/vectors.ts'
import { parseHcl } from '../hcl/parse-hcl.ts'
import { fieldsOf } from './fields.ts'

interface Read {
  readonly problems: readonly string[]
  readonly values: Readonly<Record<string, unknown>>
}

/** The structure of the vectors. */
function read(source: string): Read {
  const problems: string[] = []
  const fields = fieldsOf(parseHcl(source), (_key, at, problem) => problems.push(`${at.line}:${at.column} ${problem}`))
  const values = {
    s: fields.text('s'),
    b: fields.boolean('b', false),
    i: fields.integer('i') ?? 0,
    l: fields.texts('l'),
    p: fields.texts('p'),
    m: fields.map('m'),
  }
  const given = Object.entries(values).filter(
    ([, value]) => value !== undefined && value !== '' && value !== false && value !== 0,
  )
  return { problems, values: Object.fromEntries(given) }
}

test('generated files are decoded as HashiCorp decodes them', () => {
  const decodable = hclVectors.filter(({ decoded }) => decoded !== undefined)
  expect(decodable.length).toBeGreaterThan(200)
  expect(decodable.map(({ source }) => ({ source, ...read(source) }))).toEqual(
    decodable.map(({ source, decoded }) => ({ source, problems: [], values: decoded })),
  )
})

test('generated files that HashiCorp cannot decode have a value of another type', () => {
  const undecodable = hclVectors.filter((vector) => vector.undecodable === true)
  expect(undecodable.length).toBeGreaterThan(50)
  expect(undecodable.filter(({ source }) => read(source).problems.length === 0)).toEqual([])
})

test('each value of another type is told with its place, key and what it is', () => {
  const source = `
s = true
b = "yes"
i = 1.5
l = ["a", false]
p = "a"
m { a = [1] }
m = []
s "label" {}
`
  expect(read(source).problems).toEqual([
    '9:3 s takes no label, and has "label"',
    '2:5 s must be a text, and is true',
    '3:5 b must be true or false, and is a text',
    '4:5 i must be a whole number, and is the number 1.5',
    '5:11 l[1] must be a text, and is false',
    '6:5 p must be a list of texts, and is a text',
    '8:5 m must be a block, and is a list',
    '7:9 m.a must be a text, and is a list',
  ])
})

test.each([
  ['1', 1],
  ['-0x1f', -31],
  ['017', 15],
  ['"0o17"', 15],
  ['"+7"', 7],
  ['0', 0],
])('i = %s is %d', (written, value) => {
  const fields = fieldsOf(parseHcl(`i = ${written}`), (_key, _at, problem) => expect.unreachable(problem))
  expect(fields.integer('i')).toBe(value)
})

test('keys are the same in letters of either case, the last text counts, and lists and blocks add up', () => {
  const { problems, values } = read('S = "a" s = "b" l = ["a"] L = ["b"] m { a = "1" } m { A = "2" a = 3 }')
  expect(problems).toEqual([])
  expect(values).toEqual({ s: 'b', l: ['a', 'b'], m: { a: '3', A: '2' } })
})
