import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestNode, TestVolume } from './node.ts'

/** What differs from a volume that is as it should be. */
export interface FormerVolumeOptions {
  /** Fields of `metadata.json` that are other ones; undefined leaves one out. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The text of `metadata.json` itself; undefined for none at all. */
  readonly text?: string | undefined
}

/** Where cert-manager's csi-driver would keep a volume of this node. */
export function formerFolderOf(node: TestNode, volume: TestVolume): string {
  return join(node.folder, 'data', 'inmemfs', volume.id)
}

/**
 * Turns a published volume into what cert-manager's csi-driver leaves (csi-lib storage/filesystem.go): `metadata.json`, and the
 * files in a dated generation. The driver must not be running.
 *
 * @returns the volume's folder
 */
export async function makeFormer(
  node: TestNode,
  volume: TestVolume,
  options: FormerVolumeOptions = {},
): Promise<string> {
  const folder = formerFolderOf(node, volume)
  const data = join(folder, 'data')
  await mkdir(folder, { recursive: true })
  await rename(join(node.volumesFolder, volume.id, 'data'), data)
  const generation = '..2026_08_22_10_11_12.123456789'
  await rename(join(data, await readlink(join(data, '..data'))), join(data, generation))
  await rm(join(data, '..data'))
  await symlink(generation, join(data, '..data'))
  const text = 'text' in options ? options.text : metadataText(volume, options.metadata)
  if (text !== undefined) await writeFile(join(folder, 'metadata.json'), text)
  await rm(join(node.volumesFolder, volume.id), { recursive: true })
  await rm(volume.target)
  await symlink(data, volume.target)
  return folder
}

/** `metadata.json` as Go writes it: the keys of a map in their order. */
export function metadataText(volume: TestVolume, changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    volumeID: volume.id,
    targetPath: volume.target,
    nextIssuanceTime: '2026-09-01T00:00:00Z',
    volumeContext: Object.fromEntries(Object.entries(volume.context).sort(([one], [other]) => (one < other ? -1 : 1))),
    ...changes,
  })
}

/** The volumes that a former driver has left. */
export function formerVolumes(node: TestNode): Promise<string[]> {
  return readdir(join(node.folder, 'data', 'inmemfs'))
}
