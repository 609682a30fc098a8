import { describe, expect, test } from 'vitest'
import { IssuerUnavailableError } from '../src/issuer/errors.ts'
import { privateDirectory } from '../src/volume/private-directory.ts'
import { ManualClock } from './support/manual-clock.ts'
import { TestNode, type TestVolume } from './support/node.ts'

// Many volumes at once, on the driver's socket: those that were issued together do not renew together, and an issuer that was away is
// not met by all of them at once when it is back.

const second = 1000
const minute = 60 * second
const hour = 60 * minute
/** How far the clock moves at a time while much goes on. */
const tick = 10 * second

/** A node whose volumes were all issued in the same second. */
async function startFull(
  clock: ManualClock,
  count: number,
  duration: string,
): Promise<{ node: TestNode; volumes: TestVolume[] }> {
  const node = await TestNode.start({ clock, random: sequence() })
  const attributes = { 'csi.cert-manager.io/duration': duration }
  const volumes = await Promise.all(Array.from({ length: count }, () => node.volume(attributes)))
  await Promise.all(volumes.map((volume) => node.publish(volume)))
  expect(new Set(node.issuer.log.map(({ at }) => at)).size).toBe(1)
  return { node, volumes }
}

/** Numbers in [0, 1) that are spread evenly and the same in each run (the golden ratio's multiples). */
function sequence(): () => number {
  let last = 0
  return () => {
    last = (last + 0.618_033_988_749_895) % 1
    return last
  }
}

/** Moves the clock by ten seconds at a time, and lets what they begin come to its end before it moves on. */
async function advanceTo(node: TestNode, clock: ManualClock, end: number): Promise<void> {
  while (clock.now() < end) {
    const next = clock.now() + Math.max(tick, Math.ceil((clock.next ?? tick) / tick) * tick)
    clock.advance(Math.min(next, end) - clock.now())
    while (node.driver.inspect().some(({ state }) => state === 'renewing')) await turn()
  }
}

/** Lets the driver's own work go on. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The most that happened within any span of that many milliseconds. */
function mostWithin(times: readonly number[], span: number): number {
  const sorted = times.toSorted((one, other) => one - other)
  return Math.max(...sorted.map((start, index) => sorted.findLastIndex((time) => time < start + span) - index + 1))
}

// Thousands of attempts are work for a busy machine.
describe('volumes that were issued in the same second', { timeout: 300_000 }, () => {
  test('are renewed, 300 of them, over the tenth of their lead that is for the spread, each at the time that it has said before', async () => {
    const clock = new ManualClock()
    const { node } = await startFull(clock, 300, '30h')
    await using _node = node
    const issued = clock.now()
    const planned = new Map(node.driver.inspect().map(({ volumeId, renewAt }) => [volumeId, renewAt ?? 0]))
    node.issuer.log.length = 0
    for (const [index, time] of [...planned.values()].toSorted((one, other) => one - other).entries()) {
      clock.advance(time - 1 - clock.now())
      expect(node.issuer.log).toHaveLength(index)
      clock.advance(1)
      while (node.issuer.log.length === index) await turn()
    }

    expect(new Map(node.issuer.log.map(({ volumeId, at }) => [volumeId, at]))).toEqual(planned)
    const times = node.issuer.log.map(({ at }) => at)
    // A third of 30 hours is the lead, a tenth of that the spread: an hour before 20 hours have passed.
    expect(Math.min(...times)).toBeGreaterThanOrEqual(issued + 19 * hour - second)
    expect(Math.max(...times)).toBeLessThanOrEqual(issued + 20 * hour)
    expect(mostWithin(times, second)).toBeLessThanOrEqual(4)
    expect(mostWithin(times, 10 * minute)).toBeLessThanOrEqual(100)
    expect(node.events).toEqual([])
  })

  test('keep their certificates while the issuer fails for an hour, beyond their end; attempts are few and spread; all recover', async () => {
    const clock = new ManualClock()
    const { node, volumes } = await startFull(clock, 100, '90m')
    await using _node = node
    const issued = clock.now()
    const serials = await Promise.all(volumes.map((volume) => node.serial(volume)))
    const failing = issued + 56 * minute
    await advanceTo(node, clock, failing)
    expect(node.issuer.submissions).toBe(volumes.length)

    node.issuer.script = { submit: () => new IssuerUnavailableError('the issuer is not ready') }
    node.issuer.log.length = 0
    await advanceTo(node, clock, failing + hour)
    // Every certificate has expired meanwhile, and every pod still has what it had.
    expect(clock.now()).toBeGreaterThan(issued + 90 * minute)
    expect(await Promise.all(volumes.map((volume) => node.serial(volume)))).toEqual(serials)
    await Promise.all(volumes.map((volume) => node.publish(volume)))
    const attempts = Map.groupBy(node.issuer.log, ({ volumeId }) => volumeId)
    expect(attempts.size).toBe(volumes.length)
    for (const tries of attempts.values()) {
      // 30 s, doubling to 5 min, each with up to half of it more by chance.
      expect(tries.length).toBeGreaterThanOrEqual(9)
      expect(tries.length).toBeLessThanOrEqual(16)
    }
    const lastQuarter = node.issuer.log.map(({ at }) => at).filter((at) => at >= failing + 45 * minute)
    expect(mostWithin(lastQuarter, tick)).toBeLessThanOrEqual(volumes.length / 10)
    expect(node.told('RenewalFailed')).toHaveLength(node.issuer.submissions)
    expect(await node.metrics()).toContain(
      `certmanager_csi_issue_errors_total{reason="ISSUER_UNAVAILABLE"} ${node.issuer.submissions}`,
    )

    node.issuer.release()
    const back = clock.now()
    node.issuer.log.length = 0
    await advanceTo(node, clock, back + 7.5 * minute)
    const times = node.issuer.log.map(({ at }) => at)
    expect(times).toHaveLength(volumes.length)
    expect(mostWithin(times, tick)).toBeLessThanOrEqual(volumes.length / 10)
    const renewed = await Promise.all(volumes.map((volume) => node.serial(volume)))
    expect(renewed.filter((serial, index) => serial === serials[index])).toEqual([])
    expect(node.driver.inspect().filter(({ lastError }) => lastError !== undefined)).toEqual([])
    // One request each for the first certificate and the second: an attempt that fails is resumed with its key.
    expect(node.issuer.requests).toHaveLength(2 * volumes.length)
  })
})

test('a hundred volumes at once: the first request goes out while nearly all others have not begun', async () => {
  let mounts = 0
  let mountsAtFirst: number | undefined
  await using node = await TestNode.start({
    mounter: {
      ...privateDirectory,
      mountPrivate(directory, options) {
        mounts++
        return privateDirectory.mountPrivate(directory, options)
      },
    },
    issuerFor: () => {
      mountsAtFirst ??= mounts
      return node.issuer
    },
  })
  const volumes = await Promise.all(Array.from({ length: 100 }, () => node.volume()))
  await Promise.all(volumes.map((volume) => node.publish(volume)))
  expect(mounts).toBe(100)
  expect(mountsAtFirst).toBeLessThanOrEqual(8)
})
