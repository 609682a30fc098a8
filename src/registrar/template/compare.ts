import { FunctionError } from './function-error.ts'
import { isByte, kindOf, settled, type Value } from './value.ts'

type Basic = string | bigint | number | boolean

/** Bytes and integers compare with each other by their values (Go text/template). Undefined for what has no basic kind. */
function basic(value: Value): Basic | undefined {
  const seen = settled(value)
  if (isByte(seen)) return BigInt(seen.byte)
  return typeof seen === 'object' ? undefined : seen
}

/** Whether the first is equal to any of the others. */
export function isEqualToAny(first: Value, others: readonly Value[]): boolean {
  if (others.length === 0) throw new FunctionError('missing argument for comparison')
  return others.some((other) => isEqual(first, other))
}

function isEqual(a: Value, b: Value): boolean {
  const [left, right] = [basic(a), basic(b)]
  if (typeof left !== typeof right) {
    if (settled(a) === undefined || settled(b) === undefined) return false
    throw incomparable(a, b)
  }
  if (left !== undefined) return left === right
  const [isNil, otherIsNil] = [settled(a) === undefined, settled(b) === undefined]
  // No map can be compared in Go, nor anything that holds one.
  if (!isNil && !otherIsNil) throw incomparable(a, b)
  return isNil && otherIsNil
}

/** Texts by their bytes; booleans and what is no basic value have no order. */
export function isLess(a: Value, b: Value): boolean {
  const [left, right] = [basic(a), basic(b)]
  if (!isOrdered(left) || !isOrdered(right)) throw new FunctionError('invalid type for comparison')
  if (typeof left !== typeof right) throw incomparable(a, b)
  return left < right
}

function isOrdered(value: Basic | undefined): value is string | bigint | number {
  return value !== undefined && typeof value !== 'boolean'
}

function incomparable(a: Value, b: Value): FunctionError {
  return new FunctionError(`incompatible types for comparison: ${kindOf(a)} and ${kindOf(b)}`)
}
