import { type ByteText, fromBytes } from './byte-text.ts'

const htmlEscapes: Readonly<Record<string, string>> = {
  '\0': '\u00ef\u00bf\u00bd',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
}

export function escapeHtml(text: ByteText): ByteText {
  // oxlint-disable-next-line no-control-regex -- a zero byte is one of those that are escaped
  return text.replaceAll(/[\0"'&<>]/g, (character) => htmlEscapes[character] ?? '')
}

/** For the query of a URL: a space becomes a plus sign (Go url.QueryEscape). */
export function escapeQuery(text: ByteText): ByteText {
  return text.replaceAll(/[^A-Za-z0-9\-_.~]/g, (character) =>
    character === ' ' ? '+' : `%${hex(character.charCodeAt(0), 2)}`,
  )
}

/** For a JavaScript string: ASCII first, then what can be printed as it is. */
export function escapeJavaScript(text: ByteText): ByteText {
  return mapRunes(text, (rune, bytes) => {
    if (rune === '\\' || rune === "'" || rune === '"') return `\\${rune}`
    const code = rune.codePointAt(0) ?? 0
    if (code < 0x20 || '<>&='.includes(rune)) return String.raw`\u${hex(code, 4)}`
    return code < 0x80 || isPrintable(rune) ? bytes : String.raw`\u${hex(code, 4)}`
  })
}

const quoteEscapes: Readonly<Record<string, string>> = {
  '\u0007': String.raw`\a`,
  '\b': String.raw`\b`,
  '\f': String.raw`\f`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
  '\v': String.raw`\v`,
  '\\': '\\\\',
}

/** As Go's strconv.Quote does, with the quotes. */
export function quote(text: ByteText, mark: '"' | "'" = '"'): ByteText {
  const inside = mapRunes(text, (rune, bytes) => {
    if (rune === mark) return `\\${mark}`
    const known = quoteEscapes[rune]
    if (known !== undefined) return known
    const code = rune.codePointAt(0) ?? 0
    if (bytes.length === 1 && code === 0xfffd) return `\\x${hex(bytes.charCodeAt(0), 2).toLowerCase()}`
    if (isPrintable(rune)) return bytes
    if (code < 0x20 || code === 0x7f) return `\\x${hex(code, 2).toLowerCase()}`
    return code > 0xffff ? `\\U${hex(code, 8).toLowerCase()}` : `\\u${hex(code, 4).toLowerCase()}`
  })
  return `${mark}${inside}${mark}`
}

/** Go strconv.IsPrint: letters, marks, numbers, punctuation, symbols, and the space of ASCII. */
function isPrintable(rune: string): boolean {
  return /^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(rune)
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

const rune = /[\0-\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\s\S]/g

/** @param map - is given each rune, U+FFFD for a byte that belongs to none, and its bytes */
export function mapRunes(text: ByteText, map: (rune: string, bytes: ByteText) => ByteText): ByteText {
  let mapped = ''
  for (const [bytes] of text.matchAll(rune)) {
    const decoded = fromBytes(bytes)
    if (decoded === undefined) for (const byte of bytes) mapped += map('\ufffd', byte)
    else mapped += map(decoded, bytes)
  }
  return mapped
}
