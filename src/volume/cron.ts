/** The minutes that five fields of crontab(5) name, in the local time of wherever they are read. All that is allowed is listed. */
export interface CronSchedule {
  /** 0 to 59, ascending. */
  readonly minutes: readonly number[]
  /** 0 to 23, ascending. */
  readonly hours: readonly number[]
  /** Days of the month, 1 to 31. */
  readonly days: ReadonlySet<number>
  /** 1 to 12. */
  readonly months: ReadonlySet<number>
  /** 0 for Sunday to 6. */
  readonly weekdays: ReadonlySet<number>
  /** Days of the month and of the week are both restricted: then a day that is one of either is enough. */
  readonly eitherDay: boolean
}

/** An expression that names no minutes, with what is wrong with it. */
export class CronError extends Error {
  override readonly name = 'CronError'
  readonly code = 'CRON_INVALID'
}

interface CronField {
  readonly title: string
  readonly min: number
  readonly max: number
  /** Three letters each, for the values from `min` on. */
  readonly names?: readonly string[]
}

const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const minuteField: CronField = { title: 'minute', min: 0, max: 59 }
const hourField: CronField = { title: 'hour', min: 0, max: 23 }
const dayField: CronField = { title: 'day of the month', min: 1, max: 31 }
const monthField: CronField = { title: 'month', min: 1, max: 12, names: monthNames }
const weekdayField: CronField = { title: 'day of the week', min: 0, max: 6, names: weekdayNames }

const descriptors: ReadonlyMap<string, string> = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
])

/**
 * Reads an expression as cert-manager does (robfig/cron v3, minute to day of the week, and descriptors such as `@daily`): lists,
 * ranges, steps, English names of three letters, `?` for `*`, and `5/15` for `5-59/15`. Stricter than there: no empty items, no
 * `*-5`, no sign, no `@every`, which is bound to no clock, and nothing that never comes.
 *
 * @throws {CronError}
 */
export function parseCron(text: string): CronSchedule {
  const fields = (descriptors.get(text) ?? text).split(/\s+/).filter((field) => field !== '')
  const [minute, hour, day, month, weekday, ...more] = fields
  if (text.startsWith('@') && !descriptors.has(text)) {
    throw new CronError(`${JSON.stringify(text)} must be one of ${[...descriptors.keys()].join(', ')}`)
  }
  if (minute === undefined || hour === undefined || day === undefined || month === undefined || weekday === undefined) {
    throw new CronError(`must have five fields (minute, hour, day of the month, month, day of the week)`)
  }
  if (more.length > 0) throw new CronError(`must have five fields (the first is the minute), but has ${fields.length}`)
  const days = readField(day, dayField)
  const weekdays = readField(weekday, weekdayField)
  const schedule: CronSchedule = {
    minutes: ascending(readField(minute, minuteField).values),
    hours: ascending(readField(hour, hourField).values),
    days: days.values,
    months: readField(month, monthField).values,
    weekdays: weekdays.values,
    eitherDay: !days.any && !weekdays.any,
  }
  if (!everComes(schedule)) throw new CronError('never comes: no month that it names has such a day')
  return schedule
}

interface FieldValues {
  readonly values: ReadonlySet<number>
  /** Whether it is written as no restriction: a star without a step is none, though `0-6` may name as much. */
  readonly any: boolean
}

function readField(text: string, field: CronField): FieldValues {
  const values = new Set<number>()
  let any = false
  for (const item of text.split(',')) {
    const [, whole, low = '', high, stride] = /^(?:([*?])|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(item) ?? []
    if (whole === undefined && low === '') {
      throw new CronError(
        `${field.title} ${JSON.stringify(item)} must be a value, a range such as 1-5, or *, each with or without a step such as /2`,
      )
    }
    const step = stride === undefined ? 1 : Number(stride)
    if (step === 0) throw new CronError(`${field.title} ${JSON.stringify(item)}: a step must be 1 or more`)
    const first = whole === undefined ? readValue(low, field) : field.min
    const last =
      high === undefined ? (whole === undefined && stride === undefined ? first : field.max) : readValue(high, field)
    if (first > last) throw new CronError(`${field.title} ${JSON.stringify(item)} ends before it begins`)
    for (let value = first; value <= last; value += step) values.add(value)
    any ||= whole !== undefined && step === 1
  }
  return { values, any }
}

function readValue(text: string, { title, min, max, names = [] }: CronField): number {
  const named = names.indexOf(text.toLowerCase())
  const value = named >= 0 ? min + named : /^\d{1,4}$/.test(text) ? Number(text) : undefined
  if (value !== undefined && value >= min && value <= max) return value
  const byName = names.length === 0 ? '' : `, or ${names[0]?.toUpperCase()} to ${names.at(-1)?.toUpperCase()}`
  throw new CronError(`${title} ${JSON.stringify(text)} must be from ${min} to ${max}${byName}`)
}

function ascending(values: ReadonlySet<number>): readonly number[] {
  return [...values].sort((one, other) => one - other)
}

/** Days of the week come in every month, so only days of the month that stand alone can miss all of theirs. */
function everComes({ days, months, eitherDay }: CronSchedule): boolean {
  const lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  const firstDay = Math.min(...days)
  return eitherDay || [...months].some((month) => firstDay <= (lengths[month - 1] ?? 0))
}
