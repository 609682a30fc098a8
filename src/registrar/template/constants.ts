import { type ByteText, toBytes } from './byte-text.ts'

const plainEscapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
}

const escape = /\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))/g

/**
 * Reads the inside of a string or character constant: Go's escapes.
 *
 * @param quote - the one that may be escaped
 * @returns undefined where an escape is none
 */
function unescape(inside: string, quote: string): ByteText | undefined {
  let bytes = ''
  let end = 0
  for (const match of inside.matchAll(escape)) {
    const [whole, octal, hex, short, long, plain] = match
    const rune = short ?? long
    let escaped: string | undefined
    if (octal !== undefined) escaped = byteOf(Number.parseInt(octal, 8))
    else if (hex !== undefined) escaped = byteOf(Number.parseInt(hex, 16))
    else if (rune !== undefined) escaped = runeBytes(Number.parseInt(rune, 16))
    else escaped = plain === quote ? quote : plainEscapes[plain ?? '']
    if (escaped === undefined) return undefined
    bytes += toBytes(inside.slice(end, match.index)) + escaped
    end = match.index + whole.length
  }
  return bytes + toBytes(inside.slice(end))
}

function byteOf(value: number): ByteText | undefined {
  return value < 256 ? String.fromCharCode(value) : undefined
}

function runeBytes(rune: number): ByteText | undefined {
  const isRune = rune <= 0x10_ffff && (rune < 0xd800 || rune > 0xdfff)
  return isRune ? toBytes(String.fromCodePoint(rune)) : undefined
}

/** @param text - with its quotes; undefined is returned where an escape in it is none */
export function readString(text: string): ByteText | undefined {
  if (text.startsWith('`')) return toBytes(text.slice(1, -1).replaceAll('\r', ''))
  return unescape(text.slice(1, -1), '"')
}

/** @param text - with its quotes; the number of the one character in them, undefined where it is anything else */
export function readCharacter(text: string): bigint | undefined {
  const inside = text.slice(1, -1)
  // A byte that is escaped is a number, not a part of a letter.
  const byte = /^\\(?:x([0-9a-fA-F]{2})|([0-7]{3}))$/.exec(inside)
  if (byte !== null) {
    const value = Number.parseInt(byte[1] ?? byte[2] ?? '', byte[1] === undefined ? 8 : 16)
    return value < 256 ? BigInt(value) : undefined
  }
  const bytes = unescape(inside, "'")
  if (bytes === undefined) return undefined
  const [rune, ...rest] = Buffer.from(bytes, 'latin1').toString()
  return rune === undefined || rest.length > 0 ? undefined : BigInt(rune.codePointAt(0) ?? 0)
}

const integer = /^[+-]?(?:0|[1-9](?:_?\d)*|0(?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)$/
const float = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const [smallest, largest] = [-(2n ** 63n), 2n ** 63n - 1n]

/** @returns an integer of 64 bits, or a floating-point number where it is written as one; undefined where it is neither */
export function readNumber(text: string): bigint | number | undefined {
  if (integer.test(text)) {
    const digits = text.replaceAll(/[+\-_]/g, '').replace(/^0(?=[0-7]+$)/, '0o')
    const value = text.startsWith('-') ? -BigInt(digits) : BigInt(digits)
    return value < smallest || value > largest ? undefined : value
  }
  if (!float.test(text) || !/[.eE]/.test(text)) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}
