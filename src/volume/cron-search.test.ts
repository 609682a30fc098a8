import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CronSchedule, parseCron } from './cron.ts'
import { earliestStart, latestStart } from './cron-search.ts'

const minute = 60_000
const day = 24 * 60 * minute
const year = 366 * day

function latest(cron: string, zone: string, at: string, back = 10 * year): string | undefined {
  const found = latestStart(parseCron(cron), zone, Date.parse(at), Date.parse(at) - back)
  return found === undefined ? undefined : new Date(found).toISOString().replace(':00.000Z', 'Z')
}

function earliest(cron: string, zone: string, at: string, on = 10 * year): string | undefined {
  const found = earliestStart(parseCron(cron), zone, Date.parse(at), Date.parse(at) + on)
  return found === undefined ? undefined : new Date(found).toISOString().replace(':00.000Z', 'Z')
}

test.each([
  ['0 2 * * 6', 'UTC', '2026-03-04T12:00Z', '2026-02-28T02:00Z', '2026-03-07T02:00Z'],
  // At the very minute, and a millisecond to either side of it.
  ['0 2 * * *', 'UTC', '2026-03-04T02:00Z', '2026-03-04T02:00Z', '2026-03-04T02:00Z'],
  ['0 2 * * *', 'UTC', '2026-03-04T01:59:59.999Z', '2026-03-03T02:00Z', '2026-03-04T02:00Z'],
  ['0 2 * * *', 'UTC', '2026-03-04T02:00:00.001Z', '2026-03-04T02:00Z', '2026-03-05T02:00Z'],
  ['0 0 1 1 *', 'UTC', '2026-03-04T02:00Z', '2026-01-01T00:00Z', '2027-01-01T00:00Z'],
  ['0 0 29 2 *', 'UTC', '2026-03-04T02:00Z', '2024-02-29T00:00Z', '2028-02-29T00:00Z'],
  // The longest gap that there is: 2100 has no 29 February.
  ['0 0 29 2 *', 'UTC', '2100-03-01T00:00Z', '2096-02-29T00:00Z', '2104-02-29T00:00Z'],
  // Either the 13th or a Friday.
  ['0 0 13 * 5', 'UTC', '2026-03-16T00:00Z', '2026-03-13T00:00Z', '2026-03-20T00:00Z'],
  ['0 0 13 * 5', 'UTC', '2026-04-12T00:00Z', '2026-04-10T00:00Z', '2026-04-13T00:00Z'],
  ['30 9 * * *', 'Asia/Kolkata', '2026-03-04T12:00Z', '2026-03-04T04:00Z', '2026-03-05T04:00Z'],
  // Before 1970.
  ['0 2 * * *', 'UTC', '1969-12-31T12:00Z', '1969-12-31T02:00Z', '1970-01-01T02:00Z'],
])('%s in %s around %s came at %s and comes at %s', (cron, zone, at, before, after) => {
  expect([latest(cron, zone, at), earliest(cron, zone, at)]).toEqual([before, after])
})

describe('clocks that change', () => {
  test('a local time is another one in UTC in summer and in winter', () => {
    expect(earliest('0 2 * * *', 'Europe/Berlin', '2026-03-27T12:00Z')).toBe('2026-03-28T01:00Z')
    expect(earliest('0 2 * * *', 'Europe/Berlin', '2026-03-29T12:00Z')).toBe('2026-03-30T00:00Z')
    expect(latest('0 2 * * *', 'Europe/Berlin', '2026-03-29T00:30Z')).toBe('2026-03-28T01:00Z')
  })

  test('a minute that is skipped does not come that day', () => {
    // 2026-03-29: 02:00 becomes 03:00.
    expect(earliest('30 2 * * *', 'Europe/Berlin', '2026-03-29T00:00Z')).toBe('2026-03-30T00:30Z')
    expect(latest('30 2 * * *', 'Europe/Berlin', '2026-03-29T12:00Z')).toBe('2026-03-28T01:30Z')
    expect(earliest('0 3 * * *', 'Europe/Berlin', '2026-03-29T00:00Z')).toBe('2026-03-29T01:00Z')
    expect(latest('0 3 * * *', 'Europe/Berlin', '2026-03-29T01:00Z')).toBe('2026-03-29T01:00Z')
  })

  test('a minute that is shown twice comes twice', () => {
    // 2026-10-25: 03:00 becomes 02:00.
    expect(earliest('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:00Z')).toBe('2026-10-25T00:30Z')
    expect(earliest('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:31Z')).toBe('2026-10-25T01:30Z')
    expect(latest('30 2 * * *', 'Europe/Berlin', '2026-10-25T12:00Z')).toBe('2026-10-25T01:30Z')
    expect(latest('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:29Z')).toBe('2026-10-25T00:30Z')
    // At the very change.
    expect(latest('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:00Z')).toBe('2026-10-25T00:30Z')
    expect(earliest('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:00Z')).toBe('2026-10-25T01:30Z')
  })
})

test('what does not come within the limits is not found', () => {
  expect(latest('0 0 1 1 *', 'Europe/Berlin', '2026-12-31T22:59Z', 363 * day)).toBeUndefined()
  expect(earliest('0 0 1 1 *', 'Europe/Berlin', '2026-01-01T00:00Z', 363 * day)).toBeUndefined()
  const [schedule, at] = [parseCron('0 2 * * *'), Date.parse('2026-03-04T02:00Z')]
  // A limit is within.
  expect(latestStart(schedule, 'UTC', at + 5, at)).toBe(at)
  expect(latestStart(schedule, 'UTC', at + 5, at + 1)).toBeUndefined()
  expect(earliestStart(schedule, 'UTC', at - 5, at)).toBe(at)
  expect(earliestStart(schedule, 'UTC', at - 5, at - 1)).toBeUndefined()
})

/** Every minute of a few days, looked at with a clock of the place. */
function startsByLooking(schedule: CronSchedule, zone: string, from: number, until: number): number[] {
  const starts: number[] = []
  for (let at = Math.ceil(from / minute) * minute; at <= until; at += minute) {
    const clock = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone)
    const byDay = schedule.days.has(clock.day)
    const byWeekday = schedule.weekdays.has(clock.dayOfWeek % 7)
    const isDay = schedule.eitherDay ? byDay || byWeekday : byDay && byWeekday
    const isTime = schedule.hours.includes(clock.hour) && schedule.minutes.includes(clock.minute)
    if (isDay && isTime && schedule.months.has(clock.month)) starts.push(at)
  }
  return starts
}

test('looking forward and back finds what looking at every minute finds, also while clocks change', () => {
  const changes = [
    { zone: 'Europe/Berlin', around: '2026-03-29T01:00Z' },
    { zone: 'America/New_York', around: '2026-11-01T06:00Z' },
    // Half an hour.
    { zone: 'Australia/Lord_Howe', around: '2026-04-04T15:00Z' },
    // At midnight, which that day does not have.
    { zone: 'Africa/Cairo', around: '2026-04-23T22:00Z' },
    // A whole day was left out.
    { zone: 'Pacific/Apia', around: '2011-12-30T10:00Z' },
    { zone: 'UTC', around: '2024-02-29T00:00Z' },
  ]
  const list = (max: number): fc.Arbitrary<string> =>
    fc.oneof(
      fc.constant('*'),
      fc.uniqueArray(fc.nat(max), { minLength: 1, maxLength: 3 }).map((values) => values.join(',')),
    )
  const crons = fc
    .tuple(list(59), list(23), fc.constantFrom('*', '*', '29-31', '1-15'), list(6))
    .map(([minutes, hours, days, weekdays]) => `${minutes} ${hours} ${days} * ${weekdays}`)
  fc.assert(
    fc.property(
      crons,
      fc.constantFrom(...changes),
      fc.integer({ min: -day, max: day }),
      (cron, { zone, around }, shift) => {
        const [schedule, at] = [parseCron(cron), Date.parse(around) + shift]
        const starts = startsByLooking(schedule, zone, at - day, at + day)
        expect(latestStart(schedule, zone, at, at - day)).toBe(starts.findLast((start) => start <= at))
        expect(earliestStart(schedule, zone, at, at + day)).toBe(starts.find((start) => start >= at))
      },
    ),
    { numRuns: 200 },
  )
})
