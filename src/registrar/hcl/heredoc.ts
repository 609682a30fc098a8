import type { Literal, LiteralProblem } from './quoted.ts'

const anchor = /<<(-?)([\w\p{L}\p{Nd}]+)\n/uy

/**
 * Reads a heredoc: `<<EOF`, lines, and a line that holds `EOF` alone, with blanks before it or without. With `<<-EOF` the blanks
 * before the last line are taken off every line, where every line begins with them.
 *
 * The rules are HCL 1's to the letter. Two of them surprise: a line end must follow the last line, and the last line of a `<<-EOF`
 * must be indented.
 *
 * @param start - of its `<<`
 */
export function readHeredoc(source: string, start: number): Literal | LiteralProblem {
  anchor.lastIndex = start
  const [opening, dash = '', name = ''] = anchor.exec(source) ?? []
  if (opening === undefined) {
    return {
      offset: start,
      problem: 'a heredoc begins with << and a word alone on the rest of the line, such as <<EOF',
    }
  }
  const bodyStart = start + opening.length
  for (let line = bodyStart; ;) {
    const end = source.indexOf('\n', line)
    if (end < 0) return { offset: start, problem: `a heredoc is not closed by a line that holds ${name} alone` }
    const indent = closingIndent(source.slice(line, end), name)
    if (indent !== undefined && (dash === '' || indent !== '')) {
      const lines = source.slice(bodyStart, line)
      return { end: end + 1, value: dash === '' ? lines + indent : unindent(lines, indent) }
    }
    line = end + 1
  }
}

/** The blanks before the word that closes a heredoc; undefined where the line does not close it. */
function closingIndent(line: string, name: string): string | undefined {
  if (!line.endsWith(name)) return undefined
  const indent = line.slice(0, -name.length)
  return /^[\t\v\f\r ]*$/.test(indent) ? indent : undefined
}

function unindent(body: string, indent: string): string {
  const lines = body.split('\n').slice(0, -1)
  if (lines.every((line) => line.startsWith(indent))) {
    return lines.map((line) => `${line.slice(indent.length)}\n`).join('')
  }
  return (body + indent.slice(0, -1)).replace(/[ \t]+$/, '')
}
