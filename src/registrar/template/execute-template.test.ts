import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { executeTemplate } from './execute-template.ts'
import { corpus, refused, unsupported } from './fixtures/corpus.ts'
import { templateText } from './fixtures/template-text.ts'
import { trialData } from './fixtures/trial-data.ts'
import { parseTemplate } from './parse-template.ts'
import { TemplateError } from './template-error.ts'

function outcomeOf(text: string): { readonly text: string } | { readonly line: number } {
  try {
    return { text: executeTemplate(parseTemplate(text), trialData) }
  } catch (error) {
    if (error instanceof TemplateError) return { line: error.line }
    throw error
  }
}

function result(text: string): string | undefined {
  const outcome = outcomeOf(text)
  return 'text' in outcome ? outcome.text : undefined
}

test.each(corpus)('%j gives %j', (template, expected) => {
  expect(result(template)).toBe(expected)
})

test.each([...refused, ...unsupported])('%j has no result', (template) => {
  expect(result(template)).toBeUndefined()
})

test.each([
  [
    'a\n\n{{.Pod.Nope}}',
    "line 3: can't evaluate field Nope in a struct, which has Name, UID, Namespace, ServiceAccount, Hostname, NodeName",
  ],
  ['{{.Context.Nope}}', 'line 1: there is no value for the key "Nope"'],
  ['a\n{{lower .Pod.Name}}', 'line 2: function "lower" not defined'],
  ['{{if true}}\n', 'line 2: unexpected end of text: an {{end}} is missing'],
  ['\n{{.Pod.Name', 'line 2: unclosed action'],
  ['{{range 1000000}}\n{{end}}', 'line 1: the template takes more than 10000 steps'],
  ['{{/* a\nb */}}\n{{printf "%d" "a"}}', 'line 3: %d is not supported for a string'],
  ['{{define "a"}}{{template "a"}}{{end}}\n{{template "a"}}', 'line 1: templates call each other too deep'],
  [`{{${'('.repeat(60)}1${')'.repeat(60)}}}`, 'line 1: actions and parentheses stand too deep in each other'],
  ['x'.repeat(70_000), 'line 1: the template is longer than 65536 characters'],
  ['x'.repeat(9000), 'line 1: the text is longer than 8192 bytes'],
])('%.60j says what is wrong and where', (template, message) => {
  expect(() => executeTemplate(parseTemplate(template), trialData)).toThrow(message)
})

test('whatever a template is, it has a bounded result or a problem with its line', () => {
  const any = fc.oneof(templateText, fc.string(), fc.stringMatching(/^[{}\-"'`.$|():=,/*a-f0-9 \n\\%é]{0,60}$/))
  fc.assert(
    fc.property(any, (text) => {
      const outcome = outcomeOf(text)
      const isGood =
        'line' in outcome
          ? outcome.line >= 1 && outcome.line <= text.split('\n').length
          : Buffer.byteLength(outcome.text) <= 8192
      expect(isGood).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('a template gives the same each time', () => {
  fc.assert(
    fc.property(templateText, (text) => {
      expect(result(text)).toBe(result(text))
    }),
  )
})

test('text without actions is its own result', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !text.includes('{{')),
      (text) => {
        expect(result(text)).toBe(text.toWellFormed())
      },
    ),
  )
})
