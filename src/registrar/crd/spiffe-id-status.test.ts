import { expect, test } from 'vitest'
import type { Entry } from '../../spire/entry.ts'
import { goodSpec, now, spiffeId } from './fixtures/spiffe-ids.ts'
import { spiffeIdEntry } from './spiffe-id-entry.ts'
import { standingOf, statusPatch } from './spiffe-id-status.ts'

const { spec } = spiffeIdEntry(goodSpec(), { federated: undefined, serviceNames: [] })
const entry: Entry = { ...spec, id: 'e1', revision: 0n, admin: false }
const registered = { is: 'registered', entry, change: 'created', notices: [] } as const

test('an entry that is there makes a SpiffeID ready', () => {
  expect(statusPatch({ status: {} }, standingOf(registered, undefined), 3, now)).toEqual({
    entryId: 'e1',
    observedGeneration: 3,
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'Registered',
        message: 'the SPIRE server holds the entry',
        lastTransitionTime: '2026-11-22T10:00:00Z',
        observedGeneration: 3,
      },
    ],
  })
})

test('what is said already is not written again', () => {
  const standing = standingOf(registered, undefined)
  const status = statusPatch({ status: {} }, standing, 3, now)
  const { status: kept } = spiffeId('a', { status: status ?? {} })
  expect(statusPatch({ status: kept }, standing, 3, now + 5000)).toBeUndefined()
  expect(statusPatch({ status: kept }, standing, 4, now + 5000)).toMatchObject({ observedGeneration: 4 })
})

test('the time of a change stays where only the words change; conditions of others stay', () => {
  const standing = standingOf(registered, undefined)
  const other = { type: 'Seen', status: 'True' } as const
  const status = statusPatch({ status: { conditions: [other] } }, standing, 3, now)
  const next = statusPatch({ status: status ?? {} }, { ...standing, message: 'x' }, 3, now + 5000)
  expect(next?.conditions).toMatchObject([other, { message: 'x', lastTransitionTime: '2026-11-22T10:00:00Z' }])
  const lost = statusPatch({ status: status ?? {} }, { ...standing, isReady: false }, 3, now + 5000)
  expect(lost?.conditions?.[1]).toMatchObject({ status: 'False', lastTransitionTime: '2026-11-22T10:00:05Z' })
})

test('whatever stands in the way is told with its reason', () => {
  const violation = { reason: 'ParentNotAllowed', message: 'no' }
  expect(standingOf({ is: 'problem', problem: 'no', entry: undefined }, violation)).toEqual({
    isReady: false,
    reason: 'ParentNotAllowed',
    message: 'no',
    entryId: undefined,
  })
  expect(standingOf({ is: 'problem', problem: 'no', entry }, violation)).toMatchObject({
    message: 'no; its last good entry stays',
    entryId: 'e1',
  })
  expect(standingOf({ is: 'conflict', by: entry }, undefined)).toMatchObject({ reason: 'Conflict', entryId: undefined })
  expect(standingOf({ is: 'failed', status: 13, message: 'disk full', entry: undefined }, undefined)).toMatchObject({
    reason: 'ServerRefused',
    message: 'disk full',
    entryId: undefined,
  })
  expect(standingOf({ is: 'unregistered', reason: 'no' }, violation)).toMatchObject({ reason: 'ParentNotAllowed' })
})

test('what was left out of an entry is told with it', () => {
  const { message, isReady } = standingOf({ ...registered, notices: ['no bundle of a.org'] }, undefined)
  expect(isReady).toBe(true)
  expect(message).toBe('the SPIRE server holds the entry; no bundle of a.org')
})

test('an entry that is still there stays in the status, or the next process would take it for somebody else’s', () => {
  const refused = standingOf({ is: 'failed', status: 13, message: 'disk full', entry }, undefined)
  expect(refused).toMatchObject({ isReady: false, entryId: 'e1' })
  expect(standingOf({ is: 'ending', reason: 'no', entry }, undefined)).toMatchObject({ isReady: false, entryId: 'e1' })
})

test('an entry that is gone is taken out of the status', () => {
  const { status } = spiffeId('a', { status: { entryId: 'e1' } })
  const patch = statusPatch({ status }, standingOf({ is: 'unregistered', reason: 'no' }, undefined), 1, now)
  expect(patch?.entryId).toBeNull()
})
