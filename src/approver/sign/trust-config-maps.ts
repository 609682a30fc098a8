import { ApiError } from '../../kubernetes/errors.ts'
import type { ConfigMap } from '../../kubernetes/object.ts'
import { configMaps } from '../../kubernetes/resource.ts'
import type { Log } from '../../runtime/log.ts'
import type { TrustApi } from './trust-publisher.ts'
import { trustLabel } from './trust-roots.ts'

export interface TrustConfigMapsOptions {
  readonly client: TrustApi
  readonly signerName: string
  /** The name of the ConfigMap in each namespace. */
  readonly name: string
  /** Its key. */
  readonly key: string
  /** The namespaces that are to have it, as they are now. */
  readonly namespaces: () => readonly string[]
  readonly log: Log
}

/** Says whose trust a ConfigMap holds: two signers that were given the same name do not overwrite each other. */
const signerAnnotation = 'podpass.io/signer'

/** Keeps a ConfigMap with the roots of a signer in each of the selected namespaces. */
export class TrustConfigMaps {
  readonly #options: TrustConfigMapsOptions
  readonly #refused = new Map<string, string>()

  constructor(options: TrustConfigMapsOptions) {
    this.#options = options
  }

  /** Namespaces that have not got it, and why, for people. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused
  }

  /**
   * Writes the roots to every namespace. One that refuses for good, because the ConfigMap there is somebody else's, a quota is used up
   * or the namespace ends, is noted and does not hold up the others.
   *
   * @param pem - the roots
   * @throws {ApiError | ConnectionError} where one could not be written for now
   */
  async write(pem: string, signal: AbortSignal): Promise<void> {
    const namespaces = this.#options.namespaces()
    for (const known of this.#refused.keys()) if (!namespaces.includes(known)) this.#refused.delete(known)
    for (const namespace of namespaces) await this.#writeTo(namespace, pem, signal)
  }

  async #writeTo(namespace: string, pem: string, signal: AbortSignal): Promise<void> {
    const { client, name } = this.#options
    try {
      const current = await this.#read(namespace, signal)
      const wanted = this.#wanted(namespace, pem)
      if (current === undefined) await client.create(configMaps, wanted, { signal })
      else if (!this.#isOurs(current)) {
        this.#refuse(
          namespace,
          `ConfigMap ${name} is not ours: it has no label ${trustLabel.key} or is of another signer`,
        )
        return
      } else if (!hasSameData(current, wanted)) {
        await client.update(configMaps, { ...wanted, metadata: { ...current.metadata } }, { signal })
      }
      this.#refused.delete(namespace)
    } catch (error) {
      if (!(error instanceof ApiError) || ![403, 404, 413, 422].includes(error.status)) throw error
      this.#refuse(namespace, error.message)
    }
  }

  async #read(namespace: string, signal: AbortSignal): Promise<ConfigMap | undefined> {
    const { client, name } = this.#options
    try {
      return await client.get(configMaps, { namespace, name }, { signal })
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined
      throw error
    }
  }

  #wanted(namespace: string, pem: string): ConfigMap {
    const { name, key, signerName } = this.#options
    const labels = { [trustLabel.key]: trustLabel.value }
    return {
      metadata: { namespace, name, labels, annotations: { [signerAnnotation]: signerName } },
      data: { [key]: pem },
    }
  }

  #isOurs({ metadata: { labels = {}, annotations = {} } }: ConfigMap): boolean {
    return labels[trustLabel.key] === trustLabel.value && annotations[signerAnnotation] === this.#options.signerName
  }

  #refuse(namespace: string, why: string): void {
    if (this.#refused.get(namespace) !== why) {
      this.#options.log.warn({ namespace, why }, 'a namespace does not get the trust of the signer')
    }
    this.#refused.set(namespace, why)
  }
}

function hasSameData(one: ConfigMap, other: ConfigMap): boolean {
  const wanted = Object.entries(other.data ?? {})
  return Object.keys(one.data ?? {}).length === wanted.length && wanted.every(([key, text]) => one.data?.[key] === text)
}
