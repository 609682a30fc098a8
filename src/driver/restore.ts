import type { Log } from '../runtime/log.ts'
import type { Mounter } from '../volume/mounter.ts'
import { withPasswords } from '../volume/passwords.ts'
import { parseVolumeSpec, type SpecDefaults } from '../volume/spec.ts'
import type { VolumeRecord, VolumeStore } from '../volume/store.ts'
import { type AdoptedVolume, adoptFormer } from './adoption.ts'
import { InvalidAttributesError } from './errors.ts'
import { AdoptionError, podInContext, readFormerVolume } from './former-metadata.ts'
import type { UnmanagedVolumes } from './unmanaged-volumes.ts'
import type { VolumePlaces } from './volume-places.ts'

/** A volume that was read, but for what only a publish finds odd about it. */
export type ReadVolume = Pick<AdoptedVolume, 'spec' | 'record'>

export interface RestoreSurroundings {
  readonly places: VolumePlaces
  readonly unmanaged: UnmanagedVolumes
  readonly mounter: Mounter
  readonly log: Log
  readonly bootId: string
  readonly defaults: SpecDefaults
  /** Goes on with a volume that was read. */
  readonly take: (store: VolumeStore, volume: ReadVolume) => Promise<unknown>
  /** Tells what is odd about the attributes of a volume that is taken over. */
  readonly warn: (volume: AdoptedVolume) => void
}

/** Takes up a volume that an earlier process has left; takes down what an earlier boot, or a pod that is gone, has left. */
export async function restoreVolume(id: string, around: RestoreSurroundings): Promise<void> {
  const { places, bootId, defaults } = around
  const store = places.of(id)
  let record: VolumeRecord | undefined
  try {
    record = await places.read(store)
    if (record === undefined || record.bootId !== bootId || (await places.isAbandoned(record))) {
      await places.takeDown(store, record?.target)
      return
    }
    const { podMetadata } = record
    const context = withPasswords(record.context, await store.readPasswords())
    const parsed = parseVolumeSpec(context, { ...defaults, podMetadata })
    if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
    await around.take(store, { spec: parsed.spec, record })
  } catch (error) {
    leave(around, id, store, record, error)
  }
}

/** Takes over a volume that cert-manager's csi-driver has left. */
export async function restoreFormerVolume(id: string, around: RestoreSurroundings): Promise<void> {
  const { places, log, bootId } = around
  const store = places.addFormer(id)
  let record: VolumeRecord | undefined
  try {
    const former = await readFormerVolume(store, bootId)
    record = former?.record
    if (former === undefined || (await places.isAbandoned(former.record))) {
      await places.takeDown(store, record?.target)
      places.deleteFormer(id)
      return
    }
    const adopted = await adoptFormer(store, former, around)
    if (former.record.issued === undefined) {
      around.warn(adopted)
      log.info({ volume: id, warnings: adopted.warnings }, 'a volume of the former driver is taken over')
    }
    await around.take(store, adopted)
  } catch (error) {
    leave(around, id, store, record, error)
  }
}

/** Leaves a volume as it is, since it may be in use: a publish makes it whole in place, an unpublish takes it down. */
function leave(
  { unmanaged }: RestoreSurroundings,
  id: string,
  { directory }: VolumeStore,
  record: VolumeRecord | undefined,
  error: unknown,
): void {
  const pod = error instanceof AdoptionError ? error.pod : record && podInContext(record.context)
  unmanaged.add({ id, directory, target: record?.target, pod, error })
}
