import type { Clock, Timer } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { KubernetesClient } from './client.ts'
import { ApiError } from './errors.ts'
import type { Lease, ObjectName } from './object.ts'
import { leases } from './resource.ts'

export interface ClaimTiming {
  /** How long others must see no renewal before they take the lease, in milliseconds; whole seconds. @default {15_000} */
  readonly leaseDuration: number
}

export interface ClaimOptions extends ClaimTiming {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>
  readonly lease: ObjectName
  readonly identity: string
  readonly onHolder: (identity: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** The record as last seen. Its age counts from then, by the local clock, because the writer's clock may be wrong. */
interface Observation {
  readonly lease: Lease
  readonly timer: Timer
  expired: boolean
}

/** The longest a single attempt may take, in milliseconds, so that a lost one leaves time for another. */
const attemptTimeout = 5_000

/** One process's claim to a lease: what it last saw of the record, and how it takes, renews and gives it back (client-go leaderelection). */
export class LeaseClaim {
  readonly #options: ClaimOptions
  #observed: Observation | undefined
  /** Whether the observed record is surely what the server has, but for the deeds of others. */
  #isCurrent = false
  #holder: string | undefined

  constructor(options: ClaimOptions) {
    this.#options = options
  }

  /**
   * Takes the lease if it is free or has expired, and renews it if it is held already.
   *
   * @returns whether it is held now
   * @throws {ApiError | ConnectionError | CredentialError} where that cannot be told; a conflict means that somebody was faster
   * @throws the signal's reason
   */
  async take(signal: AbortSignal): Promise<boolean> {
    const held = this.#observed
    if (held === undefined || !this.#isCurrent || !this.#isOwn(held.lease) || held.expired) {
      const lease = await this.#read(signal)
      if (lease === undefined) return await this.#create(signal)
      this.#observe(lease)
    }
    const observed = this.#observed
    if (observed === undefined) return false
    const { lease, expired } = observed
    const isOwn = this.#isOwn(lease)
    if (!isOwn && lease.spec?.holderIdentity && !expired) return false
    try {
      await this.#write(lease, this.#claimed(lease), signal)
      return true
    } catch (error) {
      if (!isOwn && error instanceof ApiError && error.status === 409) return false
      throw error
    }
  }

  /** Gives a held lease back, as far as the server can be reached. */
  async release(): Promise<void> {
    try {
      const lease = this.#isCurrent ? this.#observed?.lease : await this.#read(undefined)
      if (lease === undefined || !this.#isOwn(lease)) return
      const now = this.#now()
      const leaseTransitions = lease.spec?.leaseTransitions ?? 0
      // One second, because zero is not valid (client-go, release).
      const spec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions }
      await this.#write(lease, spec, undefined)
    } catch (error) {
      this.#options.log.warn({ error, lease: this.#options.lease.name }, 'the lease was not given back, it will expire')
    }
  }

  close(): void {
    this.#observed?.timer.cancel()
  }

  async #read(signal: AbortSignal | undefined): Promise<Lease | undefined> {
    try {
      return await this.#options.client.get(leases, this.#options.lease, { signal, timeout: attemptTimeout })
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined
      throw error
    }
  }

  async #create(signal: AbortSignal): Promise<boolean> {
    const { client, lease } = this.#options
    const now = this.#now()
    const spec = { ...this.#term(), acquireTime: now, renewTime: now, leaseTransitions: 0 }
    const metadata = { name: lease.name, ...(lease.namespace === undefined ? {} : { namespace: lease.namespace }) }
    try {
      this.#observe(await client.create(leases, { metadata, spec }, { signal, timeout: attemptTimeout }))
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false
      throw error
    }
  }

  /** Refused with a conflict unless the record is still the one that was seen. */
  async #write(seen: Lease, spec: NonNullable<Lease['spec']>, signal: AbortSignal | undefined): Promise<void> {
    // Should no answer come, or a conflict, nobody knows what is stored until it is read again.
    this.#isCurrent = false
    this.#observe(await this.#options.client.update(leases, { ...seen, spec }, { signal, timeout: attemptTimeout }))
  }

  #claimed(lease: Lease): NonNullable<Lease['spec']> {
    const now = this.#now()
    const { acquireTime = now, leaseTransitions = 0, holderIdentity } = lease.spec ?? {}
    // A candidate that starts again under its old name goes on where it was.
    const isOwn = holderIdentity === this.#options.identity
    return {
      ...this.#term(),
      acquireTime: isOwn ? acquireTime : now,
      renewTime: now,
      leaseTransitions: isOwn ? leaseTransitions : leaseTransitions + 1,
    }
  }

  #term(): { readonly holderIdentity: string; readonly leaseDurationSeconds: number } {
    const { identity, leaseDuration } = this.#options
    return { holderIdentity: identity, leaseDurationSeconds: Math.ceil(leaseDuration / 1000) }
  }

  /** A record that was seen before keeps its age. */
  #observe(lease: Lease): void {
    this.#isCurrent = true
    if (this.#observed?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return
    this.#observed?.timer.cancel()
    const duration = (lease.spec?.leaseDurationSeconds ?? 0) * 1000
    const timer = this.#options.clock.timer(duration, () => {
      observation.expired = true
    })
    const observation: Observation = { lease, timer, expired: false }
    this.#observed = observation
    const holder = lease.spec?.holderIdentity ?? ''
    if (holder !== this.#holder) this.#options.onHolder(holder)
    this.#holder = holder
  }

  #isOwn(lease: Lease): boolean {
    return lease.spec?.holderIdentity === this.#options.identity
  }

  /** MicroTime has exactly six digits of a second. */
  #now(): string {
    return new Date(this.#options.clock.now()).toISOString().replace('Z', '000Z')
  }
}
