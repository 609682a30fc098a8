import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError, ConnectionError } from './errors.ts'
import { type FailedAttempt, repetition } from './repetition.ts'

function attempt(more: Partial<FailedAttempt>): FailedAttempt {
  return { method: 'GET', error: undefined, lost: 0, refused: 0, remaining: 30_000, random: () => 0, ...more }
}

function refusal(status: number, retryAfter?: number): ApiError {
  return new ApiError('GET /x', status, {}, retryAfter)
}

const unknown = new ConnectionError('lost', 'unknown')
const notExecuted = new ConnectionError('refused', 'not-executed')

test('a read whose connection was lost is repeated at once, and only once', () => {
  expect(repetition(attempt({ error: unknown }))).toEqual({ delay: 0, because: 'lost' })
  expect(repetition(attempt({ error: unknown, lost: 1 }))).toBeUndefined()
})

test('a write is repeated where the server did not act on it, and not where it may have', () => {
  expect(repetition(attempt({ method: 'POST', error: notExecuted }))).toEqual({ delay: 0, because: 'lost' })
  expect(repetition(attempt({ method: 'POST', error: unknown }))).toBeUndefined()
})

test('429 is repeated after the time the server asks for, whatever the method', () => {
  expect(repetition(attempt({ method: 'POST', error: refusal(429, 2000) }))).toEqual({
    delay: 2000,
    because: 'refused',
  })
  expect(repetition(attempt({ error: refusal(429) }))).toEqual({ delay: 1000, because: 'refused' })
})

test('503 with Retry-After is repeated for reads alone', () => {
  expect(repetition(attempt({ error: refusal(503, 1000) }))).toEqual({ delay: 1000, because: 'refused' })
  expect(repetition(attempt({ error: refusal(503) }))).toBeUndefined()
  expect(repetition(attempt({ method: 'PUT', error: refusal(503, 1000) }))).toBeUndefined()
})

test('a wait beyond the time of the call is not begun', () => {
  expect(repetition(attempt({ error: refusal(429, 31_000) }))).toBeUndefined()
})

test('a server that keeps refusing is believed in the end', () => {
  expect(repetition(attempt({ error: refusal(429, 0), refused: 10 }))).toBeUndefined()
})

/** Whether the server surely did not act on a request, or acting on it twice does no harm. */
function mayRepeat({ method, error }: FailedAttempt): boolean {
  return method === 'GET' || isBusy(error) || (error instanceof ConnectionError && error.outcome === 'not-executed')
}

function isBusy(error: unknown): boolean {
  return error instanceof ApiError && error.status === 429
}

test('no write that may have been carried out is ever repeated, no wait is shorter than asked for or longer than what is left', () => {
  const error = fc.oneof(
    fc.constantFrom<unknown>(unknown, notExecuted, new Error('else'), undefined),
    fc
      .record({ status: fc.integer({ min: 300, max: 599 }), wait: fc.option(fc.nat(60_000), { nil: undefined }) })
      .map(({ status, wait }) => refusal(status, wait)),
  )
  const attempts = fc.record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
    error,
    lost: fc.nat(3),
    refused: fc.nat(20),
    remaining: fc.integer({ min: -10, max: 60_000 }),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }).map((value) => () => value),
  })
  fc.assert(
    fc.property(attempts, (failed) => {
      const next = repetition(failed)
      const { lost, remaining } = failed
      expect(next === undefined || mayRepeat(failed)).toBe(true)
      expect(next?.because !== 'lost' || lost === 0).toBe(true)
      expect(next?.because !== 'refused' || next.delay < remaining).toBe(true)
      expect(next?.because !== 'refused' || next.delay >= ((failed.error as ApiError).retryAfter ?? 0)).toBe(true)
    }),
  )
})
