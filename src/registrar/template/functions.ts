import { fromBytes, toBytes } from './byte-text.ts'
import { isEqualToAny, isLess } from './compare.ts'
import { escapeHtml, escapeJavaScript, escapeQuery } from './escape.ts'
import { FunctionError } from './function-error.ts'
import { printf } from './printf.ts'
import { printAll, printLine } from './text-of.ts'
import { isByte, isTextMap, isTrue, kindOf, settled, type Value } from './value.ts'

interface TemplateFunction {
  readonly fewest: number
  /** Absent where there may be any number. */
  readonly most?: number
  readonly apply: (args: readonly Value[]) => Value
}

/** Go's predefined functions. Whoever evaluates the arguments of `and` and `or` stops at the one that decides: here none does. */
const functions: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ['and', { fewest: 1, apply: (args) => args.at(-1) }],
  ['or', { fewest: 1, apply: (args) => args.at(-1) }],
  ['not', { fewest: 1, most: 1, apply: ([arg]) => !isTrue(arg) }],
  ['index', { fewest: 1, apply: ([item, ...indexes]) => indexes.reduce(indexOf, existing(item, 'index')) }],
  ['slice', { fewest: 1, apply: ([item, ...indexes]) => sliceOf(item, indexes) }],
  ['len', { fewest: 1, most: 1, apply: ([item]) => lengthOf(item) }],
  ['eq', { fewest: 1, apply: ([first, ...others]) => isEqualToAny(first, others) }],
  ['ne', { fewest: 2, most: 2, apply: ([a, b]) => !isEqualToAny(a, [b]) }],
  ['lt', { fewest: 2, most: 2, apply: ([a, b]) => isLess(a, b) }],
  ['le', { fewest: 2, most: 2, apply: ([a, b]) => isLess(a, b) || isEqualToAny(a, [b]) }],
  ['gt', { fewest: 2, most: 2, apply: ([a, b]) => !isLess(a, b) && !isEqualToAny(a, [b]) }],
  ['ge', { fewest: 2, most: 2, apply: ([a, b]) => !isLess(a, b) }],
  ['print', { fewest: 0, apply: printAll }],
  ['println', { fewest: 0, apply: printLine }],
  ['printf', { fewest: 1, apply: ([format, ...args]) => printf(format, args) }],
  ['html', { fewest: 0, apply: (args) => escapeHtml(printAll(args)) }],
  ['js', { fewest: 0, apply: (args) => escapeJavaScript(printAll(args)) }],
  ['urlquery', { fewest: 0, apply: (args) => escapeQuery(printAll(args)) }],
  ['call', { fewest: 1, apply: ([callee]) => noFunction(callee) }],
])

export function isFunction(name: string): boolean {
  return functions.has(name)
}

/** @throws {FunctionError} */
export function callFunction(name: string, args: readonly Value[]): Value {
  const called = functions.get(name)
  if (called === undefined) throw new FunctionError(`function ${JSON.stringify(name)} not defined`)
  const { fewest, most = Number.POSITIVE_INFINITY } = called
  if (args.length < fewest || args.length > most)
    throw new FunctionError(
      `wrong number of args for ${name}: want ${fewest === most ? '' : 'at least '}${fewest} got ${args.length}`,
    )
  return called.apply(args)
}

function noFunction(value: Value): never {
  throw new FunctionError(`a ${kindOf(value)} is no function`)
}

function existing(value: Value, name: string): Value {
  const seen = settled(value)
  if (seen === undefined) throw new FunctionError(`${name} of nil`)
  return seen
}

function indexOf(item: Value, index: Value): Value {
  const seen = settled(item)
  if (typeof seen === 'string') {
    const at = placeOf(index, seen.length)
    if (at === seen.length) throw new FunctionError(`index out of range: ${at}`)
    return { byte: seen.charCodeAt(at) }
  }
  if (!isTextMap(seen)) throw new FunctionError(`cannot index a ${kindOf(seen)}`)
  const bytes = settled(index)
  if (typeof bytes !== 'string') throw new FunctionError(`a map's key is a string, not a ${kindOf(index)}`)
  const key = fromBytes(bytes)
  const value = key === undefined ? undefined : seen.get(key)
  return value === undefined ? { missing: key ?? bytes, zero: '' } : toBytes(value)
}

function sliceOf(item: Value, indexes: readonly Value[]): Value {
  const text = existing(item, 'slice')
  if (typeof text !== 'string') throw new FunctionError(`cannot slice a ${kindOf(item)}`)
  if (indexes.length > 2) throw new FunctionError('a string is sliced with two indexes at most')
  const [start = 0, end = text.length] = indexes.map((index) => placeOf(index, text.length))
  if (start > end) throw new FunctionError(`invalid slice index: ${start} > ${end}`)
  return text.slice(start, end)
}

/** @param length - the last place that there is */
function placeOf(index: Value, length: number): number {
  const seen = settled(index)
  const place = isByte(seen) ? BigInt(seen.byte) : seen
  if (typeof place !== 'bigint') throw new FunctionError(`cannot index with a ${kindOf(index)}`)
  if (place < 0n || place > BigInt(length)) throw new FunctionError(`index out of range: ${place}`)
  return Number(place)
}

function lengthOf(item: Value): bigint {
  const seen = existing(item, 'len')
  if (typeof seen === 'string') return BigInt(seen.length)
  if (isTextMap(seen)) return BigInt(seen.size)
  throw new FunctionError(`len of a ${kindOf(item)}`)
}
