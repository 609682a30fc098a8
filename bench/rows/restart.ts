import { setTimeout as delay } from 'node:timers/promises'
import { atMost, figure } from '../figure.ts'
import type { Row } from '../row.ts'

const usualRepeat = 5
const count = 300
/** How long a driver that came back is looked at, in milliseconds. */
const settling = 3000

export const restart: Row = {
  name: 'restart',
  summary: `${count} volumes, kill -9, start: until the socket serves, until each is answered for, what is requested anew`,
  isDefault: true,
  async run(ground, { repeat = usualRepeat, say }) {
    await using driver = await ground.startDriver()
    const volumes = await ground.volumes(count, 'ECDSA')
    await ground.publish(volumes)
    const [times, answers]: [number[], number[]] = [[], []]
    let requestedAnew = 0
    for (let run = 1; run <= repeat; run++) {
      const before = await ground.requests()
      await driver.kill9()
      const socket = await driver.start()
      times.push(socket)
      answers.push(socket + Math.max(...(await ground.kubelet.call('publish', volumes))))
      await delay(settling)
      const after = await ground.requests()
      requestedAnew += [...after].filter((uid) => !before.has(uid)).length
      await ground.check(volumes)
      say(`${run} of ${repeat}`)
    }
    await ground.unpublish(volumes)
    return [
      figure({
        title: `${count} volumes, kill -9, until the socket serves`,
        unit: 'ms',
        samples: times,
        target: atMost(300, 'ms'),
      }),
      figure({
        title: `${count} volumes, kill -9, until each has been published again`,
        unit: 'ms',
        samples: answers,
      }),
      figure({
        title: `${count} volumes, kill -9, requests made anew`,
        unit: '',
        samples: [requestedAnew],
        target: atMost(0, ''),
      }),
    ]
  },
}
