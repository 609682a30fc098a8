import { DurationError, parseGoDuration } from '../runtime/go-duration.ts'
import type { AttributeReader } from './attributes.ts'
import { CronError, type CronSchedule, parseCron } from './cron.ts'
import { earliestStart, latestStart } from './cron-search.ts'

/** A stretch of time that comes again and again, in which certificates may be renewed. */
export interface RenewalWindow {
  /** When it opens. */
  readonly start: CronSchedule
  /** Whose clocks `start` is about: an IANA name. */
  readonly zone: string
  /** How long it is open each time, in milliseconds. */
  readonly duration: number
}

/** More windows than this say nothing that fewer could not. */
const mostWindows = 20

/**
 * Reads `renewal-windows`: windows of the form `CRON for DURATION in TIMEZONE`, with semicolons or line ends between them. The parts
 * are those of a Certificate's `spec.renewal.windows[]` (`cron`, `windowDuration`, `timezone`), in words because an attribute is
 * one text; without a time zone it is UTC, as there.
 */
export function readRenewalWindows(reader: AttributeReader): readonly RenewalWindow[] {
  const items = (reader.text('renewal-windows') ?? '').split(/[;\n]/).map((item) => item.trim())
  const given = items.filter((item) => item !== '')
  if (given.length > mostWindows) {
    reader.problem('renewal-windows', `${given.length} windows are too many: at most ${mostWindows}`)
    return []
  }
  return given.flatMap((item) => {
    const refuse = (message: string): [] => {
      reader.problem('renewal-windows', `invalid value ${JSON.stringify(item)}: ${message}`)
      return []
    }
    const [, cron = '', length = '', place = 'UTC'] = /^(.*?)\s+for\s+(\S+)(?:\s+in\s+(\S+))?$/.exec(item) ?? []
    if (cron === '') return refuse('must be such as 0 2 * * 6 for 4h in Europe/Berlin')
    const zone = zoneName(place)
    if (zone === undefined) return refuse(`time zone ${JSON.stringify(place)} is unknown: must be an IANA name`)
    try {
      const duration = parseGoDuration(length)
      return duration > 0 ? [{ start: parseCron(cron), zone, duration }] : refuse('must be open for longer than 0')
    } catch (error) {
      if (error instanceof CronError) return refuse(`cron expression: ${error.message}`)
      if (error instanceof DurationError) return refuse(`must be open for a duration such as 4h: ${error.message}`)
      throw error
    }
  })
}

/** Offsets such as `+02:00` are no names to Go, and know no summer. */
function zoneName(text: string): string | undefined {
  if (!/^[A-Za-z]/.test(text)) return undefined
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(text).timeZoneId
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return undefined
  }
}

/** Between which times a certificate may be renewed, epoch milliseconds. */
export interface RenewalLimits {
  readonly soonest: number
  readonly latest: number
}

/** One stretch of time in which a window is open, epoch milliseconds; its end is not in it. */
interface Opening {
  readonly from: number
  readonly to: number
}

/**
 * Moves a renewal into a window: it stays where it is in one, else goes to the last one before, since what is renewed too early still
 * holds, else to the first one after. What is moved is spread from the end of the one, from the beginning of the other.
 *
 * @param wanted - when it would be without windows, epoch milliseconds
 * @param room - milliseconds to spread over, as far as the window allows
 * @param spread - in [0, 1), the same for a volume's whole life
 * @returns epoch milliseconds; undefined where no window is open within the limits
 */
export function moveIntoWindow(
  windows: readonly RenewalWindow[],
  wanted: number,
  { soonest, latest }: RenewalLimits,
  room: number,
  spread: number,
): number | undefined {
  let before: Opening | undefined
  let after: Opening | undefined
  for (const { start, zone, duration } of windows) {
    const opened = latestStart(start, zone, wanted, soonest - duration)
    if (opened !== undefined && opened + duration > wanted) return wanted
    if (opened !== undefined && opened + duration > soonest && opened + duration > (before?.to ?? 0)) {
      before = { from: Math.max(opened, soonest), to: opened + duration }
    }
    const opens = earliestStart(start, zone, wanted, latest)
    if (opens !== undefined && opens < (after?.from ?? Number.POSITIVE_INFINITY)) {
      after = { from: opens, to: Math.min(opens + duration, latest) }
    }
  }
  if (before !== undefined) return place(Math.max(before.from, before.to - room), before.to, spread)
  if (after !== undefined) return place(after.from, Math.min(after.to, after.from + room), spread)
  return undefined
}

/** In whole milliseconds from the beginning, so that no rounding reaches the end, at which a window is closed. */
function place(from: number, to: number, spread: number): number {
  return from + Math.floor((to - from) * spread)
}
