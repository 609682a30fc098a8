import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { sleep, systemClock } from './clock.ts'

describe('sleep', () => {
  test('resolves once its time has come, not before', async () => {
    const clock = new ManualClock()
    let awake = false
    const sleeping = sleep(clock, 1000, new AbortController().signal).then(() => {
      awake = true
    })
    clock.advance(999)
    await Promise.resolve()
    expect(awake).toBe(false)
    clock.advance(1)
    await sleeping
    expect(awake).toBe(true)
  })

  test('ends with the reason of the signal, and leaves no timer', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const sleeping = sleep(clock, 1000, controller.signal)
    expect(clock.next).toBe(1000)
    controller.abort(new Error('stopped'))
    await expect(sleeping).rejects.toThrow('stopped')
    expect(clock.next).toBeUndefined()
  })

  test('does not begin where the signal has aborted already', async () => {
    const clock = new ManualClock()
    await expect(sleep(clock, 1000, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
    expect(clock.next).toBeUndefined()
  })

  test('that has ended hears its signal no more', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const sleeping = sleep(clock, 1000, controller.signal)
    clock.advance(1000)
    await sleeping
    controller.abort(new Error('too late'))
    expect(await sleeping).toBeUndefined()
  })
})

describe('the clock of the system', () => {
  test('fires in order, also for delays that are not positive', async () => {
    const fired: number[] = []
    await new Promise<void>((resolve) => {
      systemClock.timer(20, () => {
        fired.push(20)
        resolve()
      })
      systemClock.timer(-5, () => fired.push(-5))
      systemClock.timer(0, () => fired.push(0))
      const cancelled = systemClock.timer(1, () => fired.push(1))
      cancelled.cancel()
    })
    expect(fired).toEqual([-5, 0, 20])
  })

  test.each([2 ** 31, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    'a delay of %d ms does not fire at once, as setTimeout would',
    async (delay) => {
      let fired = false
      const timer = systemClock.timer(delay, () => {
        fired = true
      })
      await new Promise((resolve) => setTimeout(resolve, 10))
      timer.cancel()
      expect(fired).toBe(false)
    },
  )

  /** What a process says that does this with `systemClock` and `sleep`, and ends by itself. */
  async function outputOf(source: string): Promise<string> {
    const module = JSON.stringify(join(import.meta.dirname, 'clock.ts'))
    const program = `const { sleep, systemClock } = await import(${module}); ${source}`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    return stdout
  }

  test('does not keep the process alive for a timer that nobody waits for', async () => {
    expect(await outputOf("systemClock.timer(1e6, () => {}); console.log('end')")).toBe('end\n')
  })

  test('keeps the process alive for whoever sleeps, until he is woken or told to stop', async () => {
    expect(await outputOf("await sleep(systemClock, 30, new AbortController().signal); console.log('awake')")).toBe(
      'awake\n',
    )
    const stopped = `
      const controller = new AbortController()
      setTimeout(() => controller.abort(new Error('stopped')), 30)
      await sleep(systemClock, 1e6, controller.signal).catch((error) => console.log(error.message))`
    expect(await outputOf(stopped)).toBe('stopped\n')
  })

  test('tells the time of the wall', () => {
    const before = Date.now()
    const now = systemClock.now()
    expect(now).toBeGreaterThanOrEqual(before)
    expect(now).toBeLessThanOrEqual(Date.now())
  })
})
