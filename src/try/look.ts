/** How text is emphasised. */
export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow'

/** How a person's terminal wants things. */
export interface Look {
  /** Columns. */
  readonly width: number
  readonly colour: boolean
  /** Of the times that are shown; the machine's own where absent. */
  readonly timeZone?: string
}

/** SGR parameters (ECMA-48 §8.3.117). */
const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
  yellow: [33, 39],
}

/** The text in a style, or as it is where the look has no colour. */
export function paint(look: Look, style: Style, text: string): string {
  if (!look.colour || text === '') return text
  const [on, off] = codes[style]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

/** A text without control characters: what a manifest holds must not move the cursor of who reads about it. */
export function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
}

/**
 * Breaks a text at its spaces so that each line fits, and cleans it. A word that is longer than a line stays whole: names, paths
 * and serials are there to be copied.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of clean(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** The time of day, to the second. */
export function formatTime(look: Look, at: number): string {
  const zone = look.timeZone === undefined ? {} : { timeZone: look.timeZone }
  return new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', ...zone }).format(at)
}

/** A number with its thousands apart. */
export function formatCount(count: number): string {
  return new Intl.NumberFormat('en-US').format(count)
}

/** `1 pod`, `2 pods`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** A span of time as people say it: `84 ms`, `1.3 s`, `20 s`, `5 min`, `2 h`. */
export function formatSpan(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  const minutes = seconds / 60
  return minutes < 120 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 6) / 10} h`
}
