import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodePrivateKey } from '../x509/key.ts'
import { buildPayload } from './payload.ts'
import { isComplete, writePayload } from './payload-writer.ts'
import type { VolumeSpec } from './spec.ts'

/** The CA file of a volume. @returns PEM; undefined where there is no file, or an empty one */
export async function readTrust(root: string, { files }: VolumeSpec): Promise<string | undefined> {
  try {
    const ca = await readFile(join(root, files.ca), 'utf8')
    return ca === '' ? undefined : ca
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Writes another trust beside the key and the certificate that are there, in one swap: the CA file, and the truststores made of it.
 *
 * @param root - the folder that the pod sees
 * @param ca - PEM
 * @param group - who may read the files beside root
 * @param now - epoch milliseconds
 * @returns the chain that is shown with it, PEM; undefined where nothing was to change, or there are no files to change
 */
export async function writeTrust(
  root: string,
  spec: VolumeSpec,
  ca: string,
  group: number | undefined,
  now: number,
): Promise<string | undefined> {
  const { certificate, privateKey } = spec.files
  if (!(await isComplete(root, [certificate, privateKey])) || (await readTrust(root, spec)) === ca) return undefined
  const chain = await readFile(join(root, certificate), 'utf8')
  const key = decodePrivateKey(await readFile(join(root, privateKey), 'utf8'))
  await writePayload(root, buildPayload(spec, key, { chain, ca }, now), group)
  return chain
}
