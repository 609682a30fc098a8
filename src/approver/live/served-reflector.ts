import { ApiError, ConnectionError, CredentialError } from '../../kubernetes/errors.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import { type Outage, Reflector, type ReflectorOptions } from '../../kubernetes/reflector.ts'
import { sleep, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'

/** How often an API that is not there is asked for, in milliseconds: nothing tells when a CustomResourceDefinition is made. */
const absentPeriod = 30_000
/** How often it is tried where nobody answers, in milliseconds. */
const retryPeriod = 2_000

/** A reflector for a kind that some clusters have and others get later. */
export class ServedReflector<T extends KubernetesObject, K> {
  /** Resolves when everything there is was told once, or there is no such kind. */
  readonly known: Promise<void>
  readonly #options: ReflectorOptions<T, K>
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  readonly #resolveKnown: () => void
  #reflector: Reflector<T, K> | undefined
  #isAbsent = false
  #outage: Outage

  constructor(options: ReflectorOptions<T, K>) {
    this.#options = options
    this.#outage = { since: (options.clock ?? systemClock).now(), error: undefined }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.known = promise
    this.#resolveKnown = resolve
    this.#closing.signal.addEventListener('abort', () => reject(this.#closing.signal.reason as Error), { once: true })
    // Not everyone waits for it.
    promise.catch(() => {})
    this.#running = this.#open(this.#closing.signal)
  }

  /** Whether the API server has no such kind. */
  get isAbsent(): boolean {
    return this.#isAbsent
  }

  /** Undefined while it follows its objects, or there is no such kind. */
  get outage(): Outage | undefined {
    if (this.#isAbsent) return undefined
    return this.#reflector === undefined ? this.#outage : this.#reflector.outage
  }

  get(name: string, namespace?: string): K | undefined {
    return this.#reflector?.get(name, namespace)
  }

  values(): Iterable<K> {
    return this.#reflector?.values() ?? []
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error(`the reflector of ${this.#options.resource.plural} was closed`))
    await this.#running
    await this.#reflector?.close()
  }

  /** Never rejects. */
  async #open(signal: AbortSignal): Promise<void> {
    const { clock = systemClock, resource, log = silentLog } = this.#options
    while (!signal.aborted) {
      const served = await this.#isServed(signal)
      if (signal.aborted) return
      if (served === true) {
        this.#isAbsent = false
        this.#reflector = new Reflector(this.#options)
        this.#reflector.synced.then(this.#resolveKnown, () => {})
        return
      }
      if (served === false) {
        if (!this.#isAbsent) log.info({ resource: resource.plural }, `the cluster has no ${resource.kind}`)
        this.#isAbsent = true
        this.#resolveKnown()
      }
      await sleep(clock, served === false ? absentPeriod : retryPeriod, signal).catch(() => {})
    }
  }

  /** @returns undefined where nobody answers */
  async #isServed(signal: AbortSignal): Promise<boolean | undefined> {
    const { client, resource } = this.#options
    try {
      for await (const _ of client.pages(resource, { limit: 1, metadataOnly: true, signal })) break
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false
      // Missing rights are for the reflector to tell.
      if (error instanceof ApiError && error.status === 403) return true
      const isExpected =
        error instanceof ApiError || error instanceof ConnectionError || error instanceof CredentialError
      if (isExpected) this.#outage = { since: this.#outage.since, error }
      else if (!signal.aborted)
        this.#options.log?.error({ error, resource: resource.plural }, 'the API cannot be asked for')
      return undefined
    }
  }
}
