import { describe, expect, test } from 'vitest'
import { KeyedMutex, Mutex } from './mutex.ts'

/** Lets everything run that can. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a mutex', () => {
  test('runs one piece of work at a time, in the order of arrival', async () => {
    const mutex = new Mutex()
    const log: string[] = []
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const runs = gates.map((gate, index) =>
      mutex.run(async () => {
        log.push(`begin ${index}`)
        await gate.promise
        log.push(`end ${index}`)
        return index
      }),
    )
    // The last may end first; it has not begun.
    for (const gate of gates.toReversed()) gate.resolve()
    expect(await Promise.all(runs)).toEqual([0, 1, 2])
    expect(log).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2'])
  })

  test('hands an error to whoever came with the work, and goes on with the next', async () => {
    const mutex = new Mutex()
    const failed = mutex.run(() => Promise.reject(new Error('no')))
    const thrown = mutex.run(() => {
      throw new Error('thrown')
    })
    const next = mutex.run(async () => 'done')
    await expect(failed).rejects.toThrow('no')
    await expect(thrown).rejects.toThrow('thrown')
    expect(await next).toBe('done')
  })

  test('is idle once the work that has come so far has ended, well or not', async () => {
    const mutex = new Mutex()
    await mutex.idle()
    const gate = Promise.withResolvers<void>()
    const run = mutex.run(() => gate.promise)
    let idle = false
    const waiting = mutex.idle().then(() => {
      idle = true
    })
    await settle()
    expect(idle).toBe(false)
    gate.reject(new Error('no'))
    await waiting
    expect(idle).toBe(true)
    await expect(run).rejects.toThrow('no')
  })
})

describe('a mutex for each key', () => {
  test('runs work of one key in order, and of two keys side by side', async () => {
    const mutex = new KeyedMutex()
    const log: string[] = []
    const gate = Promise.withResolvers<void>()
    const slow = mutex.run('a', async () => {
      await gate.promise
      log.push('a 1')
    })
    const behind = mutex.run('a', async () => {
      log.push('a 2')
    })
    await mutex.run('b', async () => {
      log.push('b')
    })
    await settle()
    expect(log).toEqual(['b'])
    gate.resolve()
    await Promise.all([slow, behind])
    expect(log).toEqual(['b', 'a 1', 'a 2'])
  })

  test('work that comes while the last of its key is ending still waits for it', async () => {
    const mutex = new KeyedMutex()
    let running = 0
    const work = async (): Promise<void> => {
      expect(running++).toBe(0)
      await settle()
      running--
    }
    const runs: Promise<void>[] = []
    for (let round = 0; round < 20; round++) {
      runs.push(mutex.run('a', work))
      if (round % 3 === 0) await settle()
      if (round % 5 === 0) await Promise.resolve()
    }
    await Promise.all(runs)
  })

  test('an error of one piece of work blocks nothing', async () => {
    const mutex = new KeyedMutex()
    await expect(mutex.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await mutex.run('a', async () => 1)).toBe(1)
  })

  test('forgets a key once nobody uses it', async () => {
    const mutex = new KeyedMutex()
    const gate = Promise.withResolvers<void>()
    const runs = ['a', 'b', 'a'].map((key) => mutex.run(key, () => gate.promise))
    expect(mutex.size).toBe(2)
    gate.reject(new Error('no'))
    await Promise.allSettled(runs)
    expect(mutex.size).toBe(0)
  })
})
