import { type Look, paint, wrap } from './look.ts'

/** Where labels end and values begin, in columns. */
const valueColumn = 14

/** A label and its values, one a line, long ones wrapped. */
export function entry(look: Look, label: string, ...values: readonly string[]): string[] {
  return labelled(look, '  ', label, values)
}

/** A line that says whether something is as it must be. */
export function line(look: Look, good: boolean, text: string): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 4)
  return [`  ${mark(look, good)} ${first}`, ...rest.map((more) => `    ${more}`)]
}

/** A label and its value behind a mark that says whether it is as it must be. */
export function check(look: Look, good: boolean, label: string, text: string): string[] {
  return labelled(look, `  ${mark(look, good)} `.slice(2), label, [text])
}

function labelled(look: Look, gutter: string, label: string, values: readonly string[]): string[] {
  const lines = values.flatMap((value) => wrap(value, look.width - valueColumn))
  return lines.map((value, index) =>
    index === 0
      ? `  ${gutter}${paint(look, 'dim', label.padEnd(valueColumn - 4))}${value}`
      : `${' '.repeat(valueColumn)}${value}`,
  )
}

/** A line that draws attention and says nothing bad. */
export function note(look: Look, text: string): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 4)
  return [`  ${paint(look, 'yellow', '!')} ${first}`, ...rest.map((more) => `    ${more}`)]
}

/** Something that explains the line above it. */
export function indented(look: Look, text: string): string[] {
  return wrap(text, look.width - 6).map((part) => `      ${paint(look, 'dim', part)}`)
}

function mark(look: Look, good: boolean): string {
  return good ? paint(look, 'green', '✓') : paint(look, 'red', '✗')
}
