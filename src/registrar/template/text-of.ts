import type { ByteText } from './byte-text.ts'
import { FunctionError } from './function-error.ts'
import { isByte, isMissing, kindOf, type Value } from './value.ts'

/**
 * More than any name or ID has: a SPIFFE ID ends at 2048 bytes. It bounds what a template can make of little, in memory and time.
 */
export const longestText = 8192

/**
 * A value as it is printed (Go's `%v`).
 *
 * What Go would print as `<no value>`, `<nil>` or in brackets
 * has no place in a name, so it is an error here.
 *
 * @throws {FunctionError}
 */
export function textOf(value: Value): ByteText {
  if (isMissing(value)) throw new FunctionError(`there is no value for the key ${JSON.stringify(value.missing)}`)
  if (typeof value === 'string') return value
  if (typeof value === 'number') return floatText(value)
  if (isByte(value)) return String(value.byte)
  if (value === undefined || typeof value === 'object') throw new FunctionError(`a ${kindOf(value)} cannot be printed`)
  return String(value)
}

/** The fewest digits that mean this number, with an exponent of two digits or more where it is below -4 or above 5 (Go fmt). */
function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0'
  const [digits = '', exponent = ''] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power >= -4 && power < 6) return String(value)
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

/** Values one after the other, with a space between two that are both no text (Go fmt.Sprint). */
export function printAll(values: readonly Value[]): ByteText {
  let all = ''
  let afterText = true
  for (const value of values) {
    const isText = typeof value === 'string'
    all += (afterText || isText ? '' : ' ') + textOf(value)
    afterText = isText
    if (all.length > longestText) throw tooLong()
  }
  return all
}

/** Values with spaces between them, and an end of line (Go fmt.Sprintln). */
export function printLine(values: readonly Value[]): ByteText {
  const line = `${values.map(textOf).join(' ')}\n`
  if (line.length > longestText) throw tooLong()
  return line
}

export function tooLong(): FunctionError {
  return new FunctionError(`the text is longer than ${longestText} bytes`)
}
