import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { abortable } from './abortable.ts'
import { DeadlineExceeded, startDeadline } from './deadline.ts'
import { ManualClock } from './fixtures/manual-clock.ts'

test('a deadline aborts when its time is up, and says so', async () => {
  const clock = new ManualClock()
  const deadline = startDeadline(clock, 5_000, undefined)
  await clock.advance(4_999)
  expect(deadline.signal.aborted).toBe(false)
  expect(deadline.remaining()).toBe(1)
  await clock.advance(1)
  expect(deadline.signal.reason).toBeInstanceOf(DeadlineExceeded)
  expect((deadline.signal.reason as Error).message).toBe('no answer within 5 s')
})

test('a deadline aborts with its parent, for the same reason, also when the parent was first', () => {
  const parent = new AbortController()
  const deadline = startDeadline(new ManualClock(), 5_000, parent.signal)
  const reason = new Error('stopped')
  parent.abort(reason)
  expect(deadline.signal.reason).toBe(reason)
  expect(startDeadline(new ManualClock(), 5_000, parent.signal).signal.reason).toBe(reason)
})

test('a cleared deadline never fires and holds on to nothing', async () => {
  const clock = new ManualClock()
  const parent = new AbortController()
  const deadline = startDeadline(clock, 5_000, parent.signal)
  deadline.clear()
  await clock.advance(10_000)
  expect(deadline.signal.aborted).toBe(false)
  expect(clock.pending).toBe(0)
  expect(getEventListeners(parent.signal, 'abort')).toHaveLength(0)
})

test('a deadline that is started anew counts from then, or no more', async () => {
  const clock = new ManualClock()
  const deadline = startDeadline(clock, 5_000, undefined)
  await clock.advance(4_000)
  deadline.restart(5_000)
  await clock.advance(4_999)
  expect(deadline.signal.aborted).toBe(false)
  deadline.restart(undefined)
  await clock.advance(1_000_000)
  expect(deadline.signal.aborted).toBe(false)
  expect(deadline.remaining()).toBe(Number.POSITIVE_INFINITY)
})

test('an abortable promise passes its outcome on and lets go of the signal', async () => {
  const { signal } = new AbortController()
  await expect(abortable(Promise.resolve(1), signal)).resolves.toBe(1)
  await expect(abortable(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('an abortable promise ends with its signal, whatever becomes of the promise', async () => {
  const controller = new AbortController()
  const { promise, reject } = Promise.withResolvers<number>()
  const waiting = abortable(promise, controller.signal)
  controller.abort(new Error('stopped'))
  await expect(waiting).rejects.toThrow('stopped')
  reject(new Error('late'))
  await expect(abortable(Promise.reject(new Error('late too')), controller.signal)).rejects.toThrow('stopped')
})
