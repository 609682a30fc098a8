import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { RenewalClock } from './renewal-clock.ts'

const hour = 3600_000

test('it wakes at the earliest time that it was told', () => {
  const clock = new ManualClock()
  const woken: number[] = []
  const renewals = new RenewalClock(clock, (now) => void woken.push(now))
  const start = clock.now()
  renewals.wakeAt(start + 2000)
  renewals.wakeAt(start + 1000)
  renewals.wakeAt(start + 3000)
  renewals.wakeAt(undefined)
  clock.advance(999)
  expect(woken).toEqual([])
  clock.advance(5000)
  expect(woken).toHaveLength(1)
})

test('a time that has passed wakes at once, and once it is closed nobody is woken', () => {
  const clock = new ManualClock()
  let woken = 0
  const renewals = new RenewalClock(clock, () => void woken++)
  renewals.wakeAt(0)
  clock.advance(0)
  expect(woken).toBe(1)
  renewals.wakeAt(clock.now() + 1000)
  renewals.close()
  renewals.wakeAt(clock.now())
  clock.advance(hour)
  expect(woken).toBe(1)
})

test('it looks at the wall clock once an hour, so that who is due after a suspend is woken an hour late at most', () => {
  const clock = new ManualClock()
  const looks: number[] = []
  const start = clock.now()
  const due = start + 10 * hour
  const renewals = new RenewalClock(clock, (now) => {
    looks.push(now - start)
    return now < due ? due : undefined
  })
  renewals.wakeAt(due)
  for (let step = 0; step < 20; step++) clock.advance(hour)
  expect(looks).toEqual(Array.from({ length: 10 }, (_, index) => (index + 1) * hour))
})

test('whoever changes to whatever times, everybody is woken when due', () => {
  const change = fc.record({
    who: fc.nat(3),
    delay: fc.option(fc.nat(3 * hour), { nil: undefined }),
    pass: fc.nat(2 * hour),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const clock = new ManualClock()
      const due = new Map<number, number>()
      const renewals = new RenewalClock(clock, (now) => {
        for (const [who, time] of due) if (time <= now) due.delete(who)
        return due.size === 0 ? undefined : Math.min(...due.values())
      })
      for (const { who, delay, pass } of changes) {
        if (delay === undefined) due.delete(who)
        else due.set(who, clock.now() + delay)
        renewals.wakeAt(due.get(who))
        clock.advance(pass)
        for (const time of due.values()) expect(time).toBeGreaterThan(clock.now())
      }
    }),
  )
})
