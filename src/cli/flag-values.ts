import { InvalidArgumentError } from 'commander'
import { parseGoDuration } from '../runtime/go-duration.ts'
import type { LogLevel } from '../runtime/log.ts'
import { parseAddress } from '../runtime/metrics-server.ts'

/** `true` and `false` in the spellings that Go's strconv.ParseBool takes, because DaemonSets say `--flag=true`. */
export function parseBoolean(value: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false
  throw new InvalidArgumentError('It must be true or false.')
}

/** A number, with or without fraction. */
export function parseNumber(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number)) throw new InvalidArgumentError('It must be a number.')
  return number
}

/** A whole number from 0. */
export function parseCount(value: string): number {
  const number = parseNumber(value)
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('It must be a whole number from 0.')
  return number
}

/** A duration of Go that is longer than nothing; milliseconds. */
export function parseLifetime(value: string): number {
  const duration = parseDelay(value)
  if (duration <= 0) throw new InvalidArgumentError('It must be longer than 0.')
  return duration
}

/** A duration of Go that is not negative; milliseconds. */
export function parseDelay(value: string): number {
  let duration: number
  try {
    duration = parseGoDuration(value)
  } catch {
    throw new InvalidArgumentError('It must be a duration, such as 720h or 1m30s.')
  }
  if (duration < 0) throw new InvalidArgumentError('It must not be negative.')
  return duration
}

/**
 * The path of a Unix socket. `unix://plugin/csi.sock` means /plugin/csi.sock, as the Go driver takes it.
 *
 * @returns absolute
 */
export function parseEndpoint(value: string): string {
  const path = /^unix:(?:\/\/)?(.+)$/.exec(value)?.[1] ?? (value.startsWith('/') ? value : undefined)
  if (path === undefined) throw new InvalidArgumentError('It must be a Unix socket, such as unix:///plugin/csi.sock.')
  return path.startsWith('/') ? path : `/${path}`
}

/** An address to serve on, or 0 for none. It is kept as it was written. */
export function parseBindAddress(value: string): string {
  try {
    if (value !== '0' && value !== '') parseAddress(value)
    return value
  } catch {
    throw new InvalidArgumentError('It must be host:port, :port, or 0 for nowhere.')
  }
}

/** A level by name, or by the number that the Go driver takes: 5 and more for everything. */
export function parseLogLevel(value: string): LogLevel {
  // `-v=5` reaches a short flag with its sign.
  const level = value.replace(/^=/, '')
  if (level === 'debug' || level === 'info' || level === 'warn' || level === 'error') return level
  if (/^\d+$/.test(level)) return Number(level) >= 5 ? 'debug' : 'info'
  throw new InvalidArgumentError('It must be debug, info, warn, error, or a number.')
}

/** Collects a flag that may be given more than once. */
export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
