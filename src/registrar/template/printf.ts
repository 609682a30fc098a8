import { type ByteText, toBytes } from './byte-text.ts'
import { mapRunes, quote } from './escape.ts'
import { FunctionError } from './function-error.ts'
import { longestText, textOf, tooLong } from './text-of.ts'
import { isByte, isMissing, kindOf, type Value } from './value.ts'

/** One verb of a format, such as `%-8.3s`. */
interface Verb {
  readonly verb: string
  readonly flags: string
  readonly width: number
  readonly precision: number | undefined
}

const form = /%([-+# 0]*)(\d*)(?:\.(\d*))?([\s\S]?)/g

/**
 * Go's fmt.Sprintf with the verbs v, s, q, x, X, d, b, o, c, t and %, the flags `-`, `0`, `+` and space, width and precision.
 *
 * Where Go prints a note into the text, such as `%!d(string=a)` or `%!s(MISSING)`, this fails; so do `#`, `*`, `[1]` and other verbs.
 *
 * @throws {FunctionError}
 */
export function printf(format: Value, args: readonly Value[]): ByteText {
  if (isMissing(format)) return textOf(format)
  if (typeof format !== 'string') throw new FunctionError(`the format is a ${kindOf(format)}, not a string`)
  let text = ''
  let end = 0
  let used = 0
  for (const match of format.matchAll(form)) {
    const [whole, flags = '', width = '', precision, verb = ''] = match
    text += format.slice(end, match.index)
    end = match.index + whole.length
    if (verb === '%') text += '%'
    else {
      if (used === args.length) throw new FunctionError(`there is no argument for ${whole}`)
      const limit = precision === undefined ? undefined : Number(precision)
      if (Number(width) > longestText || (limit ?? 0) > longestText) throw tooLong()
      text += print({ verb, flags, width: Number(width), precision: limit }, args[used++], whole)
    }
    if (text.length > longestText) throw tooLong()
  }
  if (used < args.length) throw new FunctionError(`the format has no place for ${args.length - used} of its arguments`)
  return text + format.slice(end)
}

function print(verb: Verb, value: Value, written: string): ByteText {
  if (value === undefined || isMissing(value)) return textOf(value)
  const number = isByte(value) ? BigInt(value.byte) : value
  let text: ByteText | undefined
  if (verb.flags.includes('#')) text = undefined
  else if (typeof number === 'string') text = printText(verb, number)
  else if (typeof number === 'bigint') text = printInteger(verb, number)
  else if (typeof number === 'boolean')
    text = 'tv'.includes(verb.verb) && !verb.flags.includes('+') ? pad(verb, String(number)) : undefined
  else if (typeof number === 'number') text = printFloat(verb, number)
  if (text === undefined) throw new FunctionError(`${written} is not supported for a ${kindOf(value)}`)
  return text
}

function printText(verb: Verb, value: ByteText): ByteText | undefined {
  if (/[+ ]/.test(verb.flags)) return undefined
  switch (verb.verb) {
    case 'v':
    case 's':
      return pad(verb, firstRunes(value, verb.precision))
    case 'q':
      return pad(verb, quote(firstRunes(value, verb.precision)))
    case 'x':
    case 'X': {
      const hex = Buffer.from(value.slice(0, verb.precision), 'latin1').toString('hex')
      return pad(verb, verb.verb === 'X' ? hex.toUpperCase() : hex)
    }
    default:
      return undefined
  }
}

const bases: Readonly<Record<string, number>> = { v: 10, d: 10, b: 2, o: 8, x: 16, X: 16 }

function printInteger(verb: Verb, value: bigint): ByteText | undefined {
  if (verb.verb === 'c') return pad(verb, runeOf(value))
  if (verb.verb === 'q') return verb.flags.includes('+') ? undefined : pad(verb, quote(runeOf(value), "'"))
  const base = bases[verb.verb]
  if (base === undefined || (verb.verb === 'v' && verb.flags.includes('+'))) return undefined
  // Nothing in no digits is nothing.
  if (verb.precision === 0 && value === 0n) return ' '.repeat(verb.width)
  const digits = (value < 0n ? -value : value).toString(base)
  const sign = signOf(verb, value)
  const zeros = verb.precision ?? (padsWithZeros(verb) ? verb.width - sign.length : 0)
  const text = sign + (verb.verb === 'X' ? digits.toUpperCase() : digits).padStart(zeros, '0')
  return pad({ ...verb, flags: verb.flags.replaceAll('0', '') }, text)
}

function signOf({ flags }: Verb, value: bigint): string {
  if (value < 0n) return '-'
  if (flags.includes('+')) return '+'
  return flags.includes(' ') ? ' ' : ''
}

function printFloat(verb: Verb, value: number): ByteText | undefined {
  const plain = verb.verb === 'v' && verb.precision === undefined && !/[+ 0]/.test(verb.flags)
  return plain ? pad(verb, textOf(value)) : undefined
}

function runeOf(value: bigint): ByteText {
  const isRune = value >= 0n && value <= 0x10_ffffn && (value < 0xd800n || value > 0xdfffn)
  return toBytes(isRune ? String.fromCodePoint(Number(value)) : '\ufffd')
}

function firstRunes(text: ByteText, count: number | undefined): ByteText {
  if (count === undefined) return text
  let left = count
  return mapRunes(text, (_, bytes) => (left-- > 0 ? bytes : ''))
}

function padsWithZeros({ flags }: Verb): boolean {
  return flags.includes('0') && !flags.includes('-')
}

/** To the width in letters, not bytes. */
function pad(verb: Verb, text: ByteText): ByteText {
  let letters = 0
  mapRunes(text, (_, bytes) => {
    letters++
    return bytes
  })
  const padding = (padsWithZeros(verb) ? '0' : ' ').repeat(Math.max(0, verb.width - letters))
  return verb.flags.includes('-') ? text + padding : padding + text
}
