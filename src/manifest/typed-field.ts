import { type Field, isObject } from './manifest.ts'

/** Told of everything that is wrong with a field. */
export type Fault = (field: Field, message: string) => void

/** The text of a field; undefined where it is absent, null or, told to `fault`, anything else. */
export function readText(field: Field, fault: Fault): string | undefined {
  return readAs(field, fault, 'a text', (value) => typeof value === 'string')
}

/** A whole number that is not negative; undefined where it is absent, null or, told to `fault`, anything else. */
export function readCount(field: Field, fault: Fault): number | undefined {
  return readAs(field, fault, 'a whole number, not negative', isCount)
}

/** True or false; false where it is absent, null or, told to `fault`, anything else. */
export function readFlag(field: Field, fault: Fault): boolean {
  return readAs(field, fault, 'true or false', (value) => typeof value === 'boolean') ?? false
}

/** Whether a field is a list; one that is absent or null is not, one that is anything else is told to `fault`. */
export function isListField(field: Field, fault: Fault): boolean {
  return readAs(field, fault, 'a list', (value) => Array.isArray(value)) !== undefined
}

/** Whether a field is an object; one that is absent or null is not, one that is anything else is told to `fault`. */
export function isObjectField(field: Field, fault: Fault): boolean {
  return readAs(field, fault, 'an object', isObject) !== undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function readAs<T>(field: Field, fault: Fault, expected: string, is: (value: unknown) => value is T): T | undefined {
  const { value, path } = field
  if (value === undefined || value === null) return undefined
  if (is(value)) return value
  // The value itself is not shown: it may be a password in the wrong place.
  fault(field, `${path} must be ${expected}, and is ${kindOf(value)}`)
  return undefined
}

/** What a value of the wrong type is, in words. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return 'a text'
  if (typeof value === 'number' || typeof value === 'bigint') return 'a number'
  return typeof value === 'boolean' ? 'a boolean' : 'an object'
}
