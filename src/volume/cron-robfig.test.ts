import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { CronError, parseCron } from './cron.ts'
import { earliestStart } from './cron-search.ts'

// The parser that cert-manager uses, asked by way of a small Go program, where Go and the module are on the machine.

interface Question {
  readonly cron: string
  readonly zone: string
  readonly from: number
}

const directory = mkdtempSync(join(tmpdir(), 'podpass-robfig-cron-'))
const program = join(directory, 'robfig-cron')
const isThere = buildProgram()

afterAll(() => rmSync(directory, { recursive: true }))

/** @returns false where there is no Go, or its module cache has no robfig/cron */
function buildProgram(): boolean {
  const { error, status, stderr } = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: join(import.meta.dirname, 'fixtures/robfig-cron'),
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
    encoding: 'utf8',
  })
  if (error !== undefined || /GOPROXY=off|requires go >=/.test(stderr)) return false
  if (status !== 0) throw new Error(`the Go program does not build: ${stderr}`)
  return true
}

/** The first four starts after each time; undefined where an expression is refused. */
function askRobfig(questions: readonly Question[]): readonly (readonly number[] | undefined)[] {
  const { stdout, stderr, status } = spawnSync(program, {
    input: JSON.stringify(questions),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new Error(`the Go program failed: ${stderr}`)
  const answers = JSON.parse(stdout) as { readonly error?: string; readonly starts: readonly number[] }[]
  return answers.map(({ error, starts }) => (error === undefined ? starts : undefined))
}

function askOurs({ cron, zone, from }: Question): readonly number[] | undefined {
  try {
    const schedule = parseCron(cron)
    const starts: number[] = []
    for (let at = from; starts.length < 4;) {
      const start = earliestStart(schedule, zone, at + 1, at + 40 * 366 * 86_400_000)
      if (start === undefined) break
      starts.push(start)
      at = start
    }
    return starts
  } catch (error) {
    if (error instanceof CronError) return undefined
    throw error
  }
}

const field = (min: number, max: number, names: readonly string[]): fc.Arbitrary<string> => {
  const number = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min, max }).map(String) },
    fc.constantFrom('0', '7', '60', '007'),
  )
  const value =
    names.length === 0 ? number : fc.oneof({ weight: 3, arbitrary: number }, fc.constantFrom(...names, 'Foo'))
  const range = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('*', '*', '?') },
    { weight: 3, arbitrary: value },
    fc.tuple(value, value).map(([low, high]) => `${low}-${high}`),
  )
  const item = fc.tuple(range, fc.option(fc.constantFrom('1', '2', '5', '15', '0', '99'), { freq: 3 }))
  const text = item.map(([values, step]) => (step === null ? values : `${values}/${step}`))
  return fc.oneof(
    { weight: 4, arbitrary: text },
    fc.array(text, { minLength: 1, maxLength: 3 }).map((all) => all.join(',')),
  )
}

const fields = fc
  .tuple(
    field(0, 59, []),
    field(0, 23, []),
    field(1, 31, []),
    field(1, 12, ['jan', 'FEB', 'Dec']),
    field(0, 6, ['sun', 'MON', 'Sat']),
  )
  .map((all) => all.join(' '))

/** Their clocks change by whole hours, or never. */
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'America/St_Johns', 'Asia/Kolkata', 'Australia/Sydney']

const questions = fc.record({
  cron: fc.oneof(
    { weight: 20, arbitrary: fields },
    fc.constantFrom('@daily', '@yearly', '@hourly', '@weekly', '@monthly', '@nightly'),
  ),
  zone: fc.constantFrom(...zones),
  from: fc
    .integer({ min: Date.UTC(2020, 0, 1) / 1000, max: Date.UTC(2026, 0, 1) / 1000 })
    .map((seconds) => seconds * 1000),
})

test.runIf(isThere)('expressions are taken and come at the times as with robfig/cron', () => {
  const { seed = 0 } = fc.readConfigureGlobal()
  const asked = fc.sample(questions, { numRuns: 3000, seed })
  const theirs = askRobfig(asked)
  expect(theirs.filter((starts) => starts !== undefined).length, `seed ${seed}`).toBeGreaterThan(500)
  asked.forEach((question, index) => {
    const starts = theirs[index]
    // What never comes is taken there, and refused here.
    const expected = starts?.length === 0 ? undefined : starts
    expect(askOurs(question), `${JSON.stringify(question)}, seed ${seed}`).toEqual(expected)
  })
})

test.runIf(isThere)('windows begin as with robfig/cron on days on which the clocks change', () => {
  const asked = [
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00:00Z'],
    ['0 3 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z'],
    ['15 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z'],
    ['*/20 * * * *', 'America/New_York', '2026-11-01T05:30:00Z'],
    ['0 0 * * *', 'Africa/Cairo', '2026-04-23T12:00:00Z'],
  ].map(([cron = '', zone = '', from = '']) => ({ cron, zone, from: Date.parse(from) }))
  expect(asked.map(askOurs)).toEqual(askRobfig(asked))
})
