import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AttributeReader, attributePrefix } from './attributes.ts'
import { parseCron } from './cron.ts'
import { earliestStart, latestStart } from './cron-search.ts'
import { moveIntoWindow, readRenewalWindows, type RenewalWindow } from './renewal-windows.ts'

const hour = 3600_000
const day = 24 * hour

function read(text: string): { readonly windows: readonly RenewalWindow[]; readonly problems: readonly string[] } {
  const reader = new AttributeReader({ [`${attributePrefix}renewal-windows`]: text })
  const windows = readRenewalWindows(reader)
  return { windows, problems: reader.problems.map(({ message }) => message) }
}

function windowsOf(text: string): readonly RenewalWindow[] {
  const { windows, problems } = read(text)
  expect(problems).toEqual([])
  return windows
}

describe('the attribute', () => {
  test.each([
    ['', []],
    [' ; \n', []],
    ['0 2 * * 6 for 4h', [['0 2 * * 6', 'UTC', 4]]],
    ['0 2 * * 6 for 1h30m in Europe/Berlin', [['0 2 * * 6', 'Europe/Berlin', 1.5]]],
    ['  0  2 * *\tSAT  for 4h   in  europe/berlin ', [['0 2 * * 6', 'Europe/Berlin', 4]]],
    ['@daily for 30m in UTC', [['0 0 * * *', 'UTC', 0.5]]],
    [
      '0 23 * * 1-5 for 2h;0 10 * * 6,0 for 4h in America/Denver;',
      [
        ['0 23 * * 1-5', 'UTC', 2],
        ['0 10 * * 0,6', 'America/Denver', 4],
      ],
    ],
    [
      '0 2 * * * for 1h\n0 3 * * * for 1h\n',
      [
        ['0 2 * * *', 'UTC', 1],
        ['0 3 * * *', 'UTC', 1],
      ],
    ],
    // Old names of places still are names.
    ['0 2 * * * for 1h in US/Pacific', [['0 2 * * *', 'US/Pacific', 1]]],
  ] as const)('%j is %j', (text, expected) => {
    const windows = expected.map(([cron, zone, hours]) => ({ start: parseCron(cron), zone, duration: hours * hour }))
    expect(windowsOf(text)).toEqual(windows)
  })

  test.each([
    ['0 2 * * 6', 'must be such as 0 2 * * 6 for 4h in Europe/Berlin'],
    ['0 2 * * 6 4h', 'must be such as 0 2 * * 6 for 4h in Europe/Berlin'],
    ['for 4h', 'must be such as 0 2 * * 6 for 4h in Europe/Berlin'],
    ['0 2 * * 6 for 4h Europe/Berlin', 'must be such as 0 2 * * 6 for 4h in Europe/Berlin'],
    ['0 2 * * 6 for 0h', 'must be open for longer than 0'],
    ['0 2 * * 6 for -4h', 'must be open for longer than 0'],
    ['0 2 * * 6 for 4', 'must be open for a duration such as 4h: time: missing unit in duration "4"'],
    ['0 2 * * 6 for 4h in Berlin', 'time zone "Berlin" is unknown: must be an IANA name'],
    ['0 2 * * 6 for 4h in +02:00', 'time zone "+02:00" is unknown: must be an IANA name'],
    ['0 2 * * 6 for 4h in Local', 'time zone "Local" is unknown: must be an IANA name'],
    ['0 2 * * 7 for 4h', 'cron expression: day of the week "7" must be from 0 to 6, or SUN to SAT'],
    ['0 0 31 2 * for 4h', 'cron expression: never comes: no month that it names has such a day'],
  ])('%j is refused: %s', (text, problem) => {
    expect(read(text)).toEqual({ windows: [], problems: [`invalid value ${JSON.stringify(text)}: ${problem}`] })
  })

  test('everything that is wrong comes at once, and more than 20 windows are refused', () => {
    expect(read('nonsense; 0 2 * * * for 4h; 0 25 * * * for 4h').problems).toHaveLength(2)
    expect(read('0 2 * * * for 4h;'.repeat(20)).windows).toHaveLength(20)
    expect(read('0 2 * * * for 4h;'.repeat(21))).toEqual({
      windows: [],
      problems: ['21 windows are too many: at most 20'],
    })
  })

  test('any text is windows or a problem', () => {
    const piece = fc.constantFrom('0 2 * * *', ' for ', ' in ', '4h', 'UTC', '+1', ';', '\n', ' ', 'x', '@daily')
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(text, (value) => {
        const { windows, problems } = read(value)
        const given = value.split(/[;\n]/).filter((item) => item.trim() !== '')
        expect(windows.length + problems.length).toBe(given.length)
      }),
      { numRuns: 1000 },
    )
  })
})

/** Where a renewal goes that would be at `wanted`, in the month of a certificate; times are of March 2026. */
function moved(text: string, wanted: string, options: { room?: number; spread?: number } = {}): string | undefined {
  const at = (time: string): number => Date.parse(`2026-03-${time}Z`)
  const limits = { soonest: at('03T12:00'), latest: at('28T00:00') }
  const { room = day, spread = 0 } = options
  const time = moveIntoWindow(windowsOf(text), at(wanted), limits, room, spread)
  return time === undefined ? undefined : new Date(time).toISOString().slice(8, 16)
}

describe('a renewal', () => {
  test('stays where it is in a window, from its first minute until before its end', () => {
    expect(moved('0 2 * * * for 4h', '11T04:00')).toBe('11T04:00')
    expect(moved('0 2 * * * for 4h', '11T02:00')).toBe('11T02:00')
    expect(moved('0 2 * * * for 4h', '11T05:59')).toBe('11T05:59')
    expect(moved('0 22 * * 6 for 6h', '15T03:00')).toBe('15T03:00')
    expect(moved('0 0 1 * * for 720h', '15T03:00')).toBe('15T03:00')
    expect(moved('0 2 * * * for 1h; 0 3 * * * for 1h', '11T03:30')).toBe('11T03:30')
  })

  test('goes to the last window before', () => {
    expect(moved('0 2 * * * for 4h', '11T06:00')).toBe('11T02:00')
    expect(moved('0 2 * * 6 for 4h', '11T04:00')).toBe('07T02:00')
    expect(moved('0 2 * * 6 for 4h; 0 2 * * 1 for 4h', '11T04:00')).toBe('09T02:00')
    // The one that ends last, not the one that begins last.
    expect(moved('0 2 * * * for 1m; 0 1 * * * for 2h; 30 2 * * * for 1m', '11T06:00')).toBe('11T01:00')
    // 29 March is summer in Berlin, 28 March is not.
    expect(moved('0 2 * * * for 1h in Europe/Berlin', '20T06:00')).toBe('20T01:00')
  })

  test('goes to the first window after where there is none before, or only one that is too soon', () => {
    expect(moved('0 2 25 * * for 4h', '20T00:00')).toBe('25T02:00')
    expect(moved('0 2 25 * * for 4h; 0 2 24 * * for 4h', '20T00:00')).toBe('24T02:00')
    expect(moved('0 2 3,25 * * for 4h', '20T00:00')).toBe('25T02:00')
  })

  test('uses what is left of a window that is open at the soonest', () => {
    expect(moved('0 8 3 * * for 8h', '20T00:00', { spread: 0 })).toBe('03T12:00')
    expect(moved('0 8 3 * * for 8h', '20T00:00', { spread: 0.5 })).toBe('03T14:00')
    expect(moved('0 8 3 * * for 4h', '20T00:00')).toBeUndefined()
  })

  test('goes nowhere where no window is open within the limits', () => {
    expect(moved('0 2 1 * * for 4h', '20T00:00')).toBeUndefined()
    expect(moved('0 2 28 * * for 4h', '20T00:00')).toBeUndefined()
    expect(moved('0 0 28 * * for 4h', '20T00:00')).toBe('28T00:00')
  })

  test('is spread over the window, or over its end or beginning where it is longer than the spread', () => {
    expect(moved('0 2 * * * for 4h', '11T12:00', { spread: 0.5 })).toBe('11T04:00')
    expect(moved('0 2 * * * for 4h', '11T12:00', { spread: 0.999_99 })).toBe('11T05:59')
    expect(moved('0 2 * * * for 4h', '11T12:00', { spread: 0.5, room: hour })).toBe('11T05:30')
    expect(moved('0 2 25 * * for 4h', '20T00:00', { spread: 0.5 })).toBe('25T04:00')
    expect(moved('0 2 25 * * for 4h', '20T00:00', { spread: 0.5, room: hour })).toBe('25T02:30')
    expect(moved('0 20 27 * * for 8h', '20T00:00', { spread: 0.5 })).toBe('27T22:00')
  })
})

test('a renewal that was moved is in a window and within the limits, whatever the windows', () => {
  const value = (max: number): fc.Arbitrary<string> => fc.oneof(fc.constant('*'), fc.nat(max).map(String))
  const text = fc
    .tuple(
      value(59),
      value(23),
      fc.constantFrom('*', '1', '13', '29'),
      fc.constantFrom('*', '2', '7'),
      value(6),
      fc.constantFrom('1m', '90m', '5h', '30h', '2000h'),
      fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'Asia/Kolkata'),
    )
    .map(([minute, hours, days, months, weekdays, duration, zone]) => {
      return `${minute} ${hours} ${days} ${months} ${weekdays} for ${duration} in ${zone}`
    })
  const begin = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2030, 0, 1) })
  const spreads = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 1, maxLength: 3 }),
      begin,
      fc.integer({ min: 1000, max: 800 * day }),
      spreads,
      spreads,
      (texts, soonest, length, share, spread) => {
        const windows = windowsOf(texts.join(';'))
        const limits = { soonest, latest: soonest + length }
        const wanted = soonest + length * share
        const time = moveIntoWindow(windows, wanted, limits, length / 10, spread)
        const isOpen = (at: number): boolean =>
          windows.some(({ start, zone, duration }) => {
            const opened = latestStart(start, zone, at, at - duration)
            return opened !== undefined && opened + duration > at
          })
        const isEverOpen =
          isOpen(soonest) ||
          windows.some(({ start, zone }) => earliestStart(start, zone, soonest, limits.latest) !== undefined)
        expect(time !== undefined).toBe(isEverOpen)
        const checked = time ?? soonest
        expect(checked).toBeGreaterThanOrEqual(soonest)
        expect(checked).toBeLessThanOrEqual(limits.latest)
        expect(isOpen(checked)).toBe(isEverOpen)
        expect(isOpen(wanted) ? checked : wanted).toBe(wanted)
      },
    ),
    { numRuns: 1000 },
  )
})
