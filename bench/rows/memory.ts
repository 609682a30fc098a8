import { setTimeout as delay } from 'node:timers/promises'
import { atMost, figure } from '../figure.ts'
import { memory } from '../process-figures.ts'
import type { Row } from '../row.ts'

const count = 300
const rounds = 5
/** Milliseconds. */
const settling = 5000
/** What a heap may move by itself, in MiB. */
const tolerance = 1

export const memoryOverRounds: Row = {
  name: 'memory',
  summary: `RssAnon with ${count} volumes, published and unpublished ${rounds} times`,
  isDefault: true,
  async run(ground, { say }) {
    await using driver = await ground.startDriver()
    const start = (await memory(driver.pid)).private
    const samples: number[] = []
    for (let round = 1; round <= rounds; round++) {
      const volumes = await ground.volumes(count, 'ECDSA')
      await ground.publish(volumes)
      await delay(settling)
      samples.push((await memory(driver.pid)).private)
      await ground.unpublish(volumes)
      say(`round ${round}: ${samples.at(-1)?.toFixed(1)} MiB`)
    }
    const [first = Number.NaN, last = Number.NaN] = [samples[0], samples.at(-1)]
    return [
      figure({ title: 'memory without volumes, RssAnon', unit: 'MiB', samples: [start] }),
      figure({
        title: `memory, ${count} volumes, RssAnon`,
        unit: 'MiB',
        samples,
        by: (samples) => Math.max(...samples),
        target: atMost(40, 'MiB'),
      }),
      figure({
        title: `memory, round ${rounds} less round 1`,
        unit: 'MiB',
        samples: [last - first],
        target: atMost(tolerance, 'MiB'),
      }),
    ]
  },
}
