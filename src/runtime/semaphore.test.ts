import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Semaphore } from './semaphore.ts'

interface Work {
  readonly started: boolean
  readonly finish: () => void
  readonly result: Promise<string>
}

function begin(semaphore: Semaphore, name: string, signal?: AbortSignal): Work {
  const { promise, resolve } = Promise.withResolvers<string>()
  const work = {
    started: false,
    finish: () => resolve(name),
    result: semaphore.run(() => {
      work.started = true
      return promise
    }, signal),
  }
  return work
}

/** Lets all promises that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('runs as many at once as it has slots, and the others in the order of arrival', async () => {
  const semaphore = new Semaphore(2)
  const works = ['a', 'b', 'c', 'd'].map((name) => begin(semaphore, name))
  await settle()
  expect(works.map(({ started }) => started)).toEqual([true, true, false, false])
  works[1]?.finish()
  await settle()
  expect(works.map(({ started }) => started)).toEqual([true, true, true, false])
  for (const { finish } of works) finish()
  expect(await Promise.all(works.map(({ result }) => result))).toEqual(['a', 'b', 'c', 'd'])
})

test('tells how much is running and how much waits', async () => {
  const semaphore = new Semaphore(2)
  const load = (): readonly number[] => [semaphore.running, semaphore.waiting]
  expect(load()).toEqual([0, 0])
  const works = ['a', 'b', 'c'].map((name) => begin(semaphore, name))
  await settle()
  expect(load()).toEqual([2, 1])
  works[0]?.finish()
  await settle()
  expect(load()).toEqual([2, 0])
  for (const { finish } of works) finish()
  await settle()
  expect(load()).toEqual([0, 0])
})

test('gives the slot back when work fails', async () => {
  const semaphore = new Semaphore(1)
  await expect(semaphore.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(semaphore.run(() => Promise.resolve('next'))).resolves.toBe('next')
})

test('who is aborted while waiting leaves the queue, and the slot goes to the next', async () => {
  const semaphore = new Semaphore(1)
  const controller = new AbortController()
  const first = begin(semaphore, 'first')
  const aborted = begin(semaphore, 'aborted', controller.signal)
  const last = begin(semaphore, 'last')
  controller.abort(new Error('gone'))
  await expect(aborted.result).rejects.toThrow('gone')
  first.finish()
  last.finish()
  await expect(last.result).resolves.toBe('last')
  expect(aborted.started).toBe(false)
})

test('an aborted signal takes no slot', async () => {
  const semaphore = new Semaphore(1)
  await expect(semaphore.run(() => Promise.resolve(1), AbortSignal.abort(new Error('early')))).rejects.toThrow('early')
  await expect(semaphore.run(() => Promise.resolve(2))).resolves.toBe(2)
})

test('a signal that aborts after the work began does not touch it', async () => {
  const controller = new AbortController()
  const work = begin(new Semaphore(1), 'work', controller.signal)
  controller.abort(new Error('late'))
  work.finish()
  await expect(work.result).resolves.toBe('work')
})

test('needs at least one slot', () => {
  expect(() => new Semaphore(0)).toThrow(RangeError)
  expect(() => new Semaphore(1.5)).toThrow(RangeError)
})

test('never runs more at once than it has slots, and runs all that are not aborted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('finish', 'fail', 'abort'), { maxLength: 20 }),
      fc.scheduler(),
      async (slots, fates, scheduler) => {
        const semaphore = new Semaphore(slots)
        let running = 0
        let most = 0
        let done = 0
        const works = fates.map(async (fate, index) => {
          const controller = new AbortController()
          const result = semaphore.run(async () => {
            running++
            most = Math.max(most, running)
            try {
              await scheduler.schedule(Promise.resolve(), `work ${index}`)
              if (fate === 'fail') throw new Error('failed')
            } finally {
              running--
              done++
            }
          }, controller.signal)
          if (fate === 'abort') controller.abort(new Error('aborted'))
          await result.catch(() => {})
        })
        await scheduler.waitFor(Promise.all(works))
        expect(most).toBeLessThanOrEqual(slots)
        expect(running).toBe(0)
        expect(done).toBeGreaterThanOrEqual(fates.filter((fate) => fate !== 'abort').length)
      },
    ),
  )
})
