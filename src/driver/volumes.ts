import { setImmediate as turn } from 'node:timers/promises'
import type { IssuanceError } from '../issuer/errors.ts'
import type { IssuerReference, RequestHandle } from '../issuer/issuer.ts'
import { KeyedMutex } from '../runtime/mutex.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { type AdoptedVolume, adoptUnreadable, isShown, issuedInPlace } from './adoption.ts'
import { Denials } from './denials.ts'
import type { PodMetadata } from '../volume/pod-metadata.ts'
import { type Passwords, passwordsIn, sanitizeContext, withPasswords } from '../volume/passwords.ts'
import { parseVolumeSpec, type SpecDefaults } from '../volume/spec.ts'
import type { VolumeRecord, VolumeStore } from '../volume/store.ts'
import {
  InvalidAttributesError,
  InvalidCallError,
  NoSuchVolumeError,
  NotReadyError,
  OtherTargetError,
} from './errors.ts'
import type { NodeGetVolumeStatsResponse } from '../gen/csi/v1/csi_pb.ts'
import { volumeStats } from './volume-stats.ts'
import { podInContext } from './former-metadata.ts'
import { type PodMetadataSource, referencedMetadata } from './pod-metadata.ts'
import { noTokens, type PodTokens } from './pod-tokens.ts'
import { UnmanagedVolumes } from './unmanaged-volumes.ts'
import { RenewalClock } from './renewal-clock.ts'
import { type ReadVolume, restoreFormerVolume, type RestoreSurroundings, restoreVolume } from './restore.ts'
import { Volume, type VolumeSurroundings } from './volume.ts'
import { memoryReason, memoryText } from './volume-memory.ts'
import { type PlacesOptions, VolumePlaces } from './volume-places.ts'
import type { VolumeReport } from './volume-report.ts'

/** A NodePublishVolume call, its required fields looked at. */
export interface PublishCall {
  readonly volumeId: string
  readonly target: string
  readonly context: Readonly<Record<string, string>>
  /** The pod's fsGroup as the kubelet sends it, a decimal number. */
  readonly mountGroup: string | undefined
  readonly tokens: PodTokens
  /** From the CSI secrets; they go before those in the context. */
  readonly passwords: Passwords
  /** An SELinux context from the mount flags. */
  readonly selinuxContext: string | undefined
  /** What the attributes refer to of the pod's labels and annotations, once it was read. */
  readonly podMetadata?: PodMetadata
}

export interface VolumesOptions
  extends Omit<VolumeSurroundings, 'onRefused' | 'onSchedule' | 'remount'>, PlacesOptions {
  readonly bootId: string
  readonly defaults: SpecDefaults
  readonly podMetadata: PodMetadataSource
  /** Why no new volume may be served, for people; undefined where it may. */
  readonly obstacle: () => string | undefined
}

/**
 * How many new volumes are opened at once. Were all of a hundred, the first request would go out once the last volume is ready for its own:
 * so the API server works on the first ones meanwhile. As many as Node has threads, so that a slow disk holds up no more than it does anyway.
 */
const openings = 4

const volumeIdForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/** All volumes of the node: found again after a restart, published, woken when it is time to renew, and unpublished. */
export class Volumes {
  readonly #options: VolumesOptions
  readonly #around: VolumeSurroundings
  readonly #volumes = new Map<string, Volume>()
  readonly #denials: Denials
  readonly #places: VolumePlaces
  readonly #unmanaged: UnmanagedVolumes
  readonly #serial = new KeyedMutex()
  readonly #openings = new Semaphore(openings)
  readonly #renewals: RenewalClock
  /** Settled once every volume that was left is taken up; calls that need to know them wait for it. */
  readonly #restored = Promise.withResolvers<void>()
  #restoring: Promise<void> | undefined
  #closed = false
  readonly #closing = new AbortController()

  constructor(options: VolumesOptions) {
    this.#options = options
    this.#places = new VolumePlaces(options)
    this.#renewals = new RenewalClock(options.clock, (now) => this.#wake(now))
    this.#unmanaged = new UnmanagedVolumes(options)
    this.#denials = new Denials(options.clock, ({ issuer, handle }) => void this.#discard(issuer, handle))
    this.#around = {
      ...options,
      onRefused: (volume, error) => void this.#abandon(volume, error),
      onSchedule: (volume) => this.#renewals.wakeAt(volume.nextAttempt),
      remount: (store, record) => this.#places.remount(store, record),
    }
  }

  reports(): VolumeReport[] {
    return [...[...this.#volumes.values()].map((volume) => volume.report()), ...this.#unmanaged.reports()]
  }

  /**
   * Renews a volume's certificate now.
   *
   * @returns false where there is no such volume, or it has no certificate yet
   */
  renew(volumeId: string): boolean {
    return this.#volumes.get(volumeId)?.renewNow() === true
  }

  /**
   * How full a volume is, and whether its certificate is well.
   *
   * @throws {NoSuchVolumeError}
   */
  async stats(volumeId: string, path: string): Promise<NodeGetVolumeStatsResponse> {
    await this.#restored.promise
    const volume = this.#volumes.get(volumeId)
    if (volume === undefined || volume.target !== path) throw new NoSuchVolumeError(volumeId, path)
    return volumeStats(volume, this.#options.clock.now())
  }

  /** Tells the volumes whose attempts could not reach their issuer that they may now. */
  issuerIsBack(): void {
    for (const volume of this.#volumes.values()) volume.issuerIsBack()
  }

  /** Tells the volumes of a pod that it has changed. */
  podChanged(podUid: string): void {
    for (const volume of this.#volumes.values()) if (volume.spec.pod.uid === podUid) volume.podChanged()
  }

  /** Whether somebody here still needs a request, which the issuer then must keep. */
  isNeeded(volumeId: string, requestId: string): boolean {
    const volume = this.#volumes.get(volumeId)
    return volume === undefined ? this.#denials.holds(volumeId, requestId) : volume.isNeeded(requestId)
  }

  /**
   * Takes up every volume that an earlier process, or an earlier boot, has left. Calls that need to know them wait for it, so the
   * socket may be served meanwhile.
   */
  restore(): Promise<void> {
    this.#restoring = this.#restoreAll().then(this.#restored.resolve, this.#restored.reject)
    return this.#restored.promise
  }

  /** One after the other: calls are answered in between, a probe among them. */
  async #restoreAll(): Promise<void> {
    const around: RestoreSurroundings = {
      ...this.#options,
      places: this.#places,
      unmanaged: this.#unmanaged,
      take: (store, volume) => this.#take(store, volume, noTokens),
      warn: (volume) => this.#warn(volume),
    }
    for (const id of await this.#places.list()) {
      if (this.#closed) return
      await this.#serial.run(id, () => restoreVolume(id, around))
    }
    for (const id of await this.#places.listFormer()) {
      if (this.#closed) return
      await this.#serial.run(id, () => restoreFormerVolume(id, around))
    }
  }

  /**
   * Publishes a volume, or answers for one that is published already.
   *
   * @param deadline - epoch milliseconds until which to wait for a first certificate
   * @throws errors that grpc-status.ts maps; with a final one nothing of a new volume is left on the node
   */
  async publish(call: PublishCall, deadline: number, signal: AbortSignal): Promise<void> {
    if (!volumeIdForm.test(call.volumeId)) {
      const form = 'letters, digits, ".", "_" and "-", at most 128, the first a letter or digit'
      throw new InvalidCallError(`volume_id ${JSON.stringify(call.volumeId)} is not valid: ${form}`)
    }
    await this.#restored.promise
    const whole = await this.#complete(call, deadline, signal)
    const volume = await this.#serial.run(call.volumeId, () => this.#open(whole))
    if (volume === undefined) return
    volume.refresh(call.tokens)
    if (volume.target !== call.target) throw new OtherTargetError(volume.id, volume.target)
    await volume.waitForCertificate(deadline, signal)
    try {
      await volume.show()
    } catch (error) {
      // The volume stays for the next attempt, so the answer must be one after which the kubelet unpublishes.
      throw error instanceof NotReadyError ? error : new NotReadyError(String(error), { cause: error })
    }
  }

  /** Takes a volume away, whatever is left of it. A volume that nobody knows is gone already. */
  async unpublish(volumeId: string, target: string): Promise<void> {
    // An id that no volume can have must not become a path.
    if (!volumeIdForm.test(volumeId)) return this.#places.uncover(target)
    await this.#restored.promise
    await this.#serial.run(volumeId, async () => {
      const volume = this.#volumes.get(volumeId)
      await volume?.stop('the volume is being unpublished')
      const handles = (await volume?.handles()) ?? []
      if (volume !== undefined && volume.target !== target) await this.#places.uncover(volume.target)
      await this.#places.takeDown(this.#places.of(volumeId), target)
      this.#volumes.delete(volumeId)
      this.#places.deleteFormer(volumeId)
      this.#unmanaged.delete(volumeId)
      if (volume !== undefined) void this.#leaveIssuer(volume, handles)
      this.#denials.forget(volumeId)
    })
  }

  /** Answers whoever waits and stops all work. What is stored stays, and so does what pods see. */
  async close(): Promise<void> {
    this.#closed = true
    this.#closing.abort(new NotReadyError('the driver is stopping'))
    this.#renewals.close()
    // A volume that is being restored or opened is in the map before its turn ends.
    await this.#restoring
    await this.#serial.idle()
    await Promise.all([...this.#volumes.values()].map((volume) => volume.stop('the driver is stopping')))
  }

  /** Reads what a new volume's attributes refer to of its pod. An unpublish need not wait for that: nothing is held meanwhile. */
  async #complete(call: PublishCall, deadline: number, signal: AbortSignal): Promise<PublishCall> {
    const { clock, podMetadata } = this.#options
    const keys = referencedMetadata(call.context)
    const pod = podInContext(call.context)
    if (keys === undefined || pod === undefined || this.#volumes.has(call.volumeId)) return call
    try {
      this.#denials.check(call.volumeId)
      const obstacle = this.#options.obstacle()
      if (obstacle !== undefined) throw new NotReadyError(obstacle)
      const either = AbortSignal.any([signal, this.#closing.signal])
      return { ...call, podMetadata: await podMetadata.read(pod, keys, deadline - clock.now(), either) }
    } catch (error) {
      // A pod may run with it, and then the kubelet must not hear of trouble.
      if (this.#unmanaged.has(call.volumeId)) return call
      throw error
    }
  }

  /** @returns undefined for a volume that a pod runs with and that stays as it is, because it cannot be read */
  async #open(call: PublishCall): Promise<Volume | undefined> {
    const known = this.#volumes.get(call.volumeId)
    if (known !== undefined && !(await this.#isBereft(known))) return known
    if (this.#closed) throw new NotReadyError('the driver is stopping')
    const store = this.#places.of(call.volumeId)
    const isLive = this.#unmanaged.has(call.volumeId) && (await isShown(store, call.target, this.#options.mounter))
    return isLive ? this.#openLive(store, call) : this.#openInTurn(store, call)
  }

  /** A turn lasts until the volume has made its key and sent its request, which its caller need not wait for. */
  #openInTurn(store: VolumeStore, call: PublishCall): Promise<Volume> {
    const { promise, resolve, reject } = Promise.withResolvers<Volume>()
    void this.#openings.run(async () => {
      await this.#openNew(store, call).then(resolve, reject)
      await turn()
    })
    return promise
  }

  /** A pod runs with it, so the kubelet must not hear of trouble: it would take the volume away (k8s#121271). */
  async #openLive(store: VolumeStore, call: PublishCall): Promise<Volume | undefined> {
    const { bootId, clock } = this.#options
    const { volumeId: id, target, context } = call
    const formerAt = this.#places.isFormer(id) ? clock.now() : undefined
    try {
      const obstacle = this.#options.obstacle()
      if (obstacle !== undefined) throw new NotReadyError(obstacle)
      const adopted = await adoptUnreadable(store, recordOf(call, bootId), call, this.#defaultsOf(call), formerAt)
      this.#warn(adopted)
      return await this.#take(store, adopted, call.tokens)
    } catch (error) {
      this.#unmanaged.add({ id, directory: store.directory, target, pod: podInContext(context), error })
      return undefined
    }
  }

  async #openNew(store: VolumeStore, call: PublishCall): Promise<Volume> {
    if (this.#closed) throw new NotReadyError('the driver is stopping')
    this.#denials.check(call.volumeId)
    const context = withPasswords(call.context, call.passwords)
    const parsed = parseVolumeSpec(context, this.#defaultsOf(call))
    if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
    const obstacle = this.#options.obstacle()
    if (obstacle !== undefined) throw new NotReadyError(obstacle)
    let record = recordOf(call, this.#options.bootId)
    let regained = false
    try {
      await this.#places.prepare(call.volumeId, call.selinuxContext)
      regained = await this.#options.mounter.regain(store.data, call.target)
      const issued = regained ? await issuedInPlace(store, parsed.spec.files, undefined) : undefined
      if (regained) record = { ...record, shown: true, issued }
      await store.writePasswords(passwordsIn(context))
      await store.write(record)
    } catch (error) {
      // What a pod runs with is let go of before the rest is wiped.
      if (regained) await this.#options.mounter.unmount(store.data).catch(() => {})
      // What cannot be taken down again is left for the unpublish, which only comes after an answer that is not final.
      await this.#places.takeDown(store, undefined).catch((failure: unknown) => {
        throw new NotReadyError(`${String(error)}; and it cannot be cleaned up: ${String(failure)}`, { cause: error })
      })
      throw error
    }
    const volume = await this.#take(store, { spec: parsed.spec, record }, call.tokens)
    if (regained) {
      this.#options.metrics.memoryLosses.inc({ outcome: 'regained' })
      this.#options.events.record(parsed.spec.pod, 'Warning', memoryReason, memoryText('regained'))
      this.#options.log.error({ volume: volume.id, outcome: 'regained' }, memoryText('regained'))
    }
    this.#warn(parsed)
    return volume
  }

  /** Tells what is odd about a volume's attributes. */
  #warn({ spec, warnings }: Pick<AdoptedVolume, 'spec' | 'warnings'>): void {
    if (warnings.length === 0) return
    const text = warnings.map(({ attribute, message }) => `${attribute}: ${message}`).join('; ')
    this.#options.events.record(spec.pod, 'Warning', 'VolumeAttribute', text)
  }

  /** Whether a volume of the former driver has lost its memory. It is let go of, and goes on as one of ours. */
  async #isBereft(volume: Volume): Promise<boolean> {
    if (!this.#places.isFormer(volume.id) || (await this.#places.hasFormerMemory())) return false
    await volume.stop('the volume is being taken up again')
    this.#volumes.delete(volume.id)
    this.#places.deleteFormer(volume.id)
    return true
  }

  async #take(store: VolumeStore, { spec, record }: ReadVolume, tokens: PodTokens): Promise<Volume> {
    const volume = new Volume(record.volumeId, store, spec, record, this.#around)
    volume.refresh(tokens)
    this.#volumes.set(volume.id, volume)
    this.#unmanaged.delete(volume.id)
    await volume.start()
    // One that is taken up with its certificate waits for its renewal.
    this.#renewals.wakeAt(volume.nextAttempt)
    return volume
  }

  /** A first certificate was refused for good: nothing of the volume is left but the memory of the denial. */
  async #abandon(volume: Volume, error: IssuanceError): Promise<void> {
    const { log } = this.#options
    const { refused: handle, spec } = volume
    this.#denials.remember(volume.id, error.message, handle && { issuer: spec.issuer, handle })
    await this.#serial.run(volume.id, async () => {
      if (this.#volumes.get(volume.id) !== volume) return
      try {
        await this.#places.takeDown(volume.store, volume.target)
        this.#volumes.delete(volume.id)
        void this.#leaveIssuer(volume, [])
        volume.end(error)
      } catch (failure) {
        log.error({ error: failure, volume: volume.id }, 'a refused volume could not be taken down')
        volume.end(new NotReadyError(error.message, { cause: failure }))
      }
    })
  }

  async #discard(issuer: IssuerReference, handle: RequestHandle): Promise<void> {
    const { issuerFor, log } = this.#options
    await issuerFor(issuer)
      .discard(handle)
      .catch((error: unknown) => log.warn({ error, request: handle.name }, 'a request is left with the issuer'))
  }

  /** Tells the issuer that a volume is gone, and with it what it still holds of it. Nobody waits for that. */
  async #leaveIssuer({ id, spec }: Volume, handles: readonly RequestHandle[]): Promise<void> {
    const { issuerFor, log } = this.#options
    await Promise.all(handles.map((handle) => this.#discard(spec.issuer, handle)))
    await issuerFor(spec.issuer)
      .forget?.(id)
      .catch((error: unknown) => log.warn({ error, volume: id }, 'something of a volume is left with the issuer'))
  }

  /** What a volume's attributes are read with. */
  #defaultsOf({ podMetadata }: Pick<VolumeRecord, 'podMetadata'>): SpecDefaults {
    return { ...this.#options.defaults, podMetadata }
  }

  /** Wakes every volume that is due. @returns when the next one wants to be woken, epoch milliseconds */
  #wake(now: number): number | undefined {
    let first: number | undefined
    for (const volume of this.#volumes.values()) {
      volume.wake(now)
      const { nextAttempt } = volume
      if (nextAttempt !== undefined && nextAttempt < (first ?? Number.POSITIVE_INFINITY)) first = nextAttempt
    }
    return first
  }
}

/** What is stored of a volume that is published for the first time. */
function recordOf(call: PublishCall, bootId: string): VolumeRecord {
  return {
    version: 1,
    bootId,
    volumeId: call.volumeId,
    target: call.target,
    context: sanitizeContext(call.context),
    mountGroup: call.mountGroup,
    podMetadata: call.podMetadata,
    selinuxContext: call.selinuxContext,
    shown: false,
  }
}
