import { abortable } from '../kubernetes/abortable.ts'
import type { ClusterTrustBundle } from '../kubernetes/certificates.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { Selection } from '../kubernetes/client-options.ts'
import { ApiError } from '../kubernetes/errors.ts'
import type { ConfigMap, KubernetesObject } from '../kubernetes/object.ts'
import { Reflector, type ReflectorTrouble } from '../kubernetes/reflector.ts'
import { clusterTrustBundles, configMaps, type Resource } from '../kubernetes/resource.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { CertificateError } from '../x509/certificate.ts'
import { isTrusted, joinBundles } from '../x509/trust.ts'
import type { TrustBundle } from './issuer.ts'
import type { TrustConfigMap } from './trust-config-map.ts'

export interface SignerTrustOptions {
  readonly client: KubernetesClient
  readonly signerName: string
  /** Where the administrator keeps the signer's trust; undefined for its ClusterTrustBundles. */
  readonly configMap: TrustConfigMap | undefined
  readonly log: Log
  readonly clock: Clock
}

/** Where bundles are, and what is read of each. */
interface Source {
  /** For people. */
  readonly description: string
  readonly selection: Selection
  readonly resource: Resource
  readonly bundleOf: (object: KubernetesObject) => string
}

/** The longest trust that is taken, in characters: a bundle of all public roots fits (x509/answer.ts has the same bound). */
const longestTrust = 400_000

/**
 * Whom to trust for one signer, by one watch: the union of its ClusterTrustBundles (KEP-3257), or a ConfigMap of the administrator's.
 *
 * What was read once stays where there is nothing any more, or nothing that can be read: containers with an empty CA file trust nobody.
 */
export class SignerTrust {
  readonly #options: SignerTrustOptions
  readonly #source: Source
  /** Keeps no bundle that is too long. */
  readonly #reflector: Reflector<KubernetesObject, string | undefined>
  readonly #listeners = new Set<() => void>()
  /** Resolved once it is known what there is, or that it cannot be known. */
  readonly #looked = Promise.withResolvers<void>()
  #current: string | undefined
  /** Whether it cannot be read at the moment. */
  #isMissed = false

  constructor(options: SignerTrustOptions) {
    this.#options = options
    this.#source = options.configMap === undefined ? bundlesOf(options.signerName) : configMapAt(options.configMap)
    const { client, log, clock } = options
    const { resource, selection, bundleOf } = this.#source
    const update = (): void => this.#update()
    this.#reflector = new Reflector({
      client,
      log,
      clock,
      resource,
      ...selection,
      transform: (object) => withinBounds(bundleOf(object)),
      handler: { added: update, modified: update, deleted: update },
      onTrouble: (trouble) => this.#missed(trouble),
      onRecovered: () => {
        this.#isMissed = false
        log.info({ signer: options.signerName }, 'the trust of a signer is watched again')
      },
    })
    this.#reflector.synced.then(
      () => {
        this.#update()
        this.#looked.resolve()
      },
      () => this.#looked.resolve(),
    )
  }

  /**
   * The trust to hand out with a certificate. Where what the watch has told does not lead to it, the API server is asked once more:
   * a signer's first bundle and its first certificate may be told in either order.
   *
   * @param chain - PEM, leaf first
   * @returns PEM; undefined where there is none, or none that may be read
   */
  async trustFor(chain: string, signal: AbortSignal): Promise<string | undefined> {
    await abortable(this.#looked.promise, signal)
    const known = this.#current
    if (known !== undefined && isTrusted(chain, known, this.#options.clock.now())) return known
    const { client } = this.#options
    const { resource, selection, bundleOf } = this.#source
    try {
      const { items } = await client.list(resource, { ...selection, signal })
      this.#take(this.#join(items.map((object) => withinBounds(bundleOf(object)))))
    } catch (error) {
      signal.throwIfAborted()
      this.#options.log.debug({ error, signer: this.#options.signerName }, 'trust cannot be read once more')
    }
    return this.#current
  }

  /** The trust as it is, at once where it is known, then each time it is another. Ends with the signal. */
  async *follow(signal: AbortSignal): AsyncGenerator<TrustBundle, void, void> {
    let told: string | undefined
    while (!signal.aborted) {
      if (this.#current === told) {
        await this.#change(signal)
      } else {
        told = this.#current
        if (told !== undefined) yield { ca: told }
      }
    }
  }

  async close(): Promise<void> {
    await this.#reflector.close()
    for (const listener of this.#listeners) listener()
  }

  /** Resolves with the next change, or with the end of the signal. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#listeners.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #update(): void {
    // Half a list is not what there is.
    if (!this.#reflector.hasSynced) return
    this.#take(this.#join(this.#reflector.values()))
  }

  #take(trust: string | undefined): void {
    if (trust === undefined || trust === this.#current) return
    this.#current = trust
    for (const listener of this.#listeners) listener()
  }

  /** @returns undefined where there is nothing, or nothing that can be used */
  #join(texts: Iterable<string | undefined>): string | undefined {
    const { log, signerName: signer } = this.#options
    const { description: source } = this.#source
    try {
      // In one order on every node and after every restart, so that files change only with what they hold.
      const known = [...texts].map(required).sort()
      const joined = joinBundles(known)
      return joined === undefined ? undefined : required(withinBounds(joined))
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      log.error({ error, signer, source }, 'the trust of a signer cannot be used; what pods have of it stays')
      return undefined
    }
  }

  /** An API server that does not know bundles, or does not show them, is not waited for: certificates are worth having without. */
  #missed(trouble: ReflectorTrouble): void {
    const { log, signerName: signer } = this.#options
    const { description: source } = this.#source
    if (!this.#isMissed) {
      log.warn({ error: trouble, signer, source }, 'the trust of a signer cannot be read; what pods have of it stays')
    }
    this.#isMissed = true
    if (trouble instanceof ApiError && [401, 403, 404].includes(trouble.status)) this.#looked.resolve()
  }
}

function bundlesOf(signerName: string): Source {
  return {
    description: `ClusterTrustBundles of ${signerName}`,
    resource: clusterTrustBundles,
    selection: { fieldSelector: `spec.signerName=${signerName}` },
    bundleOf: (object) => (object as ClusterTrustBundle).spec.trustBundle,
  }
}

function configMapAt({ namespace, name, key }: TrustConfigMap): Source {
  return {
    description: `ConfigMap ${namespace}/${name}`,
    resource: configMaps,
    selection: { namespace, fieldSelector: `metadata.name=${name}` },
    bundleOf: (object) => (object as ConfigMap).data?.[key] ?? '',
  }
}

function withinBounds(text: string): string | undefined {
  return text.length > longestTrust ? undefined : text
}

/** Nobody trusts half a bundle. */
function required(text: string | undefined): string {
  if (text === undefined) throw new CertificateError(`trust of over ${longestTrust} characters`)
  return text
}
