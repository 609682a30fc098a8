import { access, mkdir, readdir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type VolumeRecord, VolumeStore } from '../volume/store.ts'
import { InvalidCallError, NotReadyError } from './errors.ts'
import { type MemoryOutcome, type MemorySurroundings, mountMemory, remountMemory } from './volume-memory.ts'

export interface PlacesOptions extends MemorySurroundings {
  /** Where the private memory of all volumes is mounted, one folder each. */
  readonly directory: string
  /** Where volumes of cert-manager's csi-driver may be found: one private memory for all, a folder each. */
  readonly formerDirectory: string
}

/** Where the volumes of a node lie: each in private memory of its own, those of the former driver in the folder that their pods see. */
export class VolumePlaces {
  readonly #options: PlacesOptions
  /** By volume id. */
  readonly #former = new Map<string, VolumeStore>()

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** Where a volume lies, or would. */
  of(volumeId: string): VolumeStore {
    return this.#former.get(volumeId) ?? new VolumeStore(join(this.#options.directory, volumeId))
  }

  isFormer(volumeId: string): boolean {
    return this.#former.has(volumeId)
  }

  /** Has a volume lie where the former driver has it. */
  addFormer(volumeId: string): VolumeStore {
    const store = new VolumeStore(join(this.#options.formerDirectory, volumeId))
    this.#former.set(volumeId, store)
    return store
  }

  deleteFormer(volumeId: string): void {
    this.#former.delete(volumeId)
  }

  /** The ids of all volumes that there is a folder of. */
  async list(): Promise<readonly string[]> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 })
    return readdir(this.#options.directory)
  }

  /** The ids of what cert-manager's csi-driver has left, unless its memory was lost in a reboot. */
  async listFormer(): Promise<readonly string[]> {
    if (!(await this.hasFormerMemory())) return []
    const entries = await readdir(this.#options.formerDirectory, { withFileTypes: true })
    // It leaves files here when it meets broken metadata; they are no volumes.
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  }

  hasFormerMemory(): Promise<boolean> {
    return this.#options.mounter.isPrivate(this.#options.formerDirectory)
  }

  /** What is stored of a volume, where its private memory is still there. @throws {StoreError} */
  async read(store: VolumeStore): Promise<VolumeRecord | undefined> {
    return (await this.#options.mounter.isPrivate(store.directory)) ? store.read() : undefined
  }

  /** @param selinuxContext - from the kubelet's mount flags */
  async prepare(volumeId: string, selinuxContext: string | undefined): Promise<void> {
    const store = this.of(volumeId)
    // What is there of the former driver is seen by a pod, so nothing is mounted over it.
    if (this.isFormer(volumeId)) return store.prepare()
    await mountMemory(store, selinuxContext, this.#options)
  }

  /**
   * Mounts the memory of a volume anew. The former driver had one memory for all, which is not made again.
   *
   * @returns undefined where it is still there
   * @throws {NotReadyError} where only the next publish can help
   */
  async remount(
    store: VolumeStore,
    { volumeId, target, selinuxContext }: VolumeRecord,
  ): Promise<MemoryOutcome | undefined> {
    if (!this.isFormer(volumeId)) return remountMemory(store, target, selinuxContext, this.#options)
    if (await this.hasFormerMemory()) {
      await store.prepare()
      return undefined
    }
    throw new NotReadyError(
      `the former csi-driver's memory was unmounted by somebody; this volume is renewed again once the kubelet publishes it anew`,
    )
  }

  /** Whether a volume's unpublish was missed: pod folder and target are both gone from the host. */
  async isAbandoned({ target }: VolumeRecord): Promise<boolean> {
    const podFolder = /^.*\/pods\/[^/]+(?=\/volumes\/)/.exec(target)?.[0] ?? dirname(target)
    // Where even the folder of all pods is missing, it is this process that cannot see the host.
    return !(await exists(target)) && !(await exists(podFolder)) && (await exists(dirname(podFolder)))
  }

  /** Unmounts the target, wipes every file, then unmounts the private memory. */
  async takeDown(store: VolumeStore, target: string | undefined): Promise<void> {
    if (target !== undefined) await this.uncover(target)
    await store.wipe()
    await this.#options.mounter.unmount(store.directory)
    await store.remove()
  }

  /**
   * Unmounts a target and removes its folder.
   *
   * @throws {InvalidCallError} where the volumes themselves lie below it
   */
  async uncover(target: string): Promise<void> {
    const { directory, mounter } = this.#options
    if (target === '/' || `${directory}/`.startsWith(`${target.replace(/\/+$/, '')}/`)) {
      throw new InvalidCallError(
        `target_path ${JSON.stringify(target)} is not valid: this driver keeps its volumes below it`,
      )
    }
    await mounter.unmount(target)
    await rmdir(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
