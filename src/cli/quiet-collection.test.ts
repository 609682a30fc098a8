import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('what a burst has left is given back soon after it', async () => {
  const code = `
    import { readFileSync } from 'node:fs'
    import { setTimeout as delay } from 'node:timers/promises'
    import { collectWhenQuiet } from '${import.meta.dirname}/quiet-collection.ts'
    collectWhenQuiet()
    const memory = () => Number(/RssAnon:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
    const before = memory()
    let kept = Array.from({ length: 4e5 }, (_, index) => ({ text: 'x' + index }))
    const burst = memory() - before
    kept = undefined
    // By itself V8 would keep it.
    for (let looks = 0; looks < 200 && memory() - before > burst / 4; looks++) await delay(100)
    console.log((memory() - before) / burst)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  expect(Number(stdout)).toBeLessThan(0.25)
}, 60_000)
