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
