import { createPrivateKey, X509Certificate } from 'node:crypto'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttributeProblem } from '../volume/attributes.ts'
import type { FileNames } from '../volume/file-names.ts'
import { parseFormerSpec } from '../volume/former-spec.ts'
import type { Mounter } from '../volume/mounter.ts'
import { type Passwords, passwordsIn, withPasswords } from '../volume/passwords.ts'
import { parseVolumeSpec, type SpecDefaults, type VolumeSpec } from '../volume/spec.ts'
import type { Issued, VolumeRecord, VolumeStore } from '../volume/store.ts'
import { readCertificates } from '../x509/certificate.ts'
import { InvalidAttributesError } from './errors.ts'
import { type FormerVolume, repairMetadata } from './former-metadata.ts'

// Volumes that are taken up in place, because pods run with them: those of cert-manager's csi-driver, and those whose record cannot be
// read until a publish says again what they are.

export interface AdoptionSurroundings {
  readonly mounter: Mounter
  readonly defaults: SpecDefaults
}

/** A volume that was taken up in place. Its record is written. */
export interface AdoptedVolume {
  readonly spec: VolumeSpec
  readonly record: VolumeRecord
  /** What its attributes have that is not as it should be, for people. */
  readonly warnings: readonly AttributeProblem[]
}

/**
 * Takes over a volume of the former driver, in the folder that its pod sees, with the certificate that it has.
 *
 * @throws {InvalidAttributesError} where no meaning of its attributes is clear
 */
export async function adoptFormer(
  store: VolumeStore,
  { record: { issued: recorded, ...record }, passwords }: FormerVolume,
  { mounter, defaults }: AdoptionSurroundings,
): Promise<AdoptedVolume> {
  const { podMetadata } = record
  const parsed = parseFormerSpec(withPasswords(record.context, passwords), { ...defaults, podMetadata })
  if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
  await store.prepare()
  const issued = await issuedInPlace(store, parsed.spec.files, recorded)
  const shown = issued !== undefined || (await isShown(store, record.target, mounter))
  const whole = { ...record, shown, ...(issued === undefined ? {} : { issued }) }
  await store.write(whole)
  return { spec: parsed.spec, record: whole, warnings: parsed.warnings }
}

/**
 * Takes up a volume that could not be read, now that a publish says again what it is.
 *
 * @param record - as of a new volume
 * @param publish - the context and the passwords of the call
 * @param formerAt - where it is one of the former driver: the time, epoch milliseconds, from which that may renew it
 * @throws {InvalidAttributesError}
 */
export async function adoptUnreadable(
  store: VolumeStore,
  record: VolumeRecord,
  publish: { readonly context: Readonly<Record<string, string>>; readonly passwords: Passwords },
  defaults: SpecDefaults,
  formerAt: number | undefined,
): Promise<AdoptedVolume> {
  const context = withPasswords(publish.context, publish.passwords)
  const parsed = (formerAt === undefined ? parseVolumeSpec : parseFormerSpec)(context, defaults)
  if (!parsed.ok) throw new InvalidAttributesError(parsed.problems)
  await store.prepare()
  const issued = await issuedInPlace(store, parsed.spec.files, undefined)
  const whole = { ...record, shown: true, ...(issued === undefined ? {} : { issued }) }
  await store.writePasswords(passwordsIn(context))
  await store.write(whole)
  if (formerAt !== undefined) await repairMetadata(store, whole, context, formerAt)
  return { spec: parsed.spec, record: whole, warnings: parsed.warnings }
}

/** Whether a pod may run with a volume: something is mounted where it expects it. */
export async function isShown(store: VolumeStore, target: string, mounter: Mounter): Promise<boolean> {
  const isThere = await access(store.data).then(
    () => true,
    () => false,
  )
  return isThere && (await mounter.shows(store.data, target)) !== 'nothing'
}

/**
 * The certificate that a volume's files hold, which pods see. The request it came from is not known, and not touched.
 *
 * @param known - what is recorded of it; stands where it is of this very certificate
 * @returns undefined where the files are not complete or do not fit together, so that new ones are due
 */
export async function issuedInPlace(
  { data }: VolumeStore,
  files: FileNames,
  known: Issued | undefined,
): Promise<Issued | undefined> {
  try {
    const [chain, key] = await Promise.all([
      readFile(join(data, files.certificate), 'utf8'),
      readFile(join(data, files.privateKey), 'utf8'),
      readFile(join(data, files.ca)),
    ])
    const [leaf] = readCertificates(chain)
    if (leaf === undefined || !new X509Certificate(leaf.der).checkPrivateKey(createPrivateKey(key))) return undefined
    const { notBefore, notAfter, serial } = leaf
    if (known?.serial === serial) return known
    return { notBefore, notAfter, serial, handle: { id: '', name: 'a request made earlier', reference: {} } }
  } catch {
    return undefined
  }
}
