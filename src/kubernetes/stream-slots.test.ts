import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { settled } from './fixtures/manual-clock.ts'
import { type Release, StreamSlots } from './stream-slots.ts'

const never = new AbortController().signal

test('whoever finds no place waits, and gets the next one in turn', async () => {
  const slots = new StreamSlots(1)
  const order: string[] = []
  const first = await slots.take(never)
  const second = slots.take(never).then((release) => {
    order.push('second')
    return release
  })
  const third = slots.take(never).then(() => order.push('third'))
  await settled()
  expect(order).toEqual([])
  first()
  const release = await second
  expect(order).toEqual(['second'])
  release()
  await third
  expect(order).toEqual(['second', 'third'])
})

test('who aborts leaves the queue, and the place goes to the next one', async () => {
  const slots = new StreamSlots(1)
  const first = await slots.take(never)
  const impatient = new AbortController()
  const second = slots.take(impatient.signal)
  const third = slots.take(never)
  impatient.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  first()
  await expect(third).resolves.toBeTypeOf('function')
})

test('who has aborted before gets nothing', async () => {
  await expect(new StreamSlots(1).take(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
})

test('giving a place back twice frees one place', async () => {
  const slots = new StreamSlots(2)
  const release = await slots.take(never)
  await slots.take(never)
  release()
  release()
  expect(slots.taken).toBe(1)
})

test('a greater size lets those in who wait', async () => {
  const slots = new StreamSlots(0)
  const waiting = slots.take(never)
  slots.resize(1)
  await expect(waiting).resolves.toBeTypeOf('function')
})

test('closing turns away those who wait and those who come', async () => {
  const slots = new StreamSlots(1)
  await slots.take(never)
  const waiting = slots.take(never)
  slots.close(new Error('over'))
  await expect(waiting).rejects.toThrow('over')
  await expect(slots.take(never)).rejects.toThrow('over')
})

test('never are more places taken than there are, and nobody waits while one is free', async () => {
  const step = fc.oneof(
    fc.record({ is: fc.constant('take' as const) }),
    fc.record({ is: fc.constant('release' as const), which: fc.nat() }),
    fc.record({ is: fc.constant('abort' as const), which: fc.nat() }),
  )
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step), async (limit, steps) => {
      const slots = new StreamSlots(limit)
      const held: Release[] = []
      const waiting = new Set<AbortController>()
      for (const action of steps) {
        if (action.is === 'take') {
          const controller = new AbortController()
          waiting.add(controller)
          slots.take(controller.signal).then(
            (release) => {
              waiting.delete(controller)
              held.push(release)
            },
            () => waiting.delete(controller),
          )
        } else if (action.is === 'release') {
          held.splice(action.which % (held.length || 1), 1)[0]?.()
        } else {
          const all = [...waiting]
          all[action.which % (all.length || 1)]?.abort(new Error('enough'))
        }
        await settled()
        expect(held.length).toBe(slots.taken)
        expect(slots.taken).toBeLessThanOrEqual(limit)
        expect(waiting.size === 0 || slots.taken === limit).toBe(true)
      }
    }),
    { numRuns: 50 },
  )
})
