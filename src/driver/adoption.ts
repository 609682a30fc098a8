import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { type Passwords, passwordsIn, sanitizeContext } from '../volume/passwords.ts'
import { parseVolumeSpec, type SpecDefaults } from '../volume/spec.ts'
import type { Issued, VolumeRecord, VolumeStore } from '../volume/store.ts'
import { readCertificates } from '../x509/certificate.ts'

/** Where cert-manager's csi-driver keeps its volumes below its data root: one tmpfs for all, a folder for each. */
export const formerFolder = 'inmemfs'

/** `metadata.json` of cert-manager's csi-lib (metadata/metadata.go), as far as it is needed. */
const metadataSchema = v.object({
  volumeID: v.string(),
  targetPath: v.string(),
  volumeContext: v.record(v.string(), v.string()),
  volumeMountGroup: v.optional(v.string()),
})

/** A volume of the former driver, as a record of ours, and what a record never holds. */
export interface FormerVolume {
  readonly record: VolumeRecord
  readonly passwords: Passwords
}

/** A folder of the former driver that cannot be taken over. */
export class AdoptionError extends Error {
  override readonly name = 'AdoptionError'
  readonly code = 'NOT_ADOPTABLE'
}

/**
 * Reads a volume that cert-manager's csi-driver has made, as a record of ours: pods run with it, so it is renewed in the folder that
 * they see, and keeps its files until its unpublish.
 *
 * @throws {AdoptionError} where its metadata cannot be read
 */
export async function readFormerVolume(
  store: VolumeStore,
  bootId: string,
  defaults: SpecDefaults,
): Promise<FormerVolume> {
  const path = join(store.directory, 'metadata.json')
  let metadata: v.InferOutput<typeof metadataSchema>
  try {
    metadata = v.parse(metadataSchema, JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    throw new AdoptionError(`${path} cannot be read as the metadata of a volume`, { cause: error })
  }
  const volumeId = basename(store.directory)
  if (metadata.volumeID !== volumeId) throw new AdoptionError(`${path} is of another volume`)
  const issued = await readIssued(store, metadata.volumeContext, defaults)
  const record: VolumeRecord = {
    version: 1,
    bootId,
    volumeId,
    target: metadata.targetPath,
    context: sanitizeContext(metadata.volumeContext),
    ...(metadata.volumeMountGroup === undefined ? {} : { mountGroup: metadata.volumeMountGroup }),
    shown: issued !== undefined,
    ...(issued === undefined ? {} : { issued }),
  }
  return { record, passwords: passwordsIn(metadata.volumeContext) }
}

/** The certificate that the pod sees. The request it came from is the former driver's, and is not touched. */
async function readIssued(
  store: VolumeStore,
  context: Readonly<Record<string, string>>,
  defaults: SpecDefaults,
): Promise<Issued | undefined> {
  const parsed = parseVolumeSpec(context, defaults)
  if (!parsed.ok) return undefined
  try {
    const [leaf] = readCertificates(await readFile(join(store.data, parsed.spec.files.certificate), 'utf8'))
    if (leaf === undefined) return undefined
    const { notBefore, notAfter, serial } = leaf
    return { notBefore, notAfter, serial, handle: { id: '', name: 'a request of the former driver', reference: {} } }
  } catch {
    return undefined
  }
}
