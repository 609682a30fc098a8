import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Expansion, expand } from './expand.ts'

const variables = { HOME: '/usr/gopher', H: '(Value of H)', EMPTY: '', 9: 'nine', '*': 'all', '?': '1' }

test.each([
  ['', ''],
  ['text', 'text'],
  ['$HOME', '/usr/gopher'],
  ['${HOME}', '/usr/gopher'],
  ['${H}OME', '(Value of H)OME'],
  ['now is the time', 'now is the time'],
  ['start$HOME/end$H', 'start/usr/gopher/end(Value of H)'],
  ['$EMPTY.', '.'],
  ['$*', 'all'],
  ['$?x', '1x'],
  ['${*}', 'all'],
  ['${9}', 'nine'],
  // A digit is a name of its own.
  ['$9abc', 'nineabc'],
  // A dollar before what can be no name stays.
  ['$', '$'],
  ['$$$', '$'],
  ['$.', '$.'],
  ['$/', '$/'],
  ['$}', '$}'],
  ['a$', 'a$'],
  ['$ HOME', '$ HOME'],
  ['$é', '$é'],
  // Bad syntax is eaten.
  ['${}', ''],
  ['a${}b', 'ab'],
  ['${', ''],
  ['a${b', 'ab'],
  ['${$HOME', '/usr/gopher'],
  ['${HOME', 'HOME'],
])('%j becomes %j, as with os.Expand', (text, expected) => {
  expect(expand(text, { ...variables, $: '' })).toEqual({ text: expected, unknown: [] })
})

test('a value is not expanded again', () => {
  expect(expand('$A', { A: '$B ${B}', B: 'b' }).text).toBe('$B ${B}')
})

test.each([
  ['$NOPE', ['NOPE']],
  ['${NOPE}${ALSO}$NOPE', ['NOPE', 'ALSO']],
  ['${HOME:-/root}', ['HOME:-/root']],
  ['${ HOME }', [' HOME ']],
  ['${a\nb}', ['a\nb']],
  ['${${HOME}', ['${HOME']],
  ["${POD_LABELS['example.com/a-b']}", ["POD_LABELS['example.com/a-b']"]],
  ['$$HOME', ['$']],
  ['$-', ['-']],
  ['$HOMEr', ['HOMEr']],
  ['$constructor$__proto__', ['constructor', '__proto__']],
])('the names that %j has no variables for are told once each', (text, unknown) => {
  expect(expand(text, variables).unknown).toEqual(unknown)
})

/** Go's os.Expand (src/os/env.go), step by step. */
function expandAsGo(text: string, variables: Readonly<Record<string, string>>): Expansion {
  const unknown = new Set<string>()
  let out = ''
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '$' || at + 1 === text.length) {
      out += text[at]
      continue
    }
    const { name, width } = shellName(text.slice(at + 1))
    if (name === '' && width === 0) out += '$'
    else if (name !== '' && Object.hasOwn(variables, name)) out += variables[name]
    else if (name !== '') unknown.add(name)
    at += width
  }
  return { text: out, unknown: [...unknown] }
}

function shellName(rest: string): { readonly name: string; readonly width: number } {
  if (rest.startsWith('{')) {
    if (rest[2] === '}' && '*#$@!?-0123456789'.includes(rest[1] ?? ' ')) return { name: rest[1] ?? '', width: 3 }
    const end = rest.indexOf('}')
    if (end === 1) return { name: '', width: 2 }
    return end < 0 ? { name: '', width: 1 } : { name: rest.slice(1, end), width: end + 1 }
  }
  if ('*#$@!?-0123456789'.includes(rest[0] ?? ' ')) return { name: rest[0] ?? '', width: 1 }
  const name = /^[A-Za-z0-9_]*/.exec(rest)?.[0] ?? ''
  return { name, width: name.length }
}

test('any text becomes what os.Expand makes of it', () => {
  const pieces = fc.constantFrom(
    '$',
    '${',
    '{',
    '}',
    '$$',
    'HOME',
    'H',
    '9',
    '*',
    '?',
    '-',
    '_',
    '.',
    ' ',
    'é',
    '🙂',
    'x',
  )
  const texts = fc.array(pieces, { maxLength: 20 }).map((found) => found.join(''))
  fc.assert(
    fc.property(texts, (text) => {
      expect(expand(text, variables)).toEqual(expandAsGo(text, variables))
    }),
    { numRuns: 2000 },
  )
})

test('many openings without an end do not each search the whole text', () => {
  const openings = '${'.repeat(500_000)
  expect(expand(openings, variables)).toEqual({ text: '', unknown: [] })
  expect(expand(`${openings}}`, variables).unknown).toEqual(['${'.repeat(499_999)])
})
