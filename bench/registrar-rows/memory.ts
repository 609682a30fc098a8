import { setTimeout as delay } from 'node:timers/promises'
import { figure } from '../figure.ts'
import { memory } from '../process-figures.ts'
import { podCount, type RegistrarGround } from '../registrar-ground.ts'
import type { Row } from '../row.ts'
import { slope } from '../statistics.ts'
import { newPods } from './new-pods.ts'

const count = 500
/** Milliseconds. */
const settling = 5000

export const registrarMemory: Row<RegistrarGround> = {
  name: 'memory',
  summary: `RssAnon with ${podCount} pods, while ${count} more come and go again and again`,
  isDefault: true,
  async run(ground, { repeat = 8, say }) {
    const { server, registrar } = await ground.scene(0)
    const samples: number[] = []
    for (let round = 0; round < repeat; round++) {
      const { pods } = await newPods(ground, server, `churn-${round}`, count, 0)
      await ground.deletePods(pods, server)
      await delay(settling)
      samples.push((await memory(registrar.pid)).private)
      say(`round ${round + 1}: ${samples.at(-1)?.toFixed(1)} MiB`)
    }
    // The heap finds its size in the first rounds.
    const later = samples.slice(Math.floor(samples.length / 2)).map((y, x) => ({ x, y }))
    return [
      figure({ title: `memory, ${podCount} pods and ${count} that come and go, RssAnon`, unit: 'MiB', samples }),
      figure({ title: 'memory, growth a round, second half', unit: 'MiB', samples: [slope(later)] }),
    ]
  },
}
