import type { CronSchedule } from './cron.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/**
 * The last minute of a schedule at or before a time, on the clocks of a place. A minute that they skip when they are put forward does
 * not come that day; one that they show twice comes twice, as with robfig/cron.
 *
 * @param zone - a name that Temporal knows
 * @param at - epoch milliseconds
 * @param earliest - no minute before it is looked for
 * @returns epoch milliseconds; undefined where there is none
 */
export function latestStart(schedule: CronSchedule, zone: string, at: number, earliest: number): number | undefined {
  for (let end = Math.floor(at); end >= earliest;) {
    // A nanosecond on, so that a change of the clocks at this very time is the previous one.
    const moment = Temporal.Instant.fromEpochMilliseconds(end).add({ nanoseconds: 1 }).toZonedDateTimeISO(zone)
    const offset = moment.offsetNanoseconds / 1e6
    const changed = moment.getTimeZoneTransition('previous')?.epochMilliseconds ?? Number.NEGATIVE_INFINITY
    const found = latestMatch(schedule, end + offset, Math.max(changed, earliest) + offset)
    if (found !== undefined) return found - offset
    end = changed - 1
  }
  return undefined
}

/**
 * The first minute of a schedule at or after a time; otherwise as {@link latestStart}.
 *
 * @param latest - no minute after it is looked for
 */
export function earliestStart(schedule: CronSchedule, zone: string, at: number, latest: number): number | undefined {
  for (let start = Math.ceil(at); start <= latest;) {
    const moment = Temporal.Instant.fromEpochMilliseconds(start).toZonedDateTimeISO(zone)
    const offset = moment.offsetNanoseconds / 1e6
    const changes = moment.getTimeZoneTransition('next')?.epochMilliseconds ?? Number.POSITIVE_INFINITY
    const found = earliestMatch(schedule, start + offset, Math.min(changes - 1, latest) + offset)
    if (found !== undefined) return found - offset
    start = changes
  }
  return undefined
}

/** Local times are milliseconds as if the place's clocks showed UTC, which holds between two changes of them. */
function latestMatch(schedule: CronSchedule, at: number, earliest: number): number | undefined {
  for (let date = Math.floor(at / day); (date + 1) * day > earliest; date--) {
    if (!includesDate(schedule, date)) continue
    const limit = at - date * day
    for (const startOfHour of schedule.hours.map((value) => value * hour).reverse()) {
      const found = schedule.minutes.findLast((value) => startOfHour + value * minute <= limit)
      if (found === undefined) continue
      const time = date * day + startOfHour + found * minute
      return time >= earliest ? time : undefined
    }
  }
  return undefined
}

function earliestMatch(schedule: CronSchedule, at: number, latest: number): number | undefined {
  for (let date = Math.floor(at / day); date * day <= latest; date++) {
    if (!includesDate(schedule, date)) continue
    const limit = at - date * day
    for (const startOfHour of schedule.hours.map((value) => value * hour)) {
      const found = schedule.minutes.find((value) => startOfHour + value * minute >= limit)
      if (found === undefined) continue
      const time = date * day + startOfHour + found * minute
      return time <= latest ? time : undefined
    }
  }
  return undefined
}

/** @param date - days since 1970-01-01 */
function includesDate({ days, months, weekdays, eitherDay }: CronSchedule, date: number): boolean {
  const utc = new Date(date * day)
  if (!months.has(utc.getUTCMonth() + 1)) return false
  const byDay = days.has(utc.getUTCDate())
  const byWeekday = weekdays.has(utc.getUTCDay())
  return eitherDay ? byDay || byWeekday : byDay && byWeekday
}
