import type { ByteText } from './byte-text.ts'

/** One byte of a text, as `index` yields it (Go uint8). */
export interface Byte {
  readonly byte: number
}

/** What a constant can be: integers are bigints, floating-point numbers are numbers. */
export type Scalar = ByteText | bigint | number | boolean

/** A map of texts by text. Its texts are no bytes yet. */
export type TextMap = ReadonlyMap<string, string>

/** Named fields (a Go struct): a field that it lacks is an error, unlike a key of a map. */
export interface Fields {
  readonly [name: string]: string | TextMap | Fields
}

/** A map's value for a key that it lacks. `zero` is what Go puts there: nothing for `.Context.X`, the empty text for `index`. */
export interface Missing {
  readonly missing: string
  readonly zero: ByteText | undefined
}

/** What templates work with; undefined is Go's nil. */
export type Value = Scalar | Byte | TextMap | Fields | Missing | undefined

export function isTextMap(value: Value): value is TextMap {
  return value instanceof Map
}

export function isByte(value: Value): value is Byte {
  return typeof value === 'object' && !isTextMap(value) && 'byte' in value && typeof value.byte === 'number'
}

export function isMissing(value: Value): value is Missing {
  return typeof value === 'object' && !isTextMap(value) && 'missing' in value && 'zero' in value
}

/** What Go sees where a key is missing. */
export function settled(value: Value): Exclude<Value, Missing> {
  return isMissing(value) ? value.zero : value
}

/** Whether `if` takes it for true: anything but zero, nothing and the empty text or map (Go text/template IsTrue). */
export function isTrue(value: Value): boolean {
  const seen = settled(value)
  if (isTextMap(seen)) return seen.size > 0
  if (isByte(seen)) return seen.byte !== 0
  return Boolean(seen)
}

/** What kind of value it is, in Go's words, for messages. */
export function kindOf(value: Value): string {
  const seen = settled(value)
  if (seen === undefined) return 'nil'
  if (typeof seen === 'string') return 'string'
  if (typeof seen === 'bigint') return 'int'
  if (typeof seen === 'number') return 'float64'
  if (typeof seen === 'boolean') return 'bool'
  if (isTextMap(seen)) return 'map'
  return isByte(seen) ? 'uint8' : 'struct'
}
