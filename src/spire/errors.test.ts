import { status as statuses } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { SpireError } from './errors.ts'

const failed = { method: 'Entry.ListEntries', address: 'spire-server:8081', details: 'it broke' }

test('a failed call says where, what and why, and what to do about it', () => {
  const error = new SpireError({ ...failed, status: statuses.UNAVAILABLE, advice: 'Look at it.' })
  expect(error.message).toBe(
    'SPIRE server spire-server:8081: Entry.ListEntries failed with UNAVAILABLE: it broke. Look at it.',
  )
  expect(error).toMatchObject({ code: 'SPIRE_CALL', status: 14, method: 'Entry.ListEntries', transient: true })
})

test.each<readonly [keyof typeof statuses, boolean]>([
  ['UNAVAILABLE', true],
  ['DEADLINE_EXCEEDED', true],
  ['INTERNAL', true],
  ['RESOURCE_EXHAUSTED', true],
  ['PERMISSION_DENIED', false],
  ['UNAUTHENTICATED', false],
  ['INVALID_ARGUMENT', false],
  ['NOT_FOUND', false],
  ['UNIMPLEMENTED', false],
])('%s may pass by itself: %s', (name, transient) => {
  expect(new SpireError({ ...failed, status: statuses[name] }).transient).toBe(transient)
})

test.each([
  'Received message larger than max (29454002 vs 4194304)',
  'grpc: received message larger than max (5000000 vs. 4194304)',
])('a message that is too long stays so: %s', (details) => {
  expect(new SpireError({ ...failed, status: statuses.RESOURCE_EXHAUSTED, details }).transient).toBe(false)
})
