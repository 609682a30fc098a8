import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { apiErrorFrom, apiErrorFromStatus, parseRetryAfter } from './answer.ts'

const now = Date.UTC(2026, 0, 1)

test('a Status gives its reason, details and message', () => {
  const status = {
    kind: 'Status',
    reason: 'AlreadyExists',
    message: 'pods "a" already exists',
    details: { name: 'a', kind: 'pods' },
  }
  const error = apiErrorFrom('POST /api/v1/pods', 409, {}, Buffer.from(JSON.stringify(status)), now)
  expect(error).toMatchObject({ code: 'KUBERNETES_API', status: 409, reason: 'AlreadyExists', details: { name: 'a' } })
  expect(error.message).toBe('POST /api/v1/pods was answered with 409 AlreadyExists: pods "a" already exists')
})

test('an answer that is no Status is quoted, in short', () => {
  const error = apiErrorFrom('GET /x', 502, {}, Buffer.from(`<html>${'x'.repeat(1000)}`), now)
  expect(error.reason).toBe('')
  expect(error.message.length).toBeLessThan(260)
  expect(apiErrorFrom('GET /x', 500, {}, Buffer.alloc(0), now).message).toBe('GET /x was answered with 500: no message')
})

test('the time to wait comes from the header, or else from the Status', () => {
  const body = Buffer.from(JSON.stringify({ kind: 'Status', details: { retryAfterSeconds: 7 } }))
  expect(apiErrorFrom('GET /x', 429, { 'retry-after': '3' }, body, now).retryAfter).toBe(3000)
  expect(apiErrorFrom('GET /x', 429, {}, body, now).retryAfter).toBe(7000)
  expect(apiErrorFrom('GET /x', 429, {}, Buffer.from('{}'), now).retryAfter).toBeUndefined()
})

test('a Status inside a watch becomes the same kind of error', () => {
  const error = apiErrorFromStatus('GET /x', { code: 410, reason: 'Expired', message: 'too old resource version' })
  expect(error).toMatchObject({ status: 410, reason: 'Expired' })
  expect(apiErrorFromStatus('GET /x', {}).status).toBe(500)
})

test('Retry-After is seconds or a date', () => {
  expect(parseRetryAfter('0', now)).toBe(0)
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now)).toBe(5000)
  expect(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
  expect(parseRetryAfter('soon', now)).toBeUndefined()
  expect(parseRetryAfter(undefined, now)).toBeUndefined()
})

test('whatever stands in a Retry-After, the wait is none or a number not below zero', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.integer().map(String), fc.date({ noInvalidDate: true }).map(String)),
      (value) => {
        const wait = parseRetryAfter(value, now)
        expect(wait === undefined || wait >= 0).toBe(true)
      },
    ),
  )
})

test('whatever the body is, there is an error with the status', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.integer({ min: 300, max: 599 }), (body, status) => {
      expect(apiErrorFrom('GET /x', status, {}, Buffer.from(body), now).status).toBe(status)
    }),
  )
})
