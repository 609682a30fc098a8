import type { KeyObject } from 'node:crypto'
import { IssuanceError, IssuerRefusedError, IssuerUnavailableError, TokenMissingError } from '../issuer/errors.ts'
import type { IssuedCertificate, RequestHandle } from '../issuer/issuer.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { Mutex } from '../runtime/mutex.ts'
import type { Mounter } from '../volume/mounter.ts'
import { passwordsFor } from '../volume/passwords.ts'
import { buildPayload } from '../volume/payload.ts'
import { isComplete, writePayload } from '../volume/payload-writer.ts'
import { renewalSpread } from '../volume/renewal.ts'
import { planRenewal } from '../volume/renewal-plan.ts'
import type { VolumeSpec } from '../volume/spec.ts'
import type { Issued, VolumeRecord, VolumeStore } from '../volume/store.ts'
import { writeTrust } from '../volume/trust-files.ts'
import { isTrusted } from '../x509/trust.ts'
import { NotReadyError } from './errors.ts'
import { type IssuanceSurroundings, obtainCertificate } from './issuance.ts'
import { type DriverMetrics, timed } from './metrics.ts'
import type { PodEvents } from './pod-events.ts'
import type { PodGate } from './pod-gate.ts'
import { liveToken, noTokens, type PodTokens } from './pod-tokens.ts'
import { firstDelay, isRefusal, renewalDelay } from './retry.ts'
import { TrustUpdates } from './trust-updates.ts'
import { type MemoryOutcome, memoryReason, memoryText } from './volume-memory.ts'
import { isFormer, type VolumeReport } from './volume-report.ts'
import { Waiters } from './waiters.ts'

/** What a volume needs of its node. */
export interface VolumeSurroundings extends IssuanceSurroundings {
  readonly clock: Clock
  readonly log: Log
  readonly mounter: Mounter
  readonly events: PodEvents
  readonly metrics: DriverMetrics
  readonly gate: PodGate
  /** Mounts a volume's private memory anew that somebody has unmounted; undefined where nobody has. */
  readonly remount: (store: VolumeStore, record: VolumeRecord) => Promise<MemoryOutcome | undefined>
  /** Whether a pod whose gates are closed is started with an empty volume. */
  readonly continueOnNotReady: boolean
  /** In [0, 1), for backoff. */
  readonly random: () => number
  /** Told once a volume's first certificate is refused for good. Its memory is taken down before its callers hear of it. */
  readonly onRefused: (volume: Volume, error: IssuanceError) => void
  /** Told when the time at which a volume wants to be woken may have changed. */
  readonly onSchedule: (volume: Volume) => void
}

/** What a volume is doing. Each state holds exactly what it needs. */
type VolumeState =
  | { readonly is: 'requesting'; readonly progress: string }
  | {
      readonly is: 'issued'
      readonly issued: Issued
      readonly nextAttempt: number | undefined
      readonly failures: number
    }
  | {
      readonly is: 'renewing'
      readonly issued: Issued
      readonly failures: number
      readonly progress: string
    }

/** How long a closed gate is believed without a word of the pod, in milliseconds. */
const gateLook = 3600_000
/** Over how long renewals are spread that an outage has held up, in milliseconds. */
const returnSpread = 5000
/** How long a renewal waits for a token of the pod before that is trouble, in milliseconds. */
const tokenPatience = 5 * 60_000

/**
 * One volume, from its first publish to its unpublish. A certificate's way is one straight line: key → request → submit → wait →
 * check → files → swap. It belongs to the volume, not to the call that asked for it: a call may give up waiting, the work goes on.
 */
export class Volume {
  readonly id: string
  readonly store: VolumeStore
  readonly spec: VolumeSpec
  readonly #around: VolumeSurroundings
  readonly #log: Log
  readonly #ending = new AbortController()
  /** Held while files, mounts or the record change. */
  readonly #files = new Mutex()
  readonly #waiters = new Waiters()
  readonly #trust: TrustUpdates
  #record: VolumeRecord
  #state: VolumeState
  #work: Promise<void> = Promise.resolve()
  #tokens = noTokens
  /** Since when a renewal waits for a token of the pod, epoch milliseconds. */
  #tokenMissedAt: number | undefined
  /** Whether the last attempt failed because its issuer could not be reached. */
  #isUnreached = false
  /** Ends the wait for the next attempt at a first certificate. */
  #nudge: (() => void) | undefined
  /** Epoch milliseconds. */
  #lastError: { readonly text: string; readonly at: number } | undefined
  /** The last request that was refused. */
  #refused: RequestHandle | undefined
  /** The last request that was on its way, which a retry takes up again. */
  #inFlight: string | undefined

  constructor(id: string, store: VolumeStore, spec: VolumeSpec, record: VolumeRecord, around: VolumeSurroundings) {
    this.id = id
    this.store = store
    this.spec = spec
    this.#record = record
    this.#around = around
    this.#log = around.log.child({ volume: id, pod: `${spec.pod.namespace}/${spec.pod.name}` })
    this.#trust = new TrustUpdates({
      issuer: () => around.issuerFor(spec.issuer),
      apply: (ca) => this.#takeTrust(ca),
      random: around.random,
      clock: around.clock,
      log: this.#log,
    })
    this.#state =
      record.issued === undefined
        ? { is: 'requesting', progress: 'the request is being made' }
        : { is: 'issued', issued: record.issued, nextAttempt: this.#renewalOf(record.issued), failures: 0 }
  }

  get target(): string {
    return this.#record.target
  }

  /** Whether a pod may be running with it. */
  get shown(): boolean {
    return this.#record.shown
  }

  /** When it wants {@link wake} to be called, epoch milliseconds. */
  get nextAttempt(): number | undefined {
    return this.#state.is === 'issued' ? this.#state.nextAttempt : undefined
  }

  /** The last request that was refused, which the issuer still holds. */
  get refused(): RequestHandle | undefined {
    return this.#refused
  }

  report(): VolumeReport {
    const state = this.#state
    const issued = state.is === 'requesting' ? undefined : state.issued
    return {
      volumeId: this.id,
      target: this.target,
      directory: this.store.directory,
      pod: this.spec.pod,
      issuer: this.spec.issuer,
      state: state.is,
      shown: this.shown,
      detached: this.#record.detached === true,
      former: isFormer(this.store.directory),
      progress: state.is === 'issued' ? undefined : state.progress,
      request: issued?.handle.name,
      issued: issued && { notBefore: issued.notBefore, notAfter: issued.notAfter, serial: issued.serial },
      renewAt: this.nextAttempt,
      lastError: this.#lastError?.text ?? (this.#record.detached === true ? memoryText('lost') : undefined),
      lastErrorAt: this.#lastError?.at,
    }
  }

  /** Starts, or after a restart resumes, what there is to do. A request in flight is resumed with its key. */
  async start(): Promise<void> {
    if (this.#state.is === 'requesting') {
      this.#work = this.#issueFirst()
      return
    }
    this.#trust.follow(this.#state.issued.handle)
    const pending = await this.store.readPending().catch(() => undefined)
    if (pending === undefined) return
    this.#inFlight = pending.request.id
    if (pending.request.id === this.#state.issued.handle.id) await this.store.clearPending()
    else this.#state = { is: 'issued', issued: this.#state.issued, nextAttempt: this.#around.clock.now(), failures: 0 }
  }

  /**
   * Waits for the first certificate; returns at once where there is one.
   *
   * @param deadline - epoch milliseconds
   * @param signal - the caller's; giving up waiting does not stop the work
   * @throws {NotReadyError} at the deadline, when the driver stops, or when the issuer refuses whoever must be mended first
   * @throws {IssuanceError} that is final
   */
  waitForCertificate(deadline: number, signal: AbortSignal): Promise<void> {
    // What a pod runs with is answered for, also where the user chose to start it without a certificate.
    if (this.#state.is !== 'requesting' || this.#record.shown || this.#isEmptyOnPurpose()) return Promise.resolve()
    if (this.#ending.signal.aborted) return Promise.reject(this.#ending.signal.reason as Error)
    const { clock, events } = this.#around
    return this.#waiters.wait(clock, deadline - clock.now(), signal, {
      onAbort: () => new NotReadyError(this.#describeWait('the caller stopped waiting')),
      onTimeout: () => {
        const text = this.#describeWait('no answer yet')
        events.record(this.spec.pod, 'Warning', 'CertificatePending', text)
        return new NotReadyError(text)
      },
    })
  }

  /**
   * Shows the files to the pod, having looked that all of them are there. Where they are gone with their memory under a running pod,
   * new ones are asked for, and shown once they are there.
   *
   * @throws {MountError}
   */
  show(): Promise<void> {
    return this.#files.run(async () => {
      this.#ending.signal.throwIfAborted()
      const { certificate, privateKey, ca } = this.spec.files
      let complete = await isComplete(this.store.data, [certificate, privateKey, ca])
      if (!complete && (await this.#keepMemory())) {
        complete = await isComplete(this.store.data, [certificate, privateKey, ca])
        if (!complete && this.#record.shown && this.renewNow()) return
      }
      if (!complete && !(this.#state.is === 'requesting' && (this.#record.shown || this.#isEmptyOnPurpose()))) {
        throw new NotReadyError(`volume ${this.id} lacks files, although it has a certificate; it must be unpublished`)
      }
      const { metrics, mounter } = this.#around
      await timed(metrics, 'show', () => mounter.show(this.store.data, this.target))
      if (this.#record.shown) return
      this.#record = { ...this.#record, shown: true }
      await this.store.write(this.#record)
    })
  }

  /** Takes the pod's tokens of a publish. What has waited for them goes on. */
  refresh(tokens: PodTokens): void {
    this.#tokens = tokens
    if (tokens.size === 0) return
    this.#nudge?.()
    if (this.#state.is !== 'issued' || this.#tokenMissedAt === undefined) return
    this.#state = { ...this.#state, nextAttempt: this.#around.clock.now() }
    this.#around.onSchedule(this)
  }

  /**
   * Told that its issuer can be reached again: an attempt that could not reach it is repeated soon, not at the end of its backoff,
   * which is minutes after a long outage. Renewals are spread over some seconds, as every node hears of it at once.
   */
  issuerIsBack(): void {
    if (!this.#isUnreached) return
    this.#nudge?.()
    if (this.#state.is !== 'issued' || this.#state.nextAttempt === undefined) return
    const soon = this.#around.clock.now() + this.#around.random() * returnSpread
    this.#state = { ...this.#state, nextAttempt: Math.min(this.#state.nextAttempt, soon) }
    this.#around.onSchedule(this)
  }

  /** Told that the pod has changed: what has waited for its gates goes on where they are open. */
  podChanged(): void {
    if (this.#around.gate.closed(this.spec.pod) === undefined) this.#nudge?.()
  }

  /**
   * Has the certificate renewed without waiting for its time.
   *
   * @returns false where there is none yet
   */
  renewNow(): boolean {
    if (this.#state.is === 'requesting') return false
    if (this.#state.is === 'issued') {
      this.#state = { ...this.#state, nextAttempt: this.#around.clock.now() }
      this.#around.onSchedule(this)
    }
    return true
  }

  /** Renews the certificate, if it is time for it. */
  wake(now: number): void {
    if (this.#state.is !== 'issued' || this.#state.nextAttempt === undefined || this.#state.nextAttempt > now) return
    const { issued, failures } = this.#state
    this.#state = { is: 'renewing', issued, failures, progress: 'the request is being made' }
    this.#work = this.#renew(issued, failures)
  }

  /** Ends all work for good and answers whoever waits, now or later, with an error. */
  end(error: Error): void {
    this.#ending.abort(error)
    this.#waiters.reject(error)
  }

  /** Ends all work and waits until nothing of it touches a file any more. What is stored stays, for a restart to go on. */
  async stop(reason: string): Promise<void> {
    this.end(new NotReadyError(reason))
    await this.#work
    await this.#trust.close()
    await this.#files.idle()
  }

  /** Whether a request is this volume's last one, or may become it. */
  isNeeded(requestId: string): boolean {
    if (this.#state.is !== 'issued') return true
    return [this.#state.issued.handle.id, this.#refused?.id, this.#inFlight].includes(requestId)
  }

  /** What the issuer may still hold of this volume. */
  async handles(): Promise<readonly RequestHandle[]> {
    const pending = await this.store.readPending().catch(() => undefined)
    return [this.#record.issued?.handle, pending?.handle, this.#refused].filter((handle) => handle !== undefined)
  }

  async #issueFirst(): Promise<void> {
    const { signal } = this.#ending
    for (let failures = 1; ; failures++) {
      try {
        await this.#waitForGate()
        signal.throwIfAborted()
        if (failures > 1) this.#around.metrics.retries.inc()
        if (failures > 1) await this.#files.run(() => this.#keepMemory())
        await this.#obtain()
        this.#waiters.resolve()
        return
      } catch (error) {
        if (signal.aborted) return
        this.#report('CertificateRequestFailed', error, {})
        // A volume that a pod runs with, empty because the user chose so, is not taken down.
        if (isRefusal(error) && !this.#record.shown) {
          this.#around.onRefused(this, error)
          return
        }
        this.#progress(messageOf(error))
        if (error instanceof IssuerRefusedError || error instanceof TokenMissingError) this.#waiters.reject(error)
        await this.#pause(firstDelay(failures, error, this.#around.random))
        if (signal.aborted) return
      }
    }
  }

  /** Whether the user chose to start the pod before there can be a certificate. */
  #isEmptyOnPurpose(): boolean {
    return (
      this.#around.continueOnNotReady &&
      this.#state.is === 'requesting' &&
      this.#around.gate.closed(this.spec.pod) !== undefined
    )
  }

  /** Waits until the pod meets the gates; each change of the pod is a reason to look. */
  async #waitForGate(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const closed = this.#around.gate.closed(this.spec.pod)
      if (closed === undefined) return
      this.#progress(closed)
      await this.#pause(gateLook)
    }
  }

  /** Waits for the next attempt, or until there is a reason to make it at once. */
  async #pause(delay: number): Promise<void> {
    const nudged = new AbortController()
    this.#nudge = () => nudged.abort()
    await sleep(this.#around.clock, delay, AbortSignal.any([this.#ending.signal, nudged.signal])).catch(() => {})
    this.#nudge = undefined
  }

  async #renew(before: Issued, failures: number): Promise<void> {
    if (failures > 0) this.#around.metrics.retries.inc()
    try {
      await this.#files.run(() => this.#keepMemory())
      await this.#obtain()
      this.#tokenMissedAt = undefined
      this.#around.metrics.renewals.inc({ outcome: 'success' })
    } catch (error) {
      if (this.#ending.signal.aborted) return
      if (this.#waitsForToken(error)) {
        const nextAttempt = this.#around.clock.now() + tokenPatience
        this.#state = { is: 'issued', issued: before, nextAttempt, failures }
        this.#around.onSchedule(this)
        return
      }
      this.#around.metrics.renewals.inc({ outcome: 'failure' })
      const now = this.#around.clock.now()
      const delay = renewalDelay(failures + 1, error, before, now, this.#around.random)
      const nextAttempt = delay === undefined ? undefined : now + delay
      this.#report('RenewalFailed', error, {
        expires: new Date(before.notAfter).toISOString(),
        nextAttempt: nextAttempt === undefined ? 'never' : new Date(nextAttempt).toISOString(),
      })
      this.#state = { is: 'issued', issued: before, nextAttempt, failures: failures + 1 }
    }
    this.#around.onSchedule(this)
  }

  /** A token that is missing is no failure until the kubelet has had time to send a fresh one with its next republish. */
  #waitsForToken(error: unknown): boolean {
    if (!(error instanceof TokenMissingError)) return false
    const now = this.#around.clock.now()
    this.#tokenMissedAt ??= now
    return now - this.#tokenMissedAt < tokenPatience
  }

  /** One attempt to get a certificate and put it in place. */
  async #obtain(): Promise<void> {
    if (this.#refused !== undefined) this.#forget(this.#refused)
    this.#refused = undefined
    const reuseKey = this.#state.is !== 'requesting'
    const { key, answer, issued, warnings } = await obtainCertificate(
      {
        id: this.id,
        spec: this.spec,
        store: this.store,
        log: this.#log,
        credentials: { token: (audience) => liveToken(this.#tokens, audience, this.#around.clock.now()) },
        reuseKey,
        onRequest: (requestId) => {
          this.#inFlight = requestId
        },
        onRefused: (handle) => {
          this.#refused = handle
        },
      },
      this.#around,
      this.#ending.signal,
      (progress) => this.#progress(progress),
    )
    if (warnings.length > 0) {
      const text = `${issued.handle.name}: ${warnings.join('; ')}`
      this.#around.events.record(this.spec.pod, 'Warning', 'CertificateDiffers', text)
      this.#log.warn({ request: issued.handle.name, warnings }, 'the certificate differs from what was asked for')
    }
    await this.#files.run(() => this.#replace(key, answer, issued))
  }

  /**
   * Looks whether the private memory is still there, and mounts it anew where it is not. Without it, nothing secret is written: the
   * folders that keys are written to are only ever made in it.
   *
   * @returns whether it was mounted anew
   */
  async #keepMemory(): Promise<boolean> {
    this.#ending.signal.throwIfAborted()
    if (await this.store.isThere()) return false
    const outcome = await this.#around.remount(this.store, this.#record)
    if (outcome === undefined) return false
    if (outcome === 'lost' && this.#record.shown) this.#record = { ...this.#record, detached: true }
    await this.store.writePasswords(passwordsFor(this.spec.keystores))
    await this.store.write(this.#record)
    if (this.#record.shown) this.#around.events.record(this.spec.pod, 'Warning', memoryReason, memoryText(outcome))
    this.#log.error({ outcome, shown: this.#record.shown }, memoryText(outcome))
    return true
  }

  /** Puts a checked certificate in place. From here the pod sees it, or after a crash the same request is resumed. */
  async #replace(key: KeyObject, answer: IssuedCertificate, issued: Issued): Promise<void> {
    this.#ending.signal.throwIfAborted()
    const { clock, metrics } = this.#around
    await timed(metrics, 'write', () =>
      writePayload(this.store.data, buildPayload(this.spec, key, answer, clock.now()), this.#fileGroup()),
    )
    // What the target shows of memory that is lost is of no use to containers that start from now on.
    if (this.#record.detached === true) await this.#around.mounter.show(this.store.data, this.target)
    const superseded = this.#record.issued?.handle
    const renewAt = this.#renewalOf(issued)
    this.#record = { ...this.#record, issued: renewAt === undefined ? issued : { ...issued, renewAt } }
    await this.store.write(this.#record)
    await this.store.clearPending()
    this.#state = { is: 'issued', issued, nextAttempt: renewAt, failures: 0 }
    this.#lastError = undefined
    this.#isUnreached = false
    this.#log.info(
      { request: issued.handle.name, serial: issued.serial, expires: new Date(issued.notAfter).toISOString() },
      superseded === undefined ? 'certificate issued' : 'certificate renewed',
    )
    if (superseded !== undefined && superseded.id !== issued.handle.id) this.#forget(superseded)
    this.#trust.follow(issued.handle)
    this.#around.onSchedule(this)
  }

  /** Puts another trust beside the certificate that is there. Where the memory is lost, the next renewal brings it. */
  #takeTrust(ca: string): Promise<void> {
    return this.#files.run(async () => {
      this.#ending.signal.throwIfAborted()
      if (!(await this.store.isThere())) return
      const now = this.#around.clock.now()
      const chain = await writeTrust(this.store.data, this.spec, ca, this.#fileGroup(), now)
      if (chain === undefined) return
      this.#log.info({}, 'the trust of the issuer has changed, and the CA file with it')
      if (isTrusted(chain, ca, now)) return
      const text = `the trust of ${this.spec.issuer.name} has changed and no longer leads to this pod's certificate: "podpass driver renew ${this.id}" on its node asks for another one`
      this.#around.events.record(this.spec.pod, 'Warning', 'TrustDiffers', text)
    })
  }

  #fileGroup(): number | undefined {
    return this.spec.fsGroup ?? numericGroup(this.#record.mountGroup)
  }

  #renewalOf(issued: Issued): number | undefined {
    if (!this.spec.renewal.automatic) return undefined
    if (issued.renewAt !== undefined) return issued.renewAt
    const { at, warning } = planRenewal(issued, this.spec.renewal, renewalSpread(this.id), this.#around.clock.now())
    if (warning !== undefined) this.#around.events.record(this.spec.pod, 'Warning', 'RenewalWindow', warning)
    return at
  }

  #forget(handle: RequestHandle): void {
    this.#around
      .issuerFor(this.spec.issuer)
      .discard(handle)
      .catch((error: unknown) => this.#log.warn({ error, request: handle.name }, 'a request is left with the issuer'))
  }

  #progress(progress: string): void {
    if (this.#state.is !== 'issued') this.#state = { ...this.#state, progress }
  }

  #describeWait(why: string): string {
    const progress = this.#state.is === 'requesting' ? this.#state.progress : this.#state.is
    return `the certificate is not issued yet (${why}): ${progress}. The request is kept; the next attempt takes its answer`
  }

  #report(reason: string, error: unknown, context: Readonly<Record<string, string>>): void {
    const { failures, denials } = this.#around.metrics
    failures.inc({ reason: error instanceof IssuanceError ? error.code : 'INTERNAL' })
    if (isRefusal(error)) denials.inc({ reason: error.code })
    // What is the same each time is one event with a count; when the next attempt is made is not.
    const end = context['expires'] === undefined ? '' : `; expires ${context['expires']}`
    const text = messageOf(error)
    this.#isUnreached = error instanceof IssuerUnavailableError
    this.#lastError = { text, at: this.#around.clock.now() }
    this.#around.events.record(this.spec.pod, 'Warning', reason, `${text}${end}`)
    this.#log.error({ error, ...context }, reason === 'RenewalFailed' ? 'renewal failed' : 'issuance failed')
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function numericGroup(group: string | undefined): number | undefined {
  return group !== undefined && /^\d{1,10}$/.test(group) ? Number(group) : undefined
}
