import { readFile } from 'node:fs/promises'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { TlsIdentity } from './connect.ts'
import type { ConnectionConfig, Material } from './connection-config.ts'
import { CredentialError } from './errors.ts'
import { type ExecCredential, runExecPlugin } from './exec-plugin.ts'

export interface CredentialOptions {
  readonly clock: Clock
  readonly log: Log
  /** How long a token that was read from a file is used, in milliseconds. */
  readonly reloadInterval: number
}

/** What a token is and how long it may be used without another look. */
interface Held<T> {
  readonly value: T
  /** Epoch milliseconds. */
  readonly readAt: number
  readonly until: number
}

/** Reads what a configuration points at: files again when it is time, exec plugins again when their answer has expired. */
export class Credentials {
  readonly #config: ConnectionConfig
  readonly #options: CredentialOptions
  #token: Held<string> | undefined
  #exec: Held<ExecCredential> | undefined
  #reading: Promise<unknown> | undefined

  constructor(config: ConnectionConfig, options: CredentialOptions) {
    this.#config = config
    this.#options = options
  }

  /**
   * What a new connection trusts and presents, read now.
   *
   * @throws {CredentialError}
   */
  async tls(): Promise<TlsIdentity> {
    const { ca, clientCertificate, authentication } = this.#config
    const trusted = await readMaterial(ca)
    if (authentication.by === 'exec') {
      const { certificate, key } = await this.#plugin()
      if (certificate !== undefined) return { ca: trusted, certificate, key }
    }
    return {
      ca: trusted,
      certificate: await readMaterial(clientCertificate?.certificate),
      key: await readMaterial(clientCertificate?.key),
    }
  }

  /**
   * The bearer token of a request that is sent now; undefined where there is none.
   *
   * @throws {CredentialError}
   */
  async token(): Promise<string | undefined> {
    const { authentication } = this.#config
    switch (authentication.by) {
      case 'nothing':
        return undefined
      case 'token':
        return authentication.token
      case 'token-file':
        return await this.#tokenFrom(authentication.path)
      case 'exec':
        return (await this.#plugin()).token
    }
  }

  /** Forgets what the server has just refused, so that the next look is at the source. */
  forget(refused: string | undefined): void {
    if (this.#token?.value === refused) this.#token = undefined
    if (this.#exec?.value.token === refused) this.#exec = undefined
  }

  async #tokenFrom(path: string): Promise<string> {
    const held = this.#token
    if (held !== undefined && this.#isFresh(held)) return held.value
    try {
      return await this.#once(async () => {
        const value = (await readFile(path, 'utf8')).trim()
        if (value === '') throw new Error('the file is empty')
        const now = this.#options.clock.now()
        this.#token = { value, readAt: now, until: now + this.#options.reloadInterval }
        return value
      })
    } catch (error) {
      // The kubelet swaps the file; a token that was good a minute ago is better than none.
      if (held !== undefined) {
        this.#options.log.warn({ path, error }, 'token file cannot be read, the last token stays in use')
        return held.value
      }
      throw new CredentialError(`token file ${path} cannot be read: ${(error as Error).message}`, { cause: error })
    }
  }

  async #plugin(): Promise<ExecCredential> {
    const { authentication } = this.#config
    if (authentication.by !== 'exec')
      return { token: undefined, certificate: undefined, key: undefined, expires: undefined }
    const held = this.#exec
    if (held !== undefined && this.#isFresh(held)) return held.value
    return await this.#once(async () => {
      const value = await runExecPlugin(authentication.plugin)
      this.#exec = { value, readAt: this.#options.clock.now(), until: value.expires ?? Number.POSITIVE_INFINITY }
      return value
    })
  }

  /** A wall clock that went back behind the reading says nothing about age. */
  #isFresh(held: Held<unknown>): boolean {
    const now = this.#options.clock.now()
    return now >= held.readAt && now < held.until
  }

  /** Readers that come while another reads share its result; a configuration has one source, so there is one reading at most. */
  async #once<T>(read: () => Promise<T>): Promise<T> {
    this.#reading ??= read().finally(() => {
      this.#reading = undefined
    })
    return (await this.#reading) as T
  }
}

/** Whether a connection made with `used` should give way to one made with `fresh`. */
export function identityChanged(used: TlsIdentity, fresh: TlsIdentity): boolean {
  return differs(used.ca, fresh.ca) || differs(used.certificate, fresh.certificate) || differs(used.key, fresh.key)
}

function differs(left: Buffer | undefined, right: Buffer | undefined): boolean {
  return left === undefined || right === undefined ? left !== right : !left.equals(right)
}

async function readMaterial(material: Material | undefined): Promise<Buffer | undefined> {
  if (material === undefined) return undefined
  if (material.from === 'data') return material.data
  try {
    return await readFile(material.path)
  } catch (error) {
    throw new CredentialError(`${material.path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
