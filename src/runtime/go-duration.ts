/** Nanoseconds in each unit of Go's duration grammar; both code points of the micro sign are accepted (Go time.ParseDuration). */
const unitNanoseconds: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1000n],
  ['\u00b5s', 1000n],
  ['\u03bcs', 1000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
])

/** Go keeps a duration in 63 bits of nanoseconds, about 292 years, and its sign. */
const limit = 2n ** 63n
const digitsOfLimit = 19

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
  const invalid = (): DurationError => new DurationError(`time: invalid duration ${quote(text)}`)
  const negative = text.startsWith('-')
  const rest = text.replace(/^[-+]/, '')
  if (rest === '0') return 0
  if (rest === '') throw invalid()
  let nanoseconds = 0n
  for (const [part, whole = '', fraction = '', unit = ''] of rest.matchAll(/(\d*)(?:\.(\d*))?([^.\d]*)/g)) {
    if (part === '') break
    const count = wholeNumber(whole)
    if (count > limit || whole + fraction === '') throw invalid()
    if (unit === '') throw new DurationError(`time: missing unit in duration ${quote(text)}`)
    const scale = unitNanoseconds.get(unit)
    if (scale === undefined) throw new DurationError(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`)
    nanoseconds += count * scale + fractionOf(fraction, scale)
    if (nanoseconds > limit) throw invalid()
  }
  if (nanoseconds === limit && !negative) throw invalid()
  const milliseconds = Number(nanoseconds) / 1e6
  return negative && milliseconds !== 0 ? -milliseconds : milliseconds
}

/** A number of any length; one that is beyond the limit anyway is not computed. */
function wholeNumber(digits: string): bigint {
  const significant = digits.replace(/^0+/, '')
  return significant.length > digitsOfLimit ? limit + 1n : BigInt(significant)
}

/** The nanoseconds that the digits after the point stand for: what does not fit into 63 bits is cut off, as Go does. */
function fractionOf(digits: string, scale: bigint): bigint {
  let numerator = 0n
  let denominator = 1
  for (const digit of digits) {
    const longer = numerator * 10n + BigInt(digit)
    if (longer > limit) break
    numerator = longer
    denominator *= 10
  }
  return BigInt(Math.floor(Number(numerator) * (Number(scale) / denominator)))
}

/** Quotes as Go's package time does in its errors: what is not printable ASCII stands there as the bytes of its UTF-8. */
function quote(text: string): string {
  const bytes = (odd: string): string =>
    Buffer.from(odd)
      .toString('hex')
      .replaceAll(/../g, String.raw`\x$&`)
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const odd = /[\u0000-\u001f]|[^\u0000-\u007f]+/g
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll(odd, bytes)}"`
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
  // Not by String, which writes less than a microsecond as 1e-9.
  const seconds = ((nanoseconds % 60e9) / 1e9).toFixed(9).replace(/\.?0+$/, '')
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`
  if (minutes > 0) return `${minutes}m${seconds}s`
  return `${seconds}s`
}
