import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CronError, type CronSchedule, parseCron } from './cron.ts'

/** The fields that are not everything, as arrays. */
function told(schedule: CronSchedule): object {
  const parts = {
    minutes: [schedule.minutes, 60],
    hours: [schedule.hours, 24],
    days: [[...schedule.days], 31],
    months: [[...schedule.months], 12],
    weekdays: [[...schedule.weekdays], 7],
  } as const
  return Object.fromEntries(
    Object.entries(parts).flatMap(([name, [values, all]]) => (values.length === all ? [] : [[name, values]])),
  )
}

function problemOf(text: string): string {
  try {
    parseCron(text)
  } catch (error) {
    if (error instanceof CronError) return error.message
    throw error
  }
  return 'none'
}

test.each([
  ['* * * * *', {}],
  ['? ? ? ? ?', {}],
  ['  0\t2  *  * 6 ', { minutes: [0], hours: [2], weekdays: [6] }],
  ['30,0,30 * * * *', { minutes: [0, 30] }],
  ['*/20 * * * *', { minutes: [0, 20, 40] }],
  ['50/5 * * * *', { minutes: [50, 55] }],
  ['1-9/4 * * * *', { minutes: [1, 5, 9] }],
  ['* * * * */99', { weekdays: [0] }],
  ['* 22-23,0-1 * * *', { hours: [0, 1, 22, 23] }],
  ['* * * jan,MAR-May *', { months: [1, 3, 4, 5] }],
  ['* * * * Mon-fri', { weekdays: [1, 2, 3, 4, 5] }],
  ['* * * * sun', { weekdays: [0] }],
  ['007 * * * *', { minutes: [7] }],
  ['* * 29 2 *', { days: [29], months: [2] }],
  ['* * 31 2,3 *', { days: [31], months: [2, 3] }],
  ['@yearly', { minutes: [0], hours: [0], days: [1], months: [1] }],
  ['@monthly', { minutes: [0], hours: [0], days: [1] }],
  ['@weekly', { minutes: [0], hours: [0], weekdays: [0] }],
  ['@daily', { minutes: [0], hours: [0] }],
  ['@hourly', { minutes: [0] }],
])('%j restricts %j', (text, restricted) => {
  expect(told(parseCron(text))).toEqual(restricted)
})

test.each([
  ['0 0 13 * 5', true],
  ['0 0 13 * 0-6', true],
  ['0 0 */2 * 5', true],
  ['0 0 * * 5', false],
  ['0 0 13 * *', false],
  ['0 0 */1 * 5', false],
  ['0 0 13,* * 5', false],
])('in %j one of day and day of the week is enough: %j', (text, either) => {
  expect(parseCron(text).eitherDay).toBe(either)
})

test.each([
  ['', 'must have five fields (minute, hour, day of the month, month, day of the week)'],
  ['0 2 * *', 'must have five fields (minute, hour, day of the month, month, day of the week)'],
  ['0 0 2 * * 6', 'must have five fields (the first is the minute), but has 6'],
  ['60 * * * *', 'minute "60" must be from 0 to 59'],
  ['* 24 * * *', 'hour "24" must be from 0 to 23'],
  ['* * 0 * *', 'day of the month "0" must be from 1 to 31'],
  ['* * * 13 *', 'month "13" must be from 1 to 12, or JAN to DEC'],
  ['* * * * 7', 'day of the week "7" must be from 0 to 6, or SUN to SAT'],
  ['* * * * monday', 'day of the week "monday" must be from 0 to 6, or SUN to SAT'],
  ['* * * mon *', 'month "mon" must be from 1 to 12, or JAN to DEC'],
  ['* 5-3 * * *', 'hour "5-3" ends before it begins'],
  ['*/0 * * * *', 'minute "*/0": a step must be 1 or more'],
  ['@every 1h', '"@every 1h" must be one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly'],
  ['0 0 31 2 *', 'never comes: no month that it names has such a day'],
  ['0 0 31 feb,apr,jun,sep,nov *', 'never comes: no month that it names has such a day'],
  ['0 0 30-31 2 ?', 'never comes: no month that it names has such a day'],
])('%j is refused: %s', (text, problem) => {
  expect(problemOf(text)).toBe(problem)
})

test.each(['1,,2', ',', '1,', '-1', '+1', '1-', '1-2-3', '*-5', '1/2/3', '*/', '/2', '1.5', 'L', 'TZ=UTC'])(
  'the field %j is refused',
  (field) => {
    expect(problemOf(`${field} * * * *`)).toMatch(/^minute /)
  },
)

test('a day of the week comes in every month, so with one any day of the month is taken', () => {
  expect(problemOf('0 0 31 2 1')).toBe('none')
})

test('any text is an expression that names something, or is refused', () => {
  const piece = fc.constantFrom('*', '?', '/', '-', ',', '0', '5', '31', '59', 'feb', 'sun', ' ', '@daily', 'x')
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 15 }).map((pieces) => pieces.join('')),
  )
  fc.assert(
    fc.property(text, (value) => {
      if (problemOf(value) !== 'none') return
      const { minutes, hours, days, months, weekdays } = parseCron(value)
      const sizes = [minutes.length, hours.length, days.size, months.size, weekdays.size]
      expect(Math.min(...sizes)).toBeGreaterThan(0)
    }),
    { numRuns: 2000 },
  )
})
