import { type Clock, sleep, systemClock } from '../runtime/clock.ts'
import { type Log, silentLog } from '../runtime/log.ts'
import { type ClaimTiming, LeaseClaim } from './lease-claim.ts'
import type { KubernetesClient } from './client.ts'
import type { ObjectName } from './object.ts'

export interface LeaseOptions extends Partial<ClaimTiming> {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>
  /** The Lease object; it is created where there is none. */
  readonly lease: ObjectName
  /** Who asks for it; no two processes have the same. */
  readonly identity: string
  /** How long after its last success a holder that cannot renew gives up, in milliseconds. @default {10_000} */
  readonly renewDeadline?: number
  /**
   * How often it is tried to get the lease, and to renew it after a renewal failed, in milliseconds. A renewal that went well is followed
   * by the next one after half of `renewDeadline`: nobody can take over sooner for it, and an idle process need not wake up for more.
   * @default {2_000}
   */
  readonly retryPeriod?: number
  /** Told who holds the lease, each time it is somebody else; empty where nobody does. */
  readonly onHolder?: (identity: string) => void
  readonly clock?: Clock
  readonly random?: () => number
  readonly log?: Log
}

/** The lease could not be renewed in time, or somebody else has it. Whoever led must not go on. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
  readonly code = 'KUBERNETES_LEASE_LOST'
}

/** client-go's JitterFactor: candidates that started together drift apart. */
const jitterFactor = 1.2

/**
 * Waits until this process holds a lease, then works for as long as it does: leader election as client-go does it, so that both
 * can stand for the same lease.
 *
 * The lease is given back when the work has ended, so that a successor need not wait, and never before.
 *
 * @param work - its signal aborts when the lease is lost, with a {@link LeaseLostError}, or when `signal` does; it must then end soon:
 * a successor may begin `leaseDuration` less `renewDeadline` later
 * @throws {LeaseLostError}
 * @throws the signal's reason, where it aborts while the process still waits
 * @throws what the work throws
 * @throws {RangeError} for periods that cannot keep two holders apart
 * @example
 * ```ts
 * await runAsLeader({ client, lease: { namespace, name: 'podpass-approver' }, identity }, (leading) => approve(leading), signal)
 * ```
 */
export async function runAsLeader(
  options: LeaseOptions,
  work: (leading: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const settings = {
    leaseDuration: 15_000,
    renewDeadline: 10_000,
    retryPeriod: 2_000,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    onHolder: () => {},
    ...options,
  }
  const { leaseDuration, renewDeadline, retryPeriod } = settings
  if (!(leaseDuration > renewDeadline && renewDeadline > retryPeriod * jitterFactor)) {
    throw new RangeError(
      `expected leaseDuration > renewDeadline > ${jitterFactor} × retryPeriod, got ${leaseDuration}, ${renewDeadline}, ${retryPeriod}`,
    )
  }
  const claim = new LeaseClaim(settings)
  try {
    await acquire(claim, settings, signal)
    await hold(claim, settings, work, signal)
  } finally {
    claim.close()
  }
}

type Settings = Required<LeaseOptions>

async function acquire(claim: LeaseClaim, settings: Settings, signal: AbortSignal): Promise<void> {
  const { clock, random, log, retryPeriod, lease } = settings
  let inTrouble = false
  for (;;) {
    try {
      if (await claim.take(signal)) return
      inTrouble = false
    } catch (error) {
      signal.throwIfAborted()
      if (!inTrouble)
        log.warn({ error, lease: lease.name }, 'the lease cannot be read or taken, tried again until it can')
      inTrouble = true
    }
    await sleep(clock, retryPeriod * (1 + jitterFactor * random()), signal)
  }
}

async function hold(
  claim: LeaseClaim,
  settings: Settings,
  work: (leading: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController()
  const done = new AbortController()
  settings.log.info({ lease: settings.lease.name }, 'holding the lease')
  const renewing = renew(claim, settings, done.signal, lost)
  try {
    await work(AbortSignal.any([signal, lost.signal]))
  } finally {
    done.abort(new Error('the work has ended'))
    await renewing
    if (!lost.signal.aborted) await claim.release()
  }
  lost.signal.throwIfAborted()
}

/** Renews until it is no longer wanted, or no longer possible. Never rejects. */
async function renew(claim: LeaseClaim, settings: Settings, done: AbortSignal, lost: AbortController): Promise<void> {
  const { clock, renewDeadline, retryPeriod, lease, log } = settings
  const lose = (why: string): void => {
    log.error({ lease: lease.name }, `the lease is lost: ${why}`)
    lost.abort(new LeaseLostError(`lease ${lease.name} is lost: ${why}`))
  }
  const limit = () => clock.timer(renewDeadline, () => lose(`it could not be renewed for ${renewDeadline / 1000} s`))
  const restPeriod = Math.max(renewDeadline / 2, retryPeriod)
  let wait = restPeriod
  let deadline = limit()
  const ended = AbortSignal.any([done, lost.signal])
  while (!ended.aborted) {
    await sleep(clock, wait, ended).catch(() => {})
    if (ended.aborted) break
    // From the attempt's beginning: the answer may come late, and others count from when the server wrote it.
    const next = limit()
    wait = retryPeriod
    try {
      if (await claim.take(ended)) {
        deadline.cancel()
        deadline = next
        wait = restPeriod
      } else {
        next.cancel()
        lose('somebody else holds it')
      }
    } catch (error) {
      next.cancel()
      if (!ended.aborted) log.warn({ error, lease: lease.name }, 'the lease was not renewed, tried again')
    }
  }
  deadline.cancel()
}
