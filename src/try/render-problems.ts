import { type Look, clean, paint, wrap } from './look.ts'
import type { Problem } from '../manifest/problem.ts'

/** What was found before the play, good or bad: where, and below it what. */
export function renderProblems(problems: readonly Problem[], look: Look, style: 'red' | 'yellow'): string[] {
  const lines: string[] = []
  let above = ''
  for (const { location, object, volume, attribute, message } of problems) {
    const where = [object, volume && `volume ${volume}`].filter((part) => part !== undefined).join(', ')
    const heading = clean(where === '' ? location.source : `${location.source}: ${where}`)
    if (heading !== above) lines.push(paint(look, 'bold', heading))
    above = heading
    const what = attribute === undefined ? message : `${attribute}: ${message}`
    const line = location.line === undefined ? '' : `line ${location.line}: `
    const [first = '', ...rest] = wrap(line + what, look.width - 4)
    lines.push(`  ${paint(look, style, style === 'red' ? '✗' : '!')} ${first}`, ...rest.map((text) => `    ${text}`))
  }
  return lines
}
