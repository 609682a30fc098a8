import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EventRecorder } from '../../kubernetes/events.ts'
import { outageProblems } from '../../kubernetes/outage-problems.ts'
import { backoffDelay } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { BundleService, EntryService } from '../../spire/entry.ts'
import type { CrdConfig } from '../config/registrar-config.ts'
import { spiffeIdKey } from '../crd/spiffe-id-resource.ts'
import { isOwnEntryId } from '../sync/entry-id.ts'
import type { OwnedEntry } from '../sync/owned-entries.ts'
import { type KeyState, SyncEngine } from '../sync/sync-engine.ts'
import type { SyncFigures, SyncMetrics } from '../sync/sync-metrics.ts'
import { FederatedBundles } from './federated-bundles.ts'
import { TakeoverRefusedError } from './live-registrar.ts'
import { SpiffeIdObjects } from './spiffe-id-objects.ts'

export interface CrdRegistrarOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'pages' | 'watch' | 'create' | 'patch' | 'delete'>
  readonly entries: EntryService
  readonly bundles: BundleService
  readonly config: CrdConfig
  /** The registrar's own: where the SpiffeIDs of nodes are. */
  readonly namespace: string
  /** The registrar's own SPIFFE ID, where it has one. */
  readonly ownId: string | undefined
  /** Entries of the registrar before this one may be taken over though nothing shows that it has ended. */
  readonly mayTakeOver: boolean
  readonly areDeletesConfirmed: boolean
  readonly events: Pick<EventRecorder, 'record'>
  readonly metrics: SyncMetrics
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** While the server cannot tell which bundles it has. */
const bundleBackoff = { first: 250, cap: 15_000 }

/**
 * Keeps a SpiffeID for each pod and node, and an entry for each SpiffeID, as long as it leads; before and after, it follows the cluster,
 * so that it can lead at once.
 */
export class CrdRegistrar {
  /** Resolves when everything that entries are made of was seen once. */
  readonly known: Promise<void>
  /** SpiffeIDs as they are seen, for whoever checks them as they are written. */
  readonly objects: SpiffeIdObjects
  readonly #options: CrdRegistrarOptions
  readonly #bundles: FederatedBundles
  readonly #engine: SyncEngine

  /** @throws {import('../template/pod-template.ts').PodTemplateError} */
  constructor(options: CrdRegistrarOptions) {
    this.#options = options
    const { client, config, namespace, ownId, events, clock, log, random } = options
    const objects = new SpiffeIdObjects({
      client,
      config,
      namespace,
      ownId,
      bundles: () => this.#bundles.names,
      onDirty: (key) => this.#engine.mark(key),
      events,
      clock,
      log,
      ...(random && { random }),
    })
    this.objects = objects
    this.#bundles = new FederatedBundles({
      bundles: options.bundles,
      areWanted: () => objects.federates,
      onChange: () => this.#engine.markAll(),
      clock,
      log,
    })
    const { source } = objects
    this.#engine = new SyncEngine({
      entries: options.entries,
      source: {
        keys: () => source.keys(),
        render: (key) => source.render(key),
        keyOf: (entry) => source.keyOf(entry),
        incarnation: (key) => source.incarnation(key),
        rank: (key) => source.rank(key),
        confirmGone: (asked, signal) => source.confirmGone(asked, signal),
      },
      ids: { prefix: config.entryIdPrefix, cluster: config.cluster },
      fuse: config.deleteFuse,
      areDeletesConfirmed: options.areDeletesConfirmed,
      verifyInterval: config.verifyInterval,
      onKnown: (owned) => this.#checkTakeover(owned),
      onOutcome: (key, outcome) => objects.settled(key, outcome),
      metrics: options.metrics,
      clock,
      log,
      ...(random && { random }),
    })
    this.known = objects.synced
  }

  /** What there is now, for whoever counts it. */
  get figures(): SyncFigures {
    return this.#engine.figures
  }

  /**
   * Writes until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead.
   *
   * @throws {TakeoverRefusedError}
   * @throws where the registrar is closed before it knows everything
   */
  async lead(leading: AbortSignal): Promise<void> {
    if (leading.aborted) return
    const aborted = Promise.withResolvers<void>()
    leading.addEventListener('abort', () => aborted.resolve(), { once: true })
    await Promise.race([this.known, aborted.promise])
    await this.#readBundles(leading)
    if (leading.aborted) return
    const refused = new AbortController()
    const own = AbortSignal.any([leading, refused.signal])
    const engine = this.#engine.lead(own).catch((error: unknown) => {
      refused.abort(error)
      throw error
    })
    await Promise.all([engine, this.objects.lead(own), this.#bundles.follow(own)])
  }

  /** Everything that keeps the registrar from its work, for people; empty where nothing does. */
  problems(): readonly string[] {
    const { watches } = this.objects
    const unseen = watches.filter(({ hasSynced }) => !hasSynced()).map(({ what }) => what)
    return [
      ...(unseen.length === 0 ? [] : [`${unseen.join(' and ')} have not been listed yet`]),
      ...outageProblems(
        watches.filter(({ hasSynced }) => hasSynced()),
        this.#options.clock.now(),
      ),
      ...this.#engine.problems(),
    ]
  }

  /** What is known of a SpiffeID, for people. */
  describe(namespace: string, name: string): KeyState {
    return this.#engine.describe(spiffeIdKey({ namespace, name }))
  }

  async close(): Promise<void> {
    await this.objects.close()
  }

  /** Before the first write: what an entry may not ask for would be taken from those that have it. */
  async #readBundles(signal: AbortSignal): Promise<void> {
    const { clock, log, random = Math.random } = this.#options
    for (let failures = 1; !signal.aborted && this.objects.federates; failures++) {
      try {
        await this.#bundles.refresh(signal)
        return
      } catch (error) {
        if (signal.aborted) return
        if (failures === 1)
          log.warn({ error }, 'the federated bundles of the SPIRE server cannot be listed, tried again')
        await sleep(clock, backoffDelay(failures, { ...bundleBackoff, random }), signal).catch(() => {})
      }
    }
  }

  /** Where this registrar has written before, that was decided before. */
  #checkTakeover(owned: readonly OwnedEntry[]): void {
    const { config, mayTakeOver } = this.#options
    if (config.leaderElection.enabled || mayTakeOver) return
    const ids = { prefix: config.entryIdPrefix, cluster: config.cluster }
    const others = owned.filter(({ entry }) => !isOwnEntryId(ids, entry.id))
    if (others.length > 0 && others.length === owned.length) throw new TakeoverRefusedError(others.length)
  }
}
