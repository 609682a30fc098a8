import { access, mkdir, readdir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { IssuanceError } from '../issuer/errors.ts'
import type { IssuerReference, RequestHandle } from '../issuer/issuer.ts'
import type { Timer } from '../runtime/clock.ts'
import { KeyedMutex } from '../runtime/mutex.ts'
import { readFormerVolume } from './adoption.ts'
import { Denials } from './denials.ts'
import { type Passwords, passwordsIn, sanitizeContext, withPasswords } from '../volume/passwords.ts'
import { parseVolumeSpec, type SpecDefaults, type VolumeSpec } from '../volume/spec.ts'
import { type VolumeRecord, VolumeStore } from '../volume/store.ts'
import {
  InvalidAttributesError,
  InvalidCallError,
  NoSuchVolumeError,
  NotReadyError,
  OtherTargetError,
} from './errors.ts'
import type { NodeGetVolumeStatsResponse } from '../gen/csi/v1/csi_pb.ts'
import { volumeStats } from './volume-stats.ts'
import { noTokens, type PodTokens } from './pod-tokens.ts'
import { Volume, type VolumeSurroundings } from './volume.ts'
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
}

export interface VolumesOptions extends Omit<VolumeSurroundings, 'onRefused' | 'onSchedule'> {
  /** Where the private memory of all volumes is mounted, one folder each. */
  readonly directory: string
  /** Where volumes of cert-manager's csi-driver may be found: one private memory for all, a folder each. */
  readonly formerDirectory: string
  readonly bootId: string
  readonly defaults: SpecDefaults
  /** The most that a volume's files may take, in bytes. */
  readonly volumeSize: number
  /** Refuses volumes where the kernel could write keys to swap. */
  readonly requireNoswap: boolean
  /** Whether any swap is on. */
  readonly swapOn: () => Promise<boolean>
  /** Why no new volume may be served, for people; undefined where it may. */
  readonly obstacle: () => string | undefined
}

/** The longest sleep of the renewal timer: it compares the wall clock at least this often, so that a suspend delays nothing for long. */
const longestSleep = 3600_000
const volumeIdForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/** All volumes of the node: found again after a restart, published, woken when it is time to renew, and unpublished. */
export class Volumes {
  readonly #options: VolumesOptions
  readonly #around: VolumeSurroundings
  readonly #volumes = new Map<string, Volume>()
  readonly #denials: Denials
  /** Volumes of the former driver, by id: they stay in the folder that their pods see. */
  readonly #former = new Map<string, VolumeStore>()
  readonly #serial = new KeyedMutex()
  #restored: Promise<void> = Promise.resolve()
  #timer: Timer | undefined
  #closed = false

  constructor(options: VolumesOptions) {
    this.#options = options
    this.#denials = new Denials(options.clock, ({ issuer, handle }) => this.#forget(issuer, handle))
    this.#around = {
      ...options,
      onRefused: (volume, error) => void this.#abandon(volume, error),
      onSchedule: () => this.#schedule(),
    }
  }

  reports(): VolumeReport[] {
    return [...this.#volumes.values()].map((volume) => volume.report())
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
    await this.#restored
    const volume = this.#volumes.get(volumeId)
    if (volume === undefined || volume.target !== path) throw new NoSuchVolumeError(volumeId, path)
    return volumeStats(volume, this.#options.clock.now())
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
    this.#restored = this.#restoreAll()
    return this.#restored
  }

  async #restoreAll(): Promise<void> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 })
    const names = await readdir(this.#options.directory)
    await Promise.all(names.map((name) => this.#serial.run(name, () => this.#restoreOne(name))))
    await this.#restoreFormer()
    this.#schedule()
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
    await this.#restored
    const volume = await this.#serial.run(call.volumeId, () => this.#open(call))
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
    if (!volumeIdForm.test(volumeId)) return this.#uncover(target)
    await this.#restored
    await this.#serial.run(volumeId, async () => {
      const volume = this.#volumes.get(volumeId)
      await volume?.stop('the volume is being unpublished')
      const handles = (await volume?.handles()) ?? []
      if (volume !== undefined && volume.target !== target) await this.#uncover(volume.target)
      await this.#takeDown(this.#store(volumeId), target)
      this.#volumes.delete(volumeId)
      this.#former.delete(volumeId)
      this.#count()
      if (volume !== undefined) for (const handle of handles) this.#forget(volume.spec.issuer, handle)
      this.#denials.forget(volumeId)
    })
  }

  /** Answers whoever waits and stops all work. What is stored stays, and so does what pods see. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    // A volume that is being restored or opened is in the map before its turn ends.
    await this.#restored.catch(() => {})
    await this.#serial.idle()
    await Promise.all([...this.#volumes.values()].map((volume) => volume.stop('the driver is stopping')))
  }

  async #open(call: PublishCall): Promise<Volume> {
    const known = this.#volumes.get(call.volumeId)
    if (known !== undefined) return known
    if (this.#closed) throw new NotReadyError('the driver is stopping')
    this.#denials.check(call.volumeId)
    const context = withPasswords(call.context, call.passwords)
    const parsed = parseVolumeSpec(context, this.#options.defaults)
    if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
    const obstacle = this.#options.obstacle()
    if (obstacle !== undefined) throw new NotReadyError(obstacle)
    const store = this.#store(call.volumeId)
    const record: VolumeRecord = {
      version: 1,
      bootId: this.#options.bootId,
      volumeId: call.volumeId,
      target: call.target,
      context: sanitizeContext(call.context),
      mountGroup: call.mountGroup,
      shown: false,
    }
    try {
      await this.#prepare(store, call)
      await store.writePasswords(passwordsIn(context))
      await store.write(record)
    } catch (error) {
      // What cannot be taken down again is left for the unpublish, which only comes after an answer that is not final.
      await this.#takeDown(store, undefined).catch((failure: unknown) => {
        throw new NotReadyError(`${String(error)}; and it cannot be cleaned up: ${String(failure)}`, { cause: error })
      })
      throw error
    }
    const volume = await this.#take(store, parsed.spec, record, call.tokens)
    if (parsed.warnings.length > 0) {
      const text = parsed.warnings.map(({ attribute, message }) => `${attribute}: ${message}`).join('; ')
      this.#options.events.record(parsed.spec.pod, 'Warning', 'VolumeAttribute', text)
    }
    return volume
  }

  async #prepare(store: VolumeStore, { selinuxContext, volumeId }: PublishCall): Promise<void> {
    const { mounter, requireNoswap, swapOn, metrics, log, volumeSize } = this.#options
    // What is there of the former driver is seen by a pod, so nothing is mounted over it.
    if (this.#former.has(volumeId)) return store.prepare()
    const size = { size: volumeSize }
    const options = selinuxContext === undefined ? size : { ...size, selinuxContext }
    const { noswap } = await mounter.mountPrivate(store.directory, options)
    if (!noswap && (await swapOn())) {
      metrics.swappable.set(1)
      const text = 'swap is on and the kernel does not keep this tmpfs out of it (noswap needs Linux 6.3)'
      if (requireNoswap)
        throw new NotReadyError(`${text}; --require-noswap refuses that: turn swap off, or use a newer kernel`)
      log.warn({ volume: volumeId }, `private keys may be written to disk: ${text}`)
    }
    await store.prepare()
  }

  async #take(store: VolumeStore, spec: VolumeSpec, record: VolumeRecord, tokens: PodTokens): Promise<Volume> {
    const volume = new Volume(record.volumeId, store, spec, record, this.#around)
    volume.refresh(tokens)
    this.#volumes.set(volume.id, volume)
    this.#count()
    await volume.start()
    return volume
  }

  async #restoreOne(name: string): Promise<void> {
    const { log, mounter, bootId, defaults } = this.#options
    const store = this.#store(name)
    try {
      const record = (await mounter.isPrivate(store.directory)) ? await store.read() : undefined
      if (record === undefined || record.bootId !== bootId || (await this.#isAbandoned(record))) {
        await this.#takeDown(store, record?.target)
        return
      }
      const parsed = parseVolumeSpec(withPasswords(record.context, await store.readPasswords()), defaults)
      if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
      await this.#take(store, parsed.spec, record, noTokens)
    } catch (error) {
      // It may be in use, so it is left as it is: a publish makes it anew in place, an unpublish takes it down.
      log.error({ error, volume: name }, 'a volume cannot be taken up again; it is not renewed')
    }
  }

  /** Takes over what cert-manager's csi-driver has left, unless its memory was lost in a reboot. */
  async #restoreFormer(): Promise<void> {
    const { formerDirectory, mounter, log, bootId, defaults } = this.#options
    if (!(await mounter.isPrivate(formerDirectory))) return
    for (const name of await readdir(formerDirectory)) {
      const store = new VolumeStore(join(formerDirectory, name))
      this.#former.set(name, store)
      try {
        const known = await store.read()
        const { record, passwords } =
          known === undefined
            ? await readFormerVolume(store, bootId, defaults)
            : { record: known, passwords: await store.readPasswords() }
        const parsed = parseVolumeSpec(withPasswords(record.context, passwords), defaults)
        if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
        if (known === undefined) {
          await store.prepare()
          await store.writePasswords(passwords)
          await store.write(record)
          log.info({ volume: name }, 'a volume of the former driver is taken over')
        }
        await this.#take(store, parsed.spec, record, noTokens)
      } catch (error) {
        log.error({ error, volume: name }, 'a volume of the former driver cannot be taken over; it is not renewed')
      }
    }
  }

  /** Whether its unpublish was missed: pod folder and target are both gone from the host. */
  async #isAbandoned({ target }: VolumeRecord): Promise<boolean> {
    const podFolder = /^.*\/pods\/[^/]+(?=\/volumes\/)/.exec(target)?.[0] ?? dirname(target)
    // Where even the folder of all pods is missing, it is this process that cannot see the host.
    return (await exists(dirname(podFolder))) && !(await exists(target)) && !(await exists(podFolder))
  }

  /** Unmounts the target, wipes every file, then unmounts the private memory. */
  async #takeDown(store: VolumeStore, target: string | undefined): Promise<void> {
    if (target !== undefined) await this.#uncover(target)
    await store.wipe()
    await this.#options.mounter.unmount(store.directory)
    await store.remove()
  }

  async #uncover(target: string): Promise<void> {
    const { directory } = this.#options
    if (target === '/' || `${directory}/`.startsWith(`${target.replace(/\/+$/, '')}/`)) {
      throw new InvalidCallError(
        `target_path ${JSON.stringify(target)} is not valid: this driver keeps its volumes below it`,
      )
    }
    await this.#options.mounter.unmount(target)
    await rmdir(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }

  /** A first certificate was refused for good: nothing of the volume is left but the memory of the denial. */
  async #abandon(volume: Volume, error: IssuanceError): Promise<void> {
    const { log } = this.#options
    const { refused: handle, spec } = volume
    this.#denials.remember(volume.id, error.message, handle && { issuer: spec.issuer, handle })
    await this.#serial.run(volume.id, async () => {
      if (this.#volumes.get(volume.id) !== volume) return
      try {
        await this.#takeDown(volume.store, volume.target)
        this.#volumes.delete(volume.id)
        this.#count()
        volume.end(error)
      } catch (failure) {
        log.error({ error: failure, volume: volume.id }, 'a refused volume could not be taken down')
        volume.end(new NotReadyError(error.message, { cause: failure }))
      }
    })
  }

  #forget(issuer: IssuerReference, handle: RequestHandle): void {
    const { issuerFor, log } = this.#options
    issuerFor(issuer)
      .discard(handle)
      .catch((error: unknown) => log.warn({ error, request: handle.name }, 'a request is left with the issuer'))
  }

  #store(volumeId: string): VolumeStore {
    return this.#former.get(volumeId) ?? new VolumeStore(join(this.#options.directory, volumeId))
  }

  #count(): void {
    this.#options.metrics.volumes.set(this.#volumes.size)
  }

  /** Sets the one timer for all renewals. */
  #schedule(): void {
    this.#timer?.cancel()
    if (this.#closed) return
    const { clock, metrics } = this.#options
    let first = Number.POSITIVE_INFINITY
    let expiry = Number.POSITIVE_INFINITY
    for (const volume of this.#volumes.values()) {
      first = Math.min(first, volume.nextAttempt ?? Number.POSITIVE_INFINITY)
      expiry = Math.min(expiry, volume.notAfter ?? Number.POSITIVE_INFINITY)
    }
    metrics.nextExpiry.set(Number.isFinite(expiry) ? expiry / 1000 : 0)
    if (!Number.isFinite(first)) return
    this.#timer = clock.timer(Math.min(Math.max(first - clock.now(), 0), longestSleep), () => {
      const now = clock.now()
      for (const volume of this.#volumes.values()) volume.wake(now)
      this.#schedule()
    })
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
