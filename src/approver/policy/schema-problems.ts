import * as v from 'valibot'
import { child, type Field } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import { kindOf } from '../../manifest/typed-field.ts'
import { didYouMean } from '../../runtime/did-you-mean.ts'

type Issue = v.BaseIssue<unknown>

/** Everything that a schema finds wrong with a document, each with its place. */
export function schemaProblems(schema: v.GenericSchema, document: Field, object: string): readonly Problem[] {
  const { issues = [] } = v.safeParse(schema, document.value)
  return issues.map((issue) => {
    const keys = (issue.path ?? []).map(({ key }) => key as string | number)
    const field = keys.reduce(child, document)
    return {
      location: field.location,
      object,
      message: `${field.path || 'the document'} ${messageOf(issue, schema, keys)}`,
    }
  })
}

function messageOf(issue: Issue, schema: v.GenericSchema, keys: readonly (string | number)[]): string {
  const key = keys.at(-1)
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const known = knownKeys(schema, keys.slice(0, -1))
    const guess = typeof key === 'string' ? didYouMean(key, known) : undefined
    const hint = guess === undefined ? `, only ${known.join(', ')}` : `, did you mean ${guess}?`
    return `is unknown${hint}`
  }
  if (issue.input === undefined) return 'is required'
  if (issue.type === 'picklist')
    return `must be one of ${issue.expected?.replaceAll(/[()"]/g, '').replaceAll(' | ', ', ')}`
  // A message of our own says what must be; the library's names types.
  if (!issue.message.startsWith('Invalid ')) return issue.message
  return `must be ${typeWords[issue.type] ?? issue.expected}, and is ${kindOf(issue.input)}`
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  record: 'an object',
  strict_object: 'an object',
  loose_object: 'an object',
}

/** The keys that an object of a schema may have, some steps below its root. */
function knownKeys(root: v.GenericSchema, keys: readonly (string | number)[]): string[] {
  let schema: unknown = unwrap(root)
  for (const key of keys) {
    const next = typeof key === 'number' ? property(schema, 'item') : property(property(schema, 'entries'), key)
    schema = unwrap(next)
  }
  return Object.keys(property(schema, 'entries') ?? {})
}

/** What an optional schema, or one with further checks, is about. */
function unwrap(schema: unknown): unknown {
  const wrapped = property(schema, 'wrapped')
  if (wrapped !== undefined) return unwrap(wrapped)
  const pipe = property(schema, 'pipe')
  return Array.isArray(pipe) && pipe[0] !== schema ? unwrap(pipe[0]) : schema
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined
}
