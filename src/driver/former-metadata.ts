import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import type { PodReference } from '../issuer/issuer.ts'
import { kubeletKeys } from '../volume/attributes.ts'
import { type Passwords, passwordsIn, sanitizeContext } from '../volume/passwords.ts'
import { replaceFile } from '../volume/payload-writer.ts'
import type { VolumeRecord, VolumeStore } from '../volume/store.ts'

/** Where cert-manager's csi-driver keeps its volumes below its data root: one tmpfs for all, a folder for each. */
export const formerFolder = 'inmemfs'

/** `metadata.json` of cert-manager's csi-lib (metadata/metadata.go). It leaves out what is empty. */
const metadataSchema = v.looseObject({
  volumeID: v.string(),
  targetPath: v.string(),
  /** RFC 3339; absent before the first certificate, and then the former driver does not renew. */
  nextIssuanceTime: v.optional(v.string()),
  volumeContext: v.optional(v.record(v.string(), v.string()), {}),
  volumeMountGroup: v.optional(v.string()),
})

type Metadata = v.InferOutput<typeof metadataSchema>

/** A volume of the former driver, as a record of ours, and what a record never holds. */
export interface FormerVolume {
  readonly record: VolumeRecord
  readonly passwords: Passwords
}

/** A folder of the former driver that cannot be taken over. The message quotes nothing of what it holds, which may be a token. */
export class AdoptionError extends Error {
  override readonly name = 'AdoptionError'
  readonly code = 'NOT_ADOPTABLE'
  /** Whose it is, where that can still be told. */
  readonly pod: PodReference | undefined

  constructor(message: string, pod: PodReference | undefined) {
    super(message)
    this.pod = pod
  }
}

/**
 * Reads a volume that cert-manager's csi-driver has made. The token in its metadata is removed, which it never needs again: with
 * each republish the kubelet sends another. Everything else stays, so that the former driver could come back (it deletes folders
 * without metadata, and passwords come with no republish).
 *
 * @returns its record, as far as it can be told without its attributes; undefined for what is left of an unpublish that the former
 *   driver did not finish
 * @throws {AdoptionError} where neither its metadata nor a record of ours can be read
 */
export async function readFormerVolume(store: VolumeStore, bootId: string): Promise<FormerVolume | undefined> {
  const path = metadataOf(store)
  const known = await store.read().catch(() => undefined)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  // The former driver writes metadata first and removes it last, having unmounted the target.
  if (text === undefined && known === undefined) return undefined
  const metadata = parseMetadata(text ?? '', store)
  if (metadata === undefined) {
    // A record of ours is from a republish since, or from before the former driver was back.
    if (known !== undefined) return { record: known, passwords: await store.readPasswords() }
    throw new AdoptionError(`${path} cannot be read as the metadata of this volume`, podInText(text ?? ''))
  }
  const { targetPath, volumeContext, volumeMountGroup } = metadata
  if (volumeContext[kubeletKeys.tokens] !== undefined) await writeMetadata(store, metadata)
  const record: VolumeRecord = {
    version: 1,
    bootId,
    volumeId: metadata.volumeID,
    target: targetPath,
    context: sanitizeContext(volumeContext),
    ...(volumeMountGroup === undefined ? {} : { mountGroup: volumeMountGroup }),
    shown: false,
    ...(known?.issued === undefined ? {} : { issued: known.issued }),
  }
  return { record, passwords: passwordsIn(volumeContext) }
}

/**
 * Writes metadata that the former driver can go on with, in the place of what it left broken.
 *
 * @param context - as CSI handed it over
 */
export async function repairMetadata(
  store: VolumeStore,
  record: VolumeRecord,
  context: Readonly<Record<string, string>>,
  now: number,
): Promise<void> {
  await writeMetadata(store, {
    volumeID: record.volumeId,
    targetPath: record.target,
    nextIssuanceTime: new Date(now).toISOString(),
    volumeContext: context,
    ...(record.mountGroup === undefined ? {} : { volumeMountGroup: record.mountGroup }),
  })
}

/** The pod that the kubelet named in a volume context; undefined where it did not. */
export function podInContext(context: Readonly<Record<string, string>>): PodReference | undefined {
  const [name, namespace, uid] = [kubeletKeys.podName, kubeletKeys.podNamespace, kubeletKeys.podUid].map(
    (key) => context[key] ?? '',
  )
  if (!name || !namespace || !uid) return undefined
  return { name, namespace, uid, serviceAccount: context[kubeletKeys.serviceAccount] ?? '' }
}

function metadataOf(store: VolumeStore): string {
  return join(store.directory, 'metadata.json')
}

function parseMetadata(text: string, store: VolumeStore): Metadata | undefined {
  try {
    const metadata = v.parse(metadataSchema, JSON.parse(text))
    return metadata.volumeID === basename(store.directory) ? metadata : undefined
  } catch {
    // What either error says may quote a token.
    return undefined
  }
}

/** Writes metadata without the token. */
async function writeMetadata(store: VolumeStore, metadata: Metadata): Promise<void> {
  const { [kubeletKeys.tokens]: _token, ...volumeContext } = metadata.volumeContext
  await replaceFile(metadataOf(store), JSON.stringify({ ...metadata, volumeContext }))
}

/** Looks for the pod in metadata of which only a part was written. */
function podInText(text: string): PodReference | undefined {
  const found: Record<string, string> = {}
  for (const [, key = '', value = ''] of text.matchAll(/"(csi\.storage\.k8s\.io\/[\w.]+)":"([\w.-]*)"/g)) {
    found[key] = value
  }
  return podInContext(found)
}
