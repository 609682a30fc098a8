/** What is wrong with a literal, and where. */
export interface LiteralProblem {
  readonly offset: number
  readonly problem: string
}

/** Where a literal ends, and the text that it stands for. */
export interface Literal {
  /** The offset behind it. */
  readonly end: number
  readonly value: string
}

const escape = /\\(?:[abfnrtv\\"]|[0-3][0-7]{2}|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})/y

/** What the letters stand for. HCL 1 has Go's escapes. */
const controls: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
}

/**
 * Reads a text in double quotes. What stands between `${` and its brace is kept as it is, and may hold quotes and line ends.
 *
 * @param start - of its first quote
 */
export function readQuoted(source: string, start: number): Literal | LiteralProblem {
  // Bytes and not characters: \xc3\xa4 is one letter.
  const parts: Buffer[] = []
  let taken = start + 1
  let braces = 0
  let at = start + 1
  for (; at < source.length; at++) {
    const unit = source[at]
    if (unit === '"' && braces === 0) break
    if (unit === '\n' && braces === 0) return { offset: start, problem: 'a text in quotes is not closed on its line' }
    if (unit === '\\') {
      escape.lastIndex = at
      const [escaped] = escape.exec(source) ?? []
      const bytes = escaped === undefined ? undefined : bytesOf(escaped.slice(1))
      if (escaped === undefined || bytes === undefined) {
        return { offset: at, problem: 'there is no such escape; a backslash itself is written \\\\' }
      }
      if (braces === 0) {
        parts.push(Buffer.from(source.slice(taken, at)), bytes)
        taken = at + escaped.length
      }
      at += escaped.length - 1
    } else if (braces > 0) {
      braces += Number(unit === '{') - Number(unit === '}')
    } else if (unit === '$' && source[at + 1] === '{') {
      braces = 1
      at++
    }
  }
  if (at >= source.length) return { offset: start, problem: 'a text in quotes is not closed' }
  const rest = source.slice(taken, at)
  return { end: at + 1, value: parts.length === 0 ? rest : Buffer.concat([...parts, Buffer.from(rest)]).toString() }
}

/** @returns undefined for a code point that there is not */
function bytesOf(escaped: string): Buffer | undefined {
  const control = controls[escaped]
  if (control !== undefined) return Buffer.from(control)
  if (escaped.startsWith('x')) return Buffer.of(Number.parseInt(escaped.slice(1), 16))
  if (/^[0-7]/.test(escaped)) return Buffer.of(Number.parseInt(escaped, 8))
  const codePoint = Number.parseInt(escaped.slice(1), 16)
  // Half a pair becomes the replacement character, as Go has it.
  return codePoint > 0x10ffff ? undefined : Buffer.from(String.fromCodePoint(codePoint))
}
