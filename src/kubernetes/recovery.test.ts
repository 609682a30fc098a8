import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DeadlineExceeded } from './deadline.ts'
import { ApiError, ConnectionError, CredentialError, type StatusDetails } from './errors.ts'
import { type Interruption, type Listing, recovery } from './recovery.ts'

function interruption(more: Partial<Interruption>): Interruption {
  return { error: undefined, failures: 0, isListing: false, listing: 'streamed', random: () => 0, ...more }
}

function refusal(status: number, retryAfter?: number, details: StatusDetails = {}): ApiError {
  return new ApiError('GET /x', status, { details }, retryAfter)
}

test('a watch that the server closed is resumed at once, and nobody is told', () => {
  expect(recovery(interruption({}))).toEqual({ delay: 0, restart: false, listing: 'streamed', isTrouble: false })
})

test('watches that keep closing without news are resumed more and more slowly', () => {
  expect(recovery(interruption({ failures: 1 })).delay).toBe(0)
  expect(recovery(interruption({ failures: 2 })).delay).toBe(500)
  expect(recovery(interruption({ failures: 3 })).delay).toBe(1000)
  expect(recovery(interruption({ failures: 50 })).delay).toBe(30_000)
})

test('an expired version brings a new list, without trouble', () => {
  expect(recovery(interruption({ error: refusal(410) }))).toEqual({
    delay: 0,
    restart: true,
    listing: 'streamed',
    isTrouble: false,
  })
})

test('pages that expire while they are read are asked for as one', () => {
  const next = recovery(interruption({ error: refusal(410), isListing: true, listing: 'paged', failures: 1 }))
  expect(next).toMatchObject({ restart: true, listing: 'whole' })
})

test('a server that knows no streaming lists is asked for pages at once', () => {
  for (const status of [400, 422]) {
    expect(recovery(interruption({ error: refusal(status), isListing: true, failures: 1 }))).toEqual({
      delay: 0,
      restart: true,
      listing: 'paged',
      isTrouble: false,
    })
  }
})

test('missing rights are no reason to give up streaming lists', () => {
  for (const status of [401, 403, 404]) {
    expect(recovery(interruption({ error: refusal(status), isListing: true, failures: 1 }))).toMatchObject({
      restart: true,
      listing: 'streamed',
      isTrouble: true,
    })
  }
})

test('a streamed list that never comes to its end is asked for in pages', () => {
  const error = new ConnectionError('no answer', 'unknown', new DeadlineExceeded('no answer'))
  expect(recovery(interruption({ error, isListing: true, failures: 1 })).listing).toBe('paged')
  expect(recovery(interruption({ error, isListing: false, failures: 1 })).listing).toBe('streamed')
})

test('a busy server is asked again where it was left, no sooner than it wants', () => {
  expect(recovery(interruption({ error: refusal(429, 5000), failures: 1 }))).toMatchObject({
    delay: 5000,
    restart: false,
  })
  expect(recovery(interruption({ error: refusal(500), failures: 1 }))).toMatchObject({ delay: 500, restart: false })
})

test('a version that the server has not seen, or will not resume from, is given up', () => {
  const details = { causes: [{ reason: 'ResourceVersionTooLarge' }] }
  expect(recovery(interruption({ error: refusal(504, 1000, details), failures: 1 })).restart).toBe(true)
  expect(recovery(interruption({ error: refusal(500), failures: 3 })).restart).toBe(true)
})

test('a lost connection is resumed where it was left', () => {
  const error = new ConnectionError('lost', 'unknown')
  expect(recovery(interruption({ error, failures: 1 }))).toMatchObject({ delay: 100, restart: false, isTrouble: true })
})

test('whatever happens, it goes on: after a bounded time, not in a hot loop, and not before the server wants', () => {
  const error = fc.oneof(
    fc.constantFrom<unknown>(
      undefined,
      new ConnectionError('lost', 'unknown'),
      new ConnectionError('lost', 'not-executed'),
      new CredentialError('unreadable'),
      new TypeError('a bug'),
    ),
    fc
      .record({ status: fc.integer({ min: 400, max: 599 }), wait: fc.option(fc.nat(120_000), { nil: undefined }) })
      .map(({ status, wait }) => refusal(status, wait)),
  )
  const interruptions = fc.record({
    error,
    failures: fc.nat(1000),
    isListing: fc.boolean(),
    listing: fc.constantFrom<Listing>('streamed', 'paged', 'whole'),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }).map((value) => () => value),
  })
  fc.assert(
    fc.property(interruptions, (happened) => {
      const next = recovery(happened)
      const asked = happened.error instanceof ApiError ? (happened.error.retryAfter ?? 0) : 0
      expect(next.delay).toBeLessThanOrEqual(Math.max(asked, 45_000))
      expect(!next.isTrouble || next.delay >= Math.max(asked, 100)).toBe(true)
      // Without a wait, either this was the first time, or the way of listing changes, which it does twice at most.
      expect(next.delay > 0 || happened.failures <= 1 || next.listing !== happened.listing).toBe(true)
      const order: readonly Listing[] = ['streamed', 'paged', 'whole']
      expect(order.indexOf(next.listing)).toBeGreaterThanOrEqual(order.indexOf(happened.listing))
    }),
  )
})
