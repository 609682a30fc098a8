import { type Clock, type Timer, sleep } from '../runtime/clock.ts'
import { readMountInfo } from '../volume/mount-info.ts'
import { readCertificates } from '../x509/certificate.ts'
import { PairReader, type WatchedVolume } from './pair-reader.ts'
import { viewVolume } from './pod-view.ts'
import type { PublishedVolume, Step } from './step.ts'

/** A renewal that is further away than this is not waited for, in milliseconds. */
const patience = 180_000

/** How often somebody who waits is told how far it is, in milliseconds. */
const progressPause = 250

interface DueVolume extends WatchedVolume {
  readonly volume: PublishedVolume
  /** Epoch milliseconds. */
  readonly dueAt: number
}

/**
 * Waits until the driver has renewed every volume once, while a reader in the place of the pods reads key and certificate all
 * the time.
 *
 * @returns the volumes as their pods see them then
 */
export async function watchRenewals(
  volumes: readonly PublishedVolume[],
  clock: Clock,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<readonly PublishedVolume[]> {
  const due = volumes.flatMap((volume): DueVolume[] => {
    const { renewAt: dueAt, target, planned } = volume
    return dueAt === undefined ? [] : [{ target, spec: planned.spec, volume, dueAt }]
  })
  const until = Math.max(...due.map(({ dueAt }) => dueAt))
  if (due.length === 0) {
    tell({ is: 'not renewed', reason: 'no volume wants to be renewed (disable-auto-renew)', asExpected: true })
    return volumes
  }
  if (until > clock.now() + patience) {
    tell({
      is: 'not renewed',
      reason: `not waited for, the last is due at ${new Date(until).toISOString()}`,
      asExpected: true,
    })
    return volumes
  }
  await readUntilRenewed(due, until, clock, tell, signal)
  return lookAgain(volumes, clock)
}

async function readUntilRenewed(
  due: readonly DueVolume[],
  until: number,
  clock: Clock,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  const missing = new Set(due)
  const renewed = Promise.withResolvers<true>()
  const reader = new PairReader(due, clock, ({ volume: { volume, dueAt }, volume: watched, credentials, seenAt }) => {
    const [after] = readCertificates(credentials.certificate)
    const before = volume.view.leaf
    if (after === undefined || after.serial === before.serial || !missing.delete(watched)) return
    tell({ is: 'renewed', renewal: { planned: volume.planned, before, after, dueAt, seenAt } })
    if (missing.size === 0) renewed.resolve(true)
  })
  const stopTelling = repeat(clock, progressPause, () => {
    tell({ is: 'waiting', until, now: clock.now(), readings: reader.readings })
  })
  const giveUp = new AbortController()
  const end = Math.max(...due.map(({ volume }) => volume.view.leaf.notAfter))
  const expiry = sleep(clock, end - clock.now(), AbortSignal.any([signal, giveUp.signal])).then(() => false)
  try {
    if (!(await Promise.race([renewed.promise, reader.failure, expiry]))) {
      const names = Array.from(missing, ({ volume: { planned } }) => `${planned.pod.namespace}/${planned.pod.name}`)
      tell({ is: 'not renewed', reason: `the certificate of ${names.join(', ')} ended first`, asExpected: false })
    }
  } finally {
    stopTelling()
    giveUp.abort()
    expiry.catch(() => {})
    await reader.close()
  }
  tell({ is: 'read', readings: reader.readings })
}

async function lookAgain(volumes: readonly PublishedVolume[], clock: Clock): Promise<readonly PublishedVolume[]> {
  const mounts = await readMountInfo()
  return Promise.all(
    volumes.map(async (volume) => ({
      ...volume,
      view: await viewVolume(volume.target, volume.planned.spec, mounts, clock.now()),
    })),
  )
}

/** @returns ends it */
function repeat(clock: Clock, pause: number, work: () => void): () => void {
  let timer: Timer
  const next = (): void => {
    work()
    timer = clock.timer(pause, next)
  }
  next()
  return () => timer.cancel()
}
