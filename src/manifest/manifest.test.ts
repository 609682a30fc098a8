import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { child, descend, readManifest } from './manifest.ts'

const read = (text: string) => readManifest({ name: 'pod.yaml', text })

test('several documents are read, empty ones left out', () => {
  const { documents, problems } = read('---\nkind: A\n---\n# nothing\n---\n---\nkind: B\n')
  expect(problems).toEqual([])
  expect(documents.map(({ value }) => value)).toEqual([{ kind: 'A' }, { kind: 'B' }])
})

test('a field knows where it stands', () => {
  const [document] = read('kind: Pod\nspec:\n  volumes:\n    - name: tls\n      csi: {driver: x}\n').documents
  const driver = descend(document!, 'spec', 'volumes', 0, 'csi', 'driver')
  expect(driver.value).toBe('x')
  expect(driver.path).toBe('spec.volumes[0].csi.driver')
  expect(driver.location).toEqual({ source: 'pod.yaml', line: 5, column: 13 })
})

test('a field that is not there stands where its parent stands', () => {
  const [document] = read('kind: Pod\nspec:\n  a: 1\n').documents
  const missing = descend(document!, 'spec', 'volumes', 3, 'name')
  expect(missing.value).toBeUndefined()
  expect(missing.location).toMatchObject({ line: 2 })
})

test('fields are found through anchors and merges, and stand where they are written', () => {
  const [document] = read('base: &base\n  driver: x\nuse:\n  <<: *base\n  readOnly: yes\nsame: *base\n').documents
  const merged = descend(document!, 'use', 'driver')
  expect(merged.value).toBe('x')
  expect(merged.location).toMatchObject({ line: 2 })
  expect(descend(document!, 'use', 'readOnly').value).toBe(true)
  expect(descend(document!, 'same', 'driver')).toMatchObject({ value: 'x', location: { line: 2 } })
})

test('words are read as kubectl reads them: YAML 1.1, without its dates and base 60', () => {
  const [document] = read('a: yes\nb: off\nc: 12:30:00\nd: 2026-01-01\ne: 0o7\nf: "yes"\n').documents
  expect(document!.value).toEqual({ a: true, b: false, c: '12:30:00', d: '2026-01-01', e: '0o7', f: 'yes' })
})

test('CRLF line ends and tabs in JSON are fine', () => {
  expect(read('kind: Pod\r\nmetadata:\r\n  name: a\r\n').documents[0]?.value).toEqual({
    kind: 'Pod',
    metadata: { name: 'a' },
  })
  expect(read('{\n\t"kind": "Pod",\n\t"items": [\n\t\t1\n\t]\n}').documents[0]?.value).toEqual({
    kind: 'Pod',
    items: [1],
  })
})

test('JSON objects one after the other are documents of their own, with their lines', () => {
  const { documents, problems } = read('{"kind": "A"}\n{"kind": "B",\n "x": "}{"}\n')
  expect(problems).toEqual([])
  expect(documents.map((document) => child(document, 'kind').value)).toEqual(['A', 'B'])
  expect(child(documents[1]!, 'x').location).toMatchObject({ line: 3, column: 2 })
})

test.each([
  ['a tab as indentation', 'kind: Pod\nspec:\n\tvolumes: []\n', 3, 1, /tab/i],
  ['a key that appears twice', 'kind: Pod\nkind: Job\n', 2, 1, /unique/],
  ['a bracket that is never closed', 'kind: Pod\nspec: [a\nb: c\n', 3, 1, /flow sequence/],
  ['an alias without its anchor', 'kind: Pod\nspec: *nope\n', 2, 7, /alias without its anchor/],
  ['a value that begins with @', 'kind: @Pod\n', 1, 7, /reserved/],
])('%s is broken YAML, told with line and column', (_what, text, line, column, message) => {
  const { documents, problems } = read(text)
  expect(documents).toEqual([])
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatchObject({
    location: { source: 'pod.yaml', line, column },
    message: expect.stringMatching(message) as string,
  })
})

test('a broken document does not hide the others', () => {
  const { documents, problems } = read('kind: A\n---\nkind: [\n---\nkind: C\n---\nx: *y\n')
  expect(documents.map(({ value }) => value)).toEqual([{ kind: 'A' }, { kind: 'C' }])
  expect(problems.map(({ location }) => location.line)).toEqual([4, 7])
})

test('aliases that unfold into millions of values are refused', () => {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x]']
  for (let level = 1; level < 9; level++)
    lines.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    )
  expect(read(lines.join('\n')).problems[0]?.message).toMatch(/too many values/)
})

test('whatever a file holds, it is read without an exception, and every problem has a place', () => {
  const word = fc.constantFrom(
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '&x',
    '*x',
    '!t',
    '|',
    '>',
    '\t',
    '---\n',
    '%',
    '\u0000',
    '<<',
    '#',
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), (words) => {
      const { documents, problems } = read(words.join(''))
      for (const { location } of [...documents, ...problems]) expect(location.source).toBe('pod.yaml')
    }),
    { numRuns: 500 },
  )
})

test('a message about broken YAML never repeats what the file holds', () => {
  const around = fc.constantFrom(
    '%',
    ' tail\n',
    '"',
    "'",
    '\n',
    ': ',
    '[',
    '{',
    '}',
    ']',
    '\\q',
    '*',
    '!',
    '|',
    '\t',
    ', ',
    '&',
    '?',
    '@',
  )
  fc.assert(
    fc.property(fc.array(around, { maxLength: 6 }), fc.array(around, { maxLength: 6 }), (before, after) => {
      const text = `csi.cert-manager.io/pkcs12-password: ${before.join('')}hunter2${after.join('')}\nx: y\n`
      for (const { message } of read(text).problems) expect(message).not.toContain('hunter2')
    }),
    { numRuns: 1000 },
  )
})
