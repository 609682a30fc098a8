import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { ClusterTrustBundle } from '../../kubernetes/certificates.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import { clusterTrustBundles } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Mutex } from '../../runtime/mutex.ts'
import type { Certificate } from '../../x509/certificate.ts'
import type { TrustConfigMaps } from './trust-config-maps.ts'
import {
  bundleName,
  bundleOf,
  maySignFrom,
  nextRoots,
  pemOf,
  rootsAnnotation,
  rootsOf,
  type TrustedRoot,
  withRetirement,
} from './trust-roots.ts'

/** What the publisher needs of the API server. */
export type TrustApi = Pick<KubernetesClient, 'get' | 'create' | 'update'>

export interface TrustPublisherOptions {
  readonly signerName: string
  readonly client: TrustApi
  readonly clock: Clock
  /** How long it takes until what is published is in every pod, milliseconds. */
  readonly propagation: number
  /** Where trust goes beside the bundle. @default {nowhere} */
  readonly configMaps?: Pick<TrustConfigMaps, 'write'> | undefined
}

/** A root that was published is not any longer: somebody took it out of the bundle. It is published again before it signs. */
export class TrustWithdrawnError extends Error {
  override readonly name = 'TrustWithdrawnError'
  readonly code = 'TRUST_WITHDRAWN'
}

/** By how much a root outlives the last leaf below it, in milliseconds: clocks differ. */
const skew = 600_000
/** How much further than needed a retirement is set, in milliseconds, so that one write serves many leaves. */
const ahead = 3600_000

/**
 * Publishes the roots of one signer, and knows which may sign.
 *
 * The bundle itself is the only memory: a root is written to it, then to the ConfigMaps, and only then marked as published. Before a
 * leaf is served, its end is written to the bundle; a root leaves the bundle only after that. Each write carries the version that was
 * read, so two that publish at once cannot undo each other, and a crash between any two steps leaves too much trust, never too little.
 */
export class TrustPublisher {
  readonly #options: TrustPublisherOptions
  readonly #writes = new Mutex()
  /** As last read or written. */
  #roots: readonly TrustedRoot[] = []

  constructor(options: TrustPublisherOptions) {
    this.#options = options
  }

  /** What is published, as far as this process has seen. */
  get roots(): readonly TrustedRoot[] {
    return this.#roots
  }

  /** Whether a bundle, as a watch has shown it, holds what this process knows to be published. */
  isCurrent(bundle: ClusterTrustBundle): boolean {
    return isSame(bundle, bundleOf(this.#options.signerName, this.#roots))
  }

  /** From when on a root may sign, epoch milliseconds; undefined where it is not published. */
  maySignFrom({ fingerprint }: Certificate): number | undefined {
    const root = this.#find(fingerprint)
    return root === undefined ? undefined : maySignFrom(root, this.#options.propagation)
  }

  /**
   * Publishes these roots, and takes out those that nothing needs any longer. May be repeated at any time.
   *
   * @throws {TrustBundleError} where the bundle is not ours
   * @throws {ApiError | ConnectionError} where it could not be written, or a ConfigMap not for now; then nothing new may sign
   */
  publish(wanted: readonly Certificate[], signal: AbortSignal): Promise<void> {
    return this.#writes.run(async () => {
      const { clock, configMaps } = this.#options
      await this.#change((published) => nextRoots(published, this.#roots, wanted, clock.now()), signal)
      await configMaps?.write(pemOf(this.#roots), signal)
      const publishedAt = clock.now()
      await this.#change(
        (published = []) => published.map((root) => (root.publishedAt === undefined ? { ...root, publishedAt } : root)),
        signal,
      )
    })
  }

  /**
   * Makes sure that a root stays published for as long as a leaf lives. To be awaited before the leaf is served.
   *
   * @param end - of the leaf, epoch milliseconds
   * @throws {TrustWithdrawnError} where the root is no longer published, or not for long enough
   * @throws {ApiError | ConnectionError}
   */
  async reserve({ fingerprint, subject }: Certificate, end: number, signal: AbortSignal): Promise<void> {
    const needed = end + skew
    const isReserved = (): boolean => (this.#find(fingerprint)?.retireAfter ?? 0) >= needed
    if (isReserved()) return
    await this.#writes.run(async () => {
      // Another leaf's reservation may have been for as long.
      if (isReserved()) return
      await this.#change((published = []) => {
        const root = published.find(({ certificate }) => certificate.fingerprint === fingerprint)
        const from = root && maySignFrom(root, this.#options.propagation)
        // It may have been taken out and published anew since this process looked.
        if (from === undefined || from > this.#options.clock.now()) {
          throw new TrustWithdrawnError(`the root ${subject} was taken out of the trust bundle`)
        }
        return published.map((one) => (one === root ? withRetirement(one, needed + ahead) : one))
      }, signal)
    })
  }

  #find(fingerprint: string): TrustedRoot | undefined {
    return this.#roots.find(({ certificate }) => certificate.fingerprint === fingerprint)
  }

  async #change(
    next: (published: readonly TrustedRoot[] | undefined) => readonly TrustedRoot[],
    signal: AbortSignal,
  ): Promise<void> {
    const { signerName, client } = this.#options
    const current = await this.#read(signal)
    const published = current === undefined ? undefined : rootsOf(current)
    const roots = next(published)
    const wanted = bundleOf(signerName, roots)
    if (roots.length === 0) return
    if (current === undefined) await client.create(clusterTrustBundles, wanted, { signal })
    else if (!isSame(current, wanted)) {
      const { uid = '', resourceVersion = '' } = current.metadata
      const annotations = { ...current.metadata.annotations, ...wanted.metadata.annotations }
      const metadata = { ...current.metadata, annotations, uid, resourceVersion }
      await client.update(clusterTrustBundles, { ...wanted, metadata }, { signal })
    }
    this.#roots = roots
  }

  async #read(signal: AbortSignal): Promise<ClusterTrustBundle | undefined> {
    const { signerName, client } = this.#options
    try {
      return await client.get(clusterTrustBundles, { name: bundleName(signerName) }, { signal })
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined
      throw error
    }
  }
}

function isSame(one: ClusterTrustBundle, other: ClusterTrustBundle): boolean {
  const noted = ({ metadata: { annotations = {} } }: ClusterTrustBundle): string => annotations[rootsAnnotation] ?? ''
  return one.spec.trustBundle === other.spec.trustBundle && noted(one) === noted(other)
}
