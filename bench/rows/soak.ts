import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchDriver } from '../driver.ts'
import { atMost, figure } from '../figure.ts'
import { cpuTime, descriptors, memory } from '../process-figures.ts'
import type { Row } from '../row.ts'
import { slope } from '../statistics.ts'

const count = 300
/** Seconds. */
const length = 600
const samplePause = 10
/** Renewals are going round by then, and the heap has its size. */
const warmUp = 120
/** What the memory may grow by in an hour, as a trend over minutes can tell it apart from noise, in MiB. */
const tolerance = 6

export const soak: Row = {
  name: 'soak',
  summary: `${count} volumes with one-minute certificates for ${length / 60} minutes: expiry, memory, leaks`,
  isDefault: false,
  async run(ground, { say }) {
    await using driver = await ground.startDriver()
    const descriptorsBefore = await descriptors(driver.pid)
    const volumes = await ground.volumes(count, 'ECDSA', { duration: '1m' })
    await ground.publish(volumes)
    say(`${count} volumes are published; looking on for ${length / 60} minutes`)
    const [cpuBefore, callsBefore] = [await cpuTime(driver.pid), await ground.apiCalls()]
    const watched = ground.kubelet.call('observe', volumes, length)
    const samples = await sampleMemory(driver, say)
    const { expiredSeconds, renewals, problems } = await watched
    const cpu = (await cpuTime(driver.pid)) - cpuBefore
    const calls = (await ground.apiCalls()) - callsBefore
    if (problems.length > 0) say(`${problems.length} problems, such as: ${problems[0]}`)

    await ground.unpublish(volumes)
    await driver.quiet()
    const leaked = {
      mounts: await ground.kubelet.call('mountsBelow', ground.directory),
      directories: (await readdir(join(driver.dataRoot, 'volumes'))).length,
      requests: (await ground.requests()).size,
      descriptors: Math.max(0, (await descriptors(driver.pid)) - descriptorsBefore),
    }
    const trend = slope(samples.filter(({ x }) => x >= warmUp)) * 3600
    return [
      count0('soak, expired seconds in mounts', expiredSeconds),
      count0('soak, mounts that could not be read', problems.length),
      figure({ title: 'soak, renewals', unit: '', samples: [renewals] }),
      figure({ title: 'soak, CPU a renewal', unit: 'ms', samples: [(cpu / renewals) * 1000] }),
      figure({ title: 'soak, API calls a renewal', unit: '', samples: [calls / renewals] }),
      figure({ title: 'soak, RssAnon', unit: 'MiB', samples: samples.map(({ y }) => y), target: atMost(40, 'MiB') }),
      figure({ title: 'soak, trend of RssAnon', unit: 'MiB/h', samples: [trend], target: atMost(tolerance, 'MiB/h') }),
      ...Object.entries(leaked).map(([what, left]) => count0(`soak, leaked ${what}`, left)),
    ]
  },
}

function count0(title: string, value: number) {
  return figure({ title, unit: '', samples: [value], target: atMost(0, '') })
}

interface Sample {
  /** Seconds since the beginning. */
  readonly x: number
  /** RssAnon in MiB. */
  readonly y: number
}

async function sampleMemory(driver: BenchDriver, say: (line: string) => void): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  for (let x = 0; x < length; x += samplePause) {
    await delay(samplePause * 1000)
    const y = (await memory(driver.pid)).private
    samples.push({ x, y })
    if ((x + samplePause) % 60 === 0) say(`${(x + samplePause) / 60} min: ${y.toFixed(1)} MiB`)
  }
  return samples
}
