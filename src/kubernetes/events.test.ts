import { beforeEach, expect, test } from 'vitest'
import { ApiError, ConnectionError } from './errors.ts'
import { EventRecorder, podReference } from './events.ts'
import { ManualClock } from './fixtures/manual-clock.ts'
import type { Event, KubernetesObject } from './object.ts'

let clock: ManualClock
/** What was written: `+` for a new event, `~` for a recurrence. */
let written: string[]
let warnings: string[]
/** Each write takes the next of these and fails with it. */
let failures: (Error | undefined)[]

beforeEach(() => {
  clock = new ManualClock()
  written = []
  warnings = []
  failures = []
})

function recorder(): EventRecorder {
  const attempt = async (line: string): Promise<void> => {
    await Promise.resolve()
    const failure = failures.shift()
    if (failure !== undefined) throw failure
    written.push(line)
  }
  const client = {
    async create<T extends KubernetesObject>(_resource: unknown, object: T): Promise<T> {
      const { message, count } = object as unknown as Event
      await attempt(`+${message} x${count}`)
      return object
    },
    async patch<T extends KubernetesObject>(
      _resource: unknown,
      _name: unknown,
      _type: unknown,
      body: unknown,
    ): Promise<T> {
      await attempt(`~ x${(body as Event).count}`)
      return body as T
    },
  }
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (_fields: object, text: string) => void warnings.push(text),
    child: () => log,
  }
  return new EventRecorder({ client, clock, log, random: () => 0, component: 'test', instance: 'here' })
}

const web = podReference({ namespace: 'sandbox', name: 'web-0', uid: 'u1' })
const other = podReference({ namespace: 'sandbox', name: 'web-1', uid: 'u2' })

function warning(message: string) {
  return { type: 'Warning', reason: 'Test', message } as const
}

function refusal(status: number, ...causes: readonly string[]): ApiError {
  return new ApiError('POST /x', status, { details: { causes: causes.map((reason) => ({ reason })) } }, undefined)
}

test('the same about the same pod is one event with a count, anything else is another', async () => {
  const events = recorder()
  events.record(web, warning('a'))
  await clock.advance(1)
  events.record(web, warning('a'))
  events.record(web, warning('b'))
  events.record(other, warning('a'))
  await clock.advance(1)
  expect(written).toEqual(['+a x1', '~ x2', '+b x1', '+a x1'])
})

test('what is recorded while a write is under way is written after it, once, with the whole count', async () => {
  const events = recorder()
  for (let times = 0; times < 5; times += 1) events.record(web, warning('a'))
  await clock.advance(1)
  for (let times = 0; times < 5; times += 1) events.record(web, warning('a'))
  await clock.advance(1)
  expect(written).toEqual(['+a x1', '~ x5', '~ x6', '~ x10'])
})

test('what is recorded at the very moment the last write ends is written too', async () => {
  const events = recorder()
  for (let moment = 0; moment < 20; moment += 1) {
    written = []
    const about = podReference({ namespace: 'sandbox', name: 'web', uid: `moment ${moment}` })
    events.record(about, warning('first'))
    for (let turn = 0; turn < moment; turn += 1) await Promise.resolve()
    events.record(about, warning('second'))
    await clock.advance(1)
    expect(written).toEqual(['+first x1', '+second x1'])
  }
})

test('an event that the server has forgotten is created anew', async () => {
  const events = recorder()
  events.record(web, warning('a'))
  await clock.advance(1)
  failures = [refusal(404)]
  events.record(web, warning('a'))
  await clock.advance(1)
  await clock.advance(3_600_000)
  events.record(web, warning('a'))
  await clock.advance(1)
  expect(written).toEqual(['+a x1', '+a x2', '+a x3'])
})

test('a pod that causes ever new texts is bounded, and the others are not', async () => {
  const events = recorder()
  for (let number = 0; number < 100; number += 1) {
    events.record(web, warning(`text ${number}`))
    await clock.advance(1)
  }
  expect(written).toHaveLength(25)
  events.record(other, warning('a'))
  await clock.advance(300_000)
  events.record(web, warning('later'))
  events.record(web, warning('too many'))
  await clock.advance(1)
  expect(written.slice(25)).toEqual(['+a x1', '+later x1'])
})

test('a server that is away is waited for, and told what is still news', async () => {
  const events = recorder()
  failures = [new ConnectionError('down', 'not-executed'), refusal(500), refusal(429)]
  events.record(web, warning('a'))
  await clock.advance(60_000)
  expect(written).toEqual(['+a x1'])
  failures = Array.from({ length: 100 }, () => new ConnectionError('down', 'not-executed'))
  events.record(web, warning('b'))
  await clock.advance(3_600_000)
  failures = []
  await clock.advance(3_600_000)
  expect(written).toEqual(['+a x1'])
})

test('an event that the server does not want is dropped, the others are written', async () => {
  const events = recorder()
  failures = [refusal(422), refusal(404), refusal(403, 'NamespaceTerminating')]
  for (const message of ['a', 'b', 'c', 'd']) events.record(web, warning(message))
  await clock.advance(1)
  expect(written).toEqual(['+d x1'])
  expect(warnings).toEqual([])
})

test('missing rights are said once, and tried again now and then', async () => {
  const events = recorder()
  failures = [refusal(403), refusal(403)]
  events.record(web, warning('a'))
  await clock.advance(1)
  events.record(web, warning('b'))
  await clock.advance(1)
  expect(failures).toHaveLength(1)
  await clock.advance(600_000)
  events.record(web, warning('c'))
  await clock.advance(600_000)
  events.record(web, warning('d'))
  await clock.advance(1)
  expect(written).toEqual(['+d x1'])
  expect(warnings).toEqual(['events cannot be written, rights are missing; this is said once'])
})

test('who may create events and not change them writes one an hour', async () => {
  const events = recorder()
  events.record(web, warning('a'))
  await clock.advance(1)
  failures = [refusal(403)]
  for (let minute = 0; minute < 61; minute += 1) {
    events.record(web, warning('a'))
    await clock.advance(60_000)
  }
  expect(written).toHaveLength(2)
  expect(written[1]).toMatch(/^\+a x\d\d$/)
  expect(warnings).toEqual([])
})

test('memory is bounded, whatever is recorded', async () => {
  const events = recorder()
  failures = Array.from({ length: 100_000 }, () => new ConnectionError('down', 'not-executed'))
  for (let number = 0; number < 2_000; number += 1) {
    events.record(podReference({ namespace: 'a', name: 'b', uid: `u${number}` }), warning('a'))
  }
  await clock.advance(10_000)
  failures = []
  await clock.advance(120_000)
  expect(written).toHaveLength(512)
})

test('closing writes what waits, and nothing comes after it', async () => {
  const events = recorder()
  events.record(web, warning('a'))
  events.record(web, warning('b'))
  await events.close()
  events.record(web, warning('c'))
  await clock.advance(1)
  expect(written).toEqual(['+a x1', '+b x1'])
})

test('closing gives up in time where the server is away', async () => {
  const events = recorder()
  failures = Array.from({ length: 100 }, () => new ConnectionError('down', 'not-executed'))
  events.record(web, warning('a'))
  let closed = false
  const closing = events.close(2_000).then(() => {
    closed = true
  })
  await clock.advance(1_999)
  expect(closed).toBe(false)
  await clock.advance(1)
  await closing
  expect(written).toEqual([])
})
