import pino from 'pino'

/** A structured log. Fields never hold a key, a token or a password: callers pass names and numbers, not requests. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: Record<string, unknown>): Log
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Where a log goes, and how it looks. */
export interface LogDestination {
  /** A file to append to; undefined for standard error. */
  readonly path?: string | undefined
  /** JSON, or `key=value` as logrus writes it. @default {'json'} */
  readonly format?: 'json' | 'text'
}

/**
 * A line for each message, on standard error unless a file is named.
 *
 * @param level - the lowest level that is written
 * @throws {Error} where the file cannot be opened
 */
export function createLog(level: LogLevel, { path, format = 'json' }: LogDestination = {}): Log {
  const file = pino.destination({ ...(path === undefined ? { dest: 2 } : { dest: path, append: true }), sync: true })
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.errWithCause },
    },
    format === 'json' ? file : { write: (line: string) => file.write(textLine(line)) },
  )
}

/** A log that says nothing. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}

/** @param line - in JSON, as pino makes it */
function textLine(line: string): string {
  const { level, time, message, ...fields } = JSON.parse(line) as Record<string, unknown>
  const pairs = Object.entries({ time, level, msg: message, ...fields })
  return `${pairs.map(([key, value]) => `${key}=${textValue(value)}`).join(' ')}\n`
}

/** Quoted unless it is one plain word. */
function textValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /^[\w.,:/@+-]+$/.test(text) ? text : JSON.stringify(text)
}
