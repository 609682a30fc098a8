import { setTimeout as delay } from 'node:timers/promises'
import { atMost, figure } from '../figure.ts'
import { cpuTime, memory } from '../process-figures.ts'
import { podCount, type RegistrarGround } from '../registrar-ground.ts'
import type { Row } from '../row.ts'
import { callsSince, totalOf } from '../spire-server.ts'

/** Seconds. */
const window = 60
/**
 * V8 collects garbage once more in the half minute after work, which takes it longer than hours of idling; and Kubernetes marks and taints
 * a node that no kubelet reports a minute after it was made. Seconds.
 */
const settling = 75

export const registrarIdle: Row<RegistrarGround> = {
  name: 'idle',
  summary: `${podCount} pods and nothing to do for ${window} s: CPU, calls, memory`,
  isDefault: true,
  async run(ground, { say }) {
    const { server, registrar } = await ground.scene(0)
    await delay(settling * 1000)
    say(`looking on for ${window} s`)
    const [callsBefore, cpuBefore] = [await server.calls(), await cpuTime(registrar.pid)]
    await delay(window * 1000)
    const cpu = (await cpuTime(registrar.pid)) - cpuBefore
    const calls = totalOf(callsSince(callsBefore, await server.calls()))
    const { private: own, resident } = await memory(registrar.pid)
    const title = `idle, ${podCount} pods`
    return [
      figure({ title: `${title}, CPU`, unit: '%', samples: [(cpu / window) * 100], target: atMost(0.1, '%') }),
      figure({ title: `${title}, calls in ${window} s`, unit: '', samples: [calls], target: atMost(0, '') }),
      figure({ title: `${title}, RssAnon`, unit: 'MiB', samples: [own] }),
      figure({ title: `${title}, RSS`, unit: 'MiB', samples: [resident] }),
    ]
  },
}
