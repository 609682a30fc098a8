import { availableParallelism } from 'node:os'
import { figure, timesFloor } from '../figure.ts'
import type { Ground } from '../ground.ts'
import { cpuTime, poolPause } from '../process-figures.ts'
import type { KeyAlgorithm } from '../requester.ts'
import type { Row, RowOptions } from '../row.ts'
import { percentile } from '../statistics.ts'

const usualRepeat = 5
const warmUps = 1
const count = 100

interface Bursts {
  /** Milliseconds until the last answer. */
  readonly volumes: readonly number[]
  /** Milliseconds until the last certificate of as many requests. */
  readonly requests: readonly number[]
  /** Milliseconds until the last of as many RSA keys; empty for other kinds. */
  readonly keys: readonly number[]
  /** Milliseconds that probes took meanwhile: how long calls wait for the driver's event loop. */
  readonly probes: readonly number[]
  /** Milliseconds of the driver's CPU time for each volume of a burst. */
  readonly cpu: readonly number[]
}

export const manyVolumesP256: Row = {
  name: 'burst-p256',
  summary: `${count} volumes at once with P-256 keys: the last one`,
  isDefault: true,
  async run(ground, options) {
    const { volumes, requests, cpu } = await measure(ground, options, 'ECDSA')
    const title = `${count} volumes at once, P-256, the last one`
    return [
      figure({ title, unit: 'ms', samples: volumes, floor: requests, target: timesFloor(1.6) }),
      figure({ title: `${count} volumes at once, P-256, the driver's CPU time a volume`, unit: 'ms', samples: cpu }),
    ]
  },
}

export const manyVolumesRsa: Row = {
  name: 'burst-rsa',
  summary: `${count} volumes at once with RSA-2048 keys: the last one, against making as many keys on all cores`,
  isDefault: true,
  async run(ground, options) {
    const { volumes, requests, keys, probes } = await measure(ground, options, 'RSA')
    const p99 = (samples: readonly number[]): number => percentile(samples, 99)
    const title = `${count} volumes at once, RSA-2048, the last one`
    const target = { text: '≤ floor + 1 s', reached: (value: number, floor: number) => value <= floor + 1000 }
    return [
      figure({ title, unit: 'ms', samples: volumes, floor: keys, target }),
      figure({ title: `${count} requests at once, RSA-2048, without any driver`, unit: 'ms', samples: requests }),
      figure({
        title: `${count} volumes at once, RSA-2048, a probe meanwhile, p99`,
        unit: 'ms',
        samples: probes,
        by: p99,
      }),
    ]
  },
}

async function measure(
  ground: Ground,
  { repeat = usualRepeat, say }: RowOptions,
  algorithm: KeyAlgorithm,
): Promise<Bursts> {
  await using driver = await ground.startDriver()
  const pods = await ground.pods(count)
  const [volumes, requests, keys, probes, cpu]: [number[], number[], number[], number[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ]
  const measureVolumes = async (): Promise<void> => {
    const burst = await ground.volumes(count, algorithm)
    const before = await cpuTime(driver.pid)
    // Probes take time of their own, which counts beside keys of seconds, and not beside all the rest.
    const published =
      algorithm === 'RSA'
        ? await ground.kubelet.call('publishProbing', burst)
        : { latencies: await ground.kubelet.call('publish', burst), probes: [] }
    cpu.push((((await cpuTime(driver.pid)) - before) * 1000) / count)
    await ground.check(burst)
    volumes.push(Math.max(...published.latencies))
    probes.push(...published.probes)
    await ground.unpublish(burst)
  }
  const measureRequests = async (): Promise<void> => {
    requests.push(Math.max(...(await ground.requester.call('request', pods, algorithm))))
  }
  const measureKeys = async (): Promise<void> => {
    keys.push(await ground.requester.call('makeKeys', count, availableParallelism()))
  }
  const turns = [measureRequests, measureVolumes, ...(algorithm === 'RSA' ? [measureKeys] : [])]
  for (let run = 0; run < warmUps + repeat; run++) {
    for (const turn of run % 2 === 0 ? turns : turns.toReversed()) {
      await driver.quiet(algorithm === 'RSA' ? poolPause : undefined)
      await turn()
    }
    say(`${run + 1} of ${warmUps + repeat}`)
  }
  return {
    volumes: volumes.slice(warmUps),
    requests: requests.slice(warmUps),
    keys: keys.slice(warmUps),
    probes,
    cpu: cpu.slice(warmUps),
  }
}
