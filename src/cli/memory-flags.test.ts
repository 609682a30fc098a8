import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** The young generation of a process that has made much garbage, in bytes. */
async function youngGeneration(before: string): Promise<number> {
  const code = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { saveMemory } from '${import.meta.dirname}/memory-flags.ts'
    ${before}
    let kept = []
    for (let count = 0; count < 3e6; count++) {
      kept.push({ count })
      if (kept.length > 30_000) kept = []
    }
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  return Number(stdout)
}

test('a process that saves memory keeps its young generation small, although it set that while it ran', async () => {
  expect(await youngGeneration('saveMemory()')).toBeLessThanOrEqual(2 * 1024 * 1024)
  expect(await youngGeneration('')).toBeGreaterThan(4 * 1024 * 1024)
})

test('a process that saves memory gives back what a burst has left, soon after it', async () => {
  const code = `
    import { readFileSync } from 'node:fs'
    import { setTimeout as delay } from 'node:timers/promises'
    import { saveMemory } from '${import.meta.dirname}/memory-flags.ts'
    saveMemory()
    const memory = () => Number(/RssAnon:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
    const before = memory()
    let kept = Array.from({ length: 4e5 }, (_, index) => ({ text: 'x' + index }))
    const burst = memory() - before
    kept = undefined
    // By itself V8 would begin after half a minute.
    for (let looks = 0; looks < 200 && memory() - before > burst / 4; looks++) await delay(100)
    console.log((memory() - before) / burst)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  expect(Number(stdout)).toBeLessThan(0.25)
}, 60_000)
