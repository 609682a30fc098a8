import { inspect } from 'node:util'
import type { Log } from '../../src/runtime/log.ts'

/**
 * A log that a test reads: each line has the message, then the fields with all their properties, errors and their causes included.
 *
 * @param lines - what is logged is added to them
 */
export function recordingLog(lines: string[]): Log {
  const write = (fields: object, message: string): void => {
    lines.push(`${message} ${inspect(fields, { depth: null })}`)
  }
  return { debug: write, info: write, warn: write, error: write, child: () => recordingLog(lines) }
}
