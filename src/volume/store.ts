import type { KeyObject } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import * as v from 'valibot'
import type { IssuanceRequest, RequestHandle } from '../issuer/issuer.ts'
import { decodePrivateKey, encodePrivateKey } from '../x509/key.ts'
import { keyUsages } from '../x509/key-usage.ts'
import type { Passwords } from './passwords.ts'
import { removeIfThere, replaceFile, wipe } from './payload-writer.ts'

const texts = v.record(v.string(), v.string())

const handleSchema = v.object({ id: v.string(), name: v.string(), reference: texts })

const requestSchema = v.object({
  id: v.string(),
  volumeId: v.string(),
  pod: v.object({ namespace: v.string(), name: v.string(), uid: v.string(), serviceAccount: v.string() }),
  issuer: v.object({ name: v.string(), kind: v.string(), group: v.string() }),
  csr: v.string(),
  usages: v.array(v.picklist(keyUsages)),
  isCA: v.boolean(),
  duration: v.number(),
  annotations: texts,
})

const pendingSchema = v.object({ request: requestSchema, handle: v.optional(handleSchema) })

const issuedSchema = v.object({
  notBefore: v.number(),
  notAfter: v.number(),
  serial: v.string(),
  /** When it is to be renewed, epoch milliseconds; undefined where it is never. */
  renewAt: v.optional(v.number()),
  handle: handleSchema,
})

const recordSchema = v.object({
  version: v.literal(1),
  /** The kernel's boot id: what is recorded under another one did not survive. */
  bootId: v.string(),
  volumeId: v.string(),
  target: v.string(),
  /** The volume context, without tokens and passwords. */
  context: texts,
  mountGroup: v.optional(v.string()),
  /** What the attributes refer to of the pod's labels and annotations, as they were at the first publish. */
  podMetadata: v.optional(v.object({ labels: texts, annotations: texts })),
  /** An SELinux context from the mount flags. */
  selinuxContext: v.optional(v.string()),
  /** Whether a publish has answered OK: from then on a pod may be running with it. */
  shown: v.boolean(),
  /** Whether containers may run that see files which can no longer be written: their memory was unmounted. */
  detached: v.optional(v.boolean()),
  issued: v.optional(issuedSchema),
})

/** What is known of a volume, in its own private memory, so that a restart goes on where the process ended. */
export type VolumeRecord = v.InferOutput<typeof recordSchema>

/** A certificate that a volume has. */
export type Issued = v.InferOutput<typeof issuedSchema>

/** A request on its way. It is written, with its key, before the issuer hears of it. */
export interface Pending {
  readonly request: IssuanceRequest
  readonly key: KeyObject
  readonly handle: RequestHandle | undefined
}

/** A stored file that does not have its form. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code = 'STORE_INVALID'
}

/**
 * The files of one volume below its private memory, whose root only root can enter. Nothing in here is bound into a pod but `data`.
 *
 * Like those of payload-writer.ts, the calls are synchronous inside, because memory does not make anybody wait.
 */
export class VolumeStore {
  readonly directory: string
  /** What the pod sees. */
  readonly data: string
  readonly #state: string
  readonly #pending: string
  readonly #request: string
  readonly #key: string
  readonly #passwords: string

  constructor(directory: string) {
    this.directory = directory
    this.data = `${directory}/data`
    this.#state = `${directory}/state.json`
    this.#pending = `${directory}/pending`
    this.#request = `${this.#pending}/request.json`
    this.#key = `${this.#pending}/key.pem`
    this.#passwords = `${this.#pending}/passwords.json`
  }

  /** Makes the folders of a fresh volume. */
  async prepare(): Promise<void> {
    chmodSync(this.directory, 0o700)
    mkdirSync(this.#pending, { recursive: true, mode: 0o700 })
    mkdirSync(this.data, { recursive: true, mode: 0o550 })
  }

  /** Whether the private memory is there, with the folders that {@link prepare} makes in it and nobody makes on a disk. */
  async isThere(): Promise<boolean> {
    return statSync(this.#pending, { throwIfNoEntry: false }) !== undefined
  }

  /** @throws {StoreError} where a record is there and cannot be read */
  async read(): Promise<VolumeRecord | undefined> {
    return readJson(this.#state, recordSchema)
  }

  async write(record: VolumeRecord): Promise<void> {
    await replaceFile(this.#state, JSON.stringify(record))
  }

  /** @throws {StoreError} where a request is there and cannot be read */
  async readPending(): Promise<Pending | undefined> {
    const stored = readJson(this.#request, pendingSchema)
    if (stored === undefined) return undefined
    const key = readIfThere(this.#key)
    if (key === undefined) return undefined
    try {
      return { request: stored.request, handle: stored.handle, key: decodePrivateKey(key) }
    } catch (error) {
      throw new StoreError(`${this.#key} cannot be read`, { cause: error })
    }
  }

  /** The key before its request, which would be worth nothing without; an earlier request goes first, as it has another key. */
  async writePending(pending: Pending): Promise<void> {
    removeIfThere(this.#request)
    await replaceFile(this.#key, encodePrivateKey(pending.key, 'PKCS8'))
    await this.writeHandle(pending.request, pending.handle)
  }

  async writeHandle(request: IssuanceRequest, handle: RequestHandle | undefined): Promise<void> {
    await replaceFile(this.#request, JSON.stringify({ request, handle }))
  }

  async clearPending(): Promise<void> {
    removeIfThere(this.#request)
    await wipe(this.#key)
  }

  /**
   * Keeps a volume's keystore passwords, by the keys of their attributes: every renewal needs them, and they come only with the first
   * publish. Without any, nothing is written.
   */
  async writePasswords(passwords: Passwords): Promise<void> {
    if (Object.keys(passwords).length > 0) await replaceFile(this.#passwords, JSON.stringify(passwords))
  }

  /**
   * @returns empty where there are none
   * @throws {StoreError} where the file cannot be read; it never quotes it
   */
  async readPasswords(): Promise<Passwords> {
    try {
      return readJson(this.#passwords, texts) ?? {}
    } catch (error) {
      // The cause would quote what is in the file.
      if (error instanceof StoreError) throw new StoreError(error.message)
      throw error
    }
  }

  /** Overwrites and removes everything. */
  async wipe(): Promise<void> {
    if (statSync(this.directory, { throwIfNoEntry: false }) === undefined) return
    for (const entry of readdirSync(this.directory)) await wipe(`${this.directory}/${entry}`)
  }

  /** Removes the folder itself, once nothing is mounted there. A folder that is gone already is fine. */
  async remove(): Promise<void> {
    try {
      rmdirSync(this.directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function readIfThere(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path, 'utf8')
}

function readJson<Schema extends v.GenericSchema>(path: string, schema: Schema): v.InferOutput<Schema> | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  try {
    return v.parse(schema, JSON.parse(text))
  } catch (error) {
    throw new StoreError(`${path} does not have the form of this version`, { cause: error })
  }
}
