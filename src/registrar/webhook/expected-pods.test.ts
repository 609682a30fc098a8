import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import type { ObservedPod } from '../observed.ts'
import { ExpectedPods } from './expected-pods.ts'

const start = Date.parse('2026-11-22T10:00:00Z')

function pod(name: string, uid: string, createdAt = start): ObservedPod {
  return {
    namespace: 'shop',
    name,
    uid,
    labels: {},
    annotations: {},
    createdAt,
    terminating: false,
    phase: 'Pending',
    nodeName: '',
    serviceAccount: 'web',
    hostname: '',
    ip: '',
    mirror: false,
    ended: false,
  }
}

function expectedPods() {
  const clock = new ManualClock(start)
  const missed: string[] = []
  const pods = new ExpectedPods({ patience: 60_000, clock, onMissed: ({ uid }) => missed.push(uid) })
  return { clock, missed, pods }
}

test('a pod that never comes is told after its time, and once', () => {
  const { clock, missed, pods } = expectedPods()
  pods.expect(pod('a', '1'))
  clock.advance(30_000)
  pods.expect(pod('b', '2'))
  clock.advance(29_999)
  expect(missed).toEqual([])
  clock.advance(1)
  expect(missed).toEqual(['1'])
  expect(pods.get('shop', 'a')).toBeUndefined()
  clock.advance(30_000)
  expect(missed).toEqual(['1', '2'])
  expect(clock.timers).toBe(0)
})

test('a pod that comes is not missed', () => {
  const { clock, missed, pods } = expectedPods()
  pods.expect(pod('a', '1'))
  pods.seen(pod('a', '1'))
  clock.advance(120_000)
  expect(missed).toEqual([])
})

test('a predecessor whose end is not seen yet changes nothing; a pod that won the name does', () => {
  const { pods } = expectedPods()
  pods.expect(pod('a', '2', start))
  pods.seen(pod('a', '1', start - 5000))
  expect(pods.get('shop', 'a')?.uid).toBe('2')
  pods.seen(pod('a', '3', start + 1000))
  expect(pods.get('shop', 'a')).toBeUndefined()
})

test('whatever comes in whatever order, every pod is either seen, replaced, expected or missed', () => {
  const step = fc.oneof(
    fc.record({ is: fc.constant('expect' as const), name: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ is: fc.constant('seen' as const), name: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ is: fc.constant('advance' as const), by: fc.integer({ min: 0, max: 70_000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { clock, missed, pods } = expectedPods()
      const expected = new Map<string, { readonly pod: ObservedPod; readonly until: number }>()
      const due: string[] = []
      for (const [index, one] of steps.entries()) {
        if (one.is === 'expect') {
          const next = pod(one.name, String(index), clock.now())
          pods.expect(next)
          expected.set(one.name, { pod: next, until: clock.now() + 60_000 })
        } else if (one.is === 'seen') {
          const last = expected.get(one.name)?.pod
          if (last !== undefined) pods.seen(last)
          expected.delete(one.name)
        } else {
          clock.advance(one.by)
          for (const [name, { pod: late, until }] of expected) {
            if (until > clock.now()) continue
            expected.delete(name)
            due.push(late.uid)
          }
        }
      }
      expect(missed.toSorted()).toEqual(due.toSorted())
      expect(pods.size).toBe(expected.size)
      expect(clock.timers).toBeLessThanOrEqual(1)
    }),
  )
})

test('closing ends the clock', () => {
  const { clock, pods } = expectedPods()
  pods.expect(pod('a', '1'))
  pods.close()
  expect(clock.timers).toBe(0)
})
