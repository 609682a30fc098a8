import { figure, timesFloor } from '../figure.ts'
import type { Ground } from '../ground.ts'
import { cpuTime } from '../process-figures.ts'
import type { KeyAlgorithm } from '../requester.ts'
import type { Row, RowOptions } from '../row.ts'
import { percentile } from '../statistics.ts'

const usualRepeat = 30
/** Measurements that do not count: code is compiled, connections are made. */
const warmUps = 5

interface Pairs {
  /** Milliseconds. */
  readonly volume: readonly number[]
  readonly floor: readonly number[]
  /** CPU time of the driver for a volume, from the call to its answer, in milliseconds. */
  readonly cpu: readonly number[]
}

export const oneVolumeP256: Row = {
  name: 'p256',
  summary: 'one volume with a P-256 key: from NodePublishVolume to its answer',
  isDefault: true,
  async run(ground, options) {
    const { volume, floor, cpu } = await measure(ground, options, 'ECDSA')
    const target = timesFloor(1.5)
    const p95 = (samples: readonly number[]): number => percentile(samples, 95)
    return [
      figure({ title: 'one volume, P-256, median', unit: 'ms', samples: volume, floor, target }),
      figure({ title: 'one volume, P-256, p95', unit: 'ms', samples: volume, floor, target, by: p95 }),
      figure({ title: "one volume, P-256, the driver's CPU time", unit: 'ms', samples: cpu }),
    ]
  },
}

export const oneVolumeRsa: Row = {
  name: 'rsa',
  summary: 'one volume with an RSA-2048 key, the driver having had time to make keys ahead',
  isDefault: true,
  async run(ground, options) {
    const { volume, floor } = await measure(ground, options, 'RSA')
    return [figure({ title: 'one volume, RSA-2048', unit: 'ms', samples: volume, floor, target: timesFloor(1.6) })]
  },
}

export const oneVolumeRsaEmpty: Row = {
  name: 'rsa-empty',
  summary: 'one volume with an RSA-2048 key, without any key made ahead; the floor includes making one',
  isDefault: true,
  async run(ground, options) {
    const { volume, floor } = await measure(ground, options, 'RSA', ['--key-pool=0'])
    const keys: number[] = []
    for (const _ of floor) keys.push(await ground.requester.call('makeKeys', 1, 1))
    const withKey = floor.map((latency, index) => latency + (keys[index] ?? 0))
    return [figure({ title: 'one volume, RSA-2048, no key left', unit: 'ms', samples: volume, floor: withKey })]
  },
}

/**
 * Measures floor and volume in turns, the other one first each time.
 *
 * @param flags - more flags of `podpass driver`
 */
async function measure(
  ground: Ground,
  { repeat = usualRepeat, say }: RowOptions,
  algorithm: KeyAlgorithm,
  flags: readonly string[] = [],
): Promise<Pairs> {
  await using driver = await ground.startDriver(flags)
  const pods = await ground.pods(1)
  const [volume, floor, cpu]: [number[], number[], number[]] = [[], [], []]
  const measureFloor = async (): Promise<void> => {
    await driver.quiet()
    floor.push(...(await ground.requester.call('request', pods, algorithm)))
  }
  const measureVolume = async (): Promise<void> => {
    const volumes = await ground.volumes(1, algorithm)
    await driver.quiet()
    const before = await cpuTime(driver.pid)
    volume.push(...(await ground.kubelet.call('publish', volumes)))
    cpu.push(((await cpuTime(driver.pid)) - before) * 1000)
    await ground.check(volumes)
    await ground.unpublish(volumes)
  }
  for (let run = 0; run < warmUps + repeat; run++) {
    const turns = [measureFloor, measureVolume]
    for (const turn of run % 2 === 0 ? turns : turns.reverse()) await turn()
    if ((run + 1) % 10 === 0) say(`${run + 1} of ${warmUps + repeat}`)
  }
  return { volume: volume.slice(warmUps), floor: floor.slice(warmUps), cpu: cpu.slice(warmUps) }
}
