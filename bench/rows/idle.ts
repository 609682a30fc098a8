import { setTimeout as delay } from 'node:timers/promises'
import { atMost, figure } from '../figure.ts'
import { cpuTime, memory } from '../process-figures.ts'
import type { Row } from '../row.ts'

const count = 300
/** Seconds. */
const window = 60
/** V8 collects garbage once more in the half minute after work, which takes it longer than hours of idling. Seconds. */
const settling = 40

export const idle: Row = {
  name: 'idle',
  summary: `${count} volumes and nothing to do for ${window} s: CPU, API calls, memory`,
  isDefault: true,
  async run(ground, { say }) {
    await using driver = await ground.startDriver()
    const volumes = await ground.volumes(count, 'ECDSA')
    await ground.publish(volumes)
    await delay(settling * 1000)
    say(`${count} volumes are published; looking on for ${window} s`)
    const [callsBefore, cpuBefore] = [await ground.apiCalls(), await cpuTime(driver.pid)]
    await delay(window * 1000)
    const cpu = (await cpuTime(driver.pid)) - cpuBefore
    const calls = (await ground.apiCalls()) - callsBefore
    const { private: own, resident } = await memory(driver.pid)
    await ground.check(volumes)
    await ground.unpublish(volumes)
    const title = `idle, ${count} volumes`
    return [
      figure({ title: `${title}, CPU`, unit: '%', samples: [(cpu / window) * 100], target: atMost(0.1, '%') }),
      figure({ title: `${title}, API calls in ${window} s`, unit: '', samples: [calls] }),
      figure({ title: `${title}, RssAnon`, unit: 'MiB', samples: [own], target: atMost(40, 'MiB') }),
      figure({ title: `${title}, RSS`, unit: 'MiB', samples: [resident] }),
    ]
  },
}
