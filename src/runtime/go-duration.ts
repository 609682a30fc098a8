/** Nanoseconds in each unit of Go's duration grammar; both code points of the micro sign are accepted (Go time.ParseDuration). */
const unitNanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  '\u00b5s': 1e3,
  '\u03bcs': 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

/** Go keeps a duration in 63 bits of nanoseconds, about 292 years. */
const largestNanoseconds = 2 ** 63

/** A text that is not a duration in Go's grammar, with Go's own words for why. */
export class DurationError extends Error {
  override readonly name = 'DurationError'
  readonly code = 'DURATION_INVALID'
}

/**
 * Reads a duration as Go's `time.ParseDuration` does: an optional sign, then one or more decimal numbers, each with a unit of
 * ns, us, ms, s, m or h, such as `1h30m` or `1.5h`; a bare `0` needs no unit.
 *
 * @returns milliseconds, possibly fractional or negative
 * @throws {DurationError} with the text that Go gives
 */
export function parseGoDuration(text: string): number {
  const quoted = JSON.stringify(text)
  const invalid = (): DurationError => new DurationError(`time: invalid duration ${quoted}`)
  const negative = text.startsWith('-')
  let rest = negative || text.startsWith('+') ? text.slice(1) : text
  if (rest === '0') return 0
  if (rest === '') throw invalid()
  let nanoseconds = 0
  while (rest !== '') {
    const number = /^(?:\d+\.?\d*|\.\d+)/.exec(rest)?.[0]
    if (number === undefined) throw invalid()
    rest = rest.slice(number.length)
    const unit = /^[^.\d]*/.exec(rest)?.[0] ?? ''
    if (unit === '') throw new DurationError(`time: missing unit in duration ${quoted}`)
    const scale = Object.hasOwn(unitNanoseconds, unit) ? unitNanoseconds[unit] : undefined
    if (scale === undefined) {
      throw new DurationError(`time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`)
    }
    rest = rest.slice(unit.length)
    nanoseconds += Number(number) * scale
    if (nanoseconds >= largestNanoseconds) throw invalid()
  }
  const milliseconds = Math.floor(nanoseconds) / 1e6
  return negative && milliseconds !== 0 ? -milliseconds : milliseconds
}

/**
 * Writes a duration as Go's `Duration.String` does, such as `720h0m0s` or `1.5s`: the form in which the Kubernetes API keeps it.
 *
 * @param milliseconds - not negative
 */
export function formatGoDuration(milliseconds: number): string {
  const nanoseconds = Math.round(milliseconds * 1e6)
  if (nanoseconds === 0) return '0s'
  if (nanoseconds < 1e3) return `${nanoseconds}ns`
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}\u00b5s`
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`
  const hours = Math.floor(nanoseconds / 3600e9)
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9)
  const seconds = (nanoseconds % 60e9) / 1e9
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`
  if (minutes > 0) return `${minutes}m${seconds}s`
  return `${seconds}s`
}
