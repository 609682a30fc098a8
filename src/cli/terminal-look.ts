import type { Look } from '../try/look.ts'

/** How to write to a stream: colours only where a person looks, who has not said no (https://no-color.org). */
export function lookOf(output: NodeJS.WriteStream, color: boolean): Look {
  const colour = output.isTTY && color && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb'
  return { width: Math.min(Math.max(output.columns ?? 100, 60), 100), colour }
}
