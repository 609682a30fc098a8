import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyLedger } from './key-ledger.ts'

test('a key stays with its first owner until its last leaf has ended', () => {
  const ledger = new KeyLedger()
  expect(ledger.claim('k', 'a', 100, 0)).toBe(true)
  expect(ledger.claim('k', 'b', 200, 50)).toBe(false)
  expect(ledger.claim('k', 'a', 150, 50)).toBe(true)
  expect(ledger.claim('k', 'a', 90, 50)).toBe(true)
  expect(ledger.claimOf('k', 149)).toEqual({ owner: 'a', until: 150 })
  expect(ledger.claimOf('k', 150)).toBeUndefined()
  expect(ledger.claim('k', 'b', 200, 150)).toBe(true)
})

test('a full ledger takes no new key until one has ended, and forgets none that is in use', () => {
  const ledger = new KeyLedger(2)
  ledger.claim('a', 'x', 100, 0)
  ledger.claim('b', 'x', 200, 0)
  expect(ledger.hasRoom(50)).toBe(false)
  expect(ledger.claim('c', 'x', 300, 50)).toBe(false)
  expect(ledger.claim('a', 'x', 120, 50)).toBe(true)
  expect(ledger.claim('c', 'x', 300, 120)).toBe(true)
  expect(ledger.claimOf('b', 120)?.owner).toBe('x')
})

const step = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  owner: fc.constantFrom('x', 'y'),
  life: fc.nat(20),
  wait: fc.nat(10),
})

test('a key never has two owners at one time, and never more keys are held than there is room for', () => {
  fc.assert(
    fc.property(fc.array(step), fc.integer({ min: 1, max: 3 }), (steps, capacity) => {
      const ledger = new KeyLedger(capacity)
      const model = new Map<string, { owner: string; until: number }>()
      let now = 0
      for (const { key, owner, life, wait } of steps) {
        now += wait
        const before = model.get(key)
        const isFree = before === undefined || before.until <= now
        const granted = ledger.claim(key, owner, now + life, now)
        expect(granted && !isFree && before?.owner !== owner).toBe(false)
        if (granted) model.set(key, { owner, until: Math.max(now + life, isFree ? 0 : (before?.until ?? 0)) })
        expect(ledger.size).toBeLessThanOrEqual(capacity)
        for (const [key, { owner, until }] of model) {
          expect(ledger.claimOf(key, now)?.owner).toBe(until > now ? owner : undefined)
        }
      }
    }),
  )
})
