import { abortable } from '../../kubernetes/abortable.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EventRecorder } from '../../kubernetes/events.ts'
import { outageProblems } from '../../kubernetes/outage-problems.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { BundleService, EntryService } from '../../spire/entry.ts'
import type { ReconcileConfig, WebhookConfig } from '../config/registrar-config.ts'
import { type IdentityRules, identityRules } from '../desired/identity-rules.ts'
import { keptKeys } from '../observe.ts'
import type { ObservedPod } from '../observed.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import type { OwnedEntry } from '../sync/owned-entries.ts'
import { isOwnEntryId } from '../sync/entry-id.ts'
import { type KeyState, SyncEngine } from '../sync/sync-engine.ts'
import type { SyncFigures, SyncMetrics } from '../sync/sync-metrics.ts'
import { ClusterObjects } from './cluster-objects.ts'
import { ownershipOf } from './entry-owner.ts'
import { FederatedBundles } from './federated-bundles.ts'
import { nodeKey, podKey } from './object-keys.ts'
import { PodReports } from './pod-reports.ts'
import { PodSource } from './pod-source.ts'

export interface LiveRegistrarOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'pages' | 'watch'>
  readonly entries: EntryService
  readonly bundles: BundleService
  readonly config: ReconcileConfig | WebhookConfig
  /** The registrar's own SPIFFE ID, where it has one. */
  readonly ownId: string | undefined
  /** Entries of the registrar before this one may be taken over though nothing shows that it has ended. */
  readonly mayTakeOver: boolean
  readonly areDeletesConfirmed: boolean
  /** A pod that is about to come, and that no watch has shown yet. @default {none} */
  readonly expected?: (namespace: string, name: string) => ObservedPod | undefined
  /** Told of a pod that the watch shows. @default {nobody} */
  readonly onSeen?: (pod: ObservedPod) => void
  /** Told of each outcome besides. @default {nobody} */
  readonly onOutcome?: (key: string, outcome: KeyOutcome) => void
  readonly events: Pick<EventRecorder, 'record'>
  readonly metrics: SyncMetrics
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** Nothing shows whether the registrar before this one still writes, and its entries are there. */
export class TakeoverRefusedError extends Error {
  override readonly name = 'TakeoverRefusedError'
  readonly code = 'REGISTRAR_TAKEOVER_REFUSED'
  /** How many there are of another registrar's making. */
  readonly entries: number

  constructor(entries: number) {
    super(
      `${entries} entries under this registrar's parent IDs were made by another one, and without leader_election nothing shows whether it ` +
        'still runs. Stop it, then start this one with --takeover, or set leader_election = true in both',
    )
    this.entries = entries
  }
}

/** @returns false where the signal aborts first */
async function isKnownBefore(known: Promise<void>, signal: AbortSignal): Promise<boolean> {
  try {
    await abortable(known, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}

/**
 * Keeps an entry for each pod and an alias for each node, as long as it leads; before and after, it follows the cluster, so that it can
 * lead at once.
 */
export class LiveRegistrar {
  /** Resolves when everything that entries are made of was seen once. */
  readonly known: Promise<void>
  readonly rules: IdentityRules
  readonly #options: LiveRegistrarOptions
  readonly #objects: ClusterObjects
  readonly #bundles: FederatedBundles
  readonly #engine: SyncEngine

  /** @throws {import('../template/pod-template.ts').PodTemplateError} */
  constructor(options: LiveRegistrarOptions) {
    this.#options = options
    const { client, config, ownId, clock, log, entries, metrics, areDeletesConfirmed, expected } = options
    const rules = identityRules(config, ownId)
    this.rules = rules
    const keys = keptKeys(rules)
    this.#objects = new ClusterObjects({
      client,
      keys,
      withAddresses: rules.names.by === 'cluster dns',
      onPod: (namespace, name) => {
        const pod = this.#objects.pod(namespace, name)
        if (pod !== undefined) options.onSeen?.(pod)
        this.#engine.mark(podKey(namespace, name))
      },
      onNode: (name) => this.#engine.mark(nodeKey(name)),
      clock,
      log,
    })
    const ids = { prefix: config.entryIdPrefix, cluster: config.cluster }
    const source = new PodSource({
      client,
      rules,
      keys,
      ownership: ownershipOf(rules, ids, ownId),
      objects: this.#objects,
      bundles: () => this.#bundles.names,
      ...(expected && { expected }),
    })
    this.#bundles = new FederatedBundles({
      bundles: options.bundles,
      areWanted: () => source.federates,
      onChange: () => this.#engine.markAll(),
      clock,
      log,
    })
    const reports = new PodReports({
      events: options.events,
      pod: (namespace, name) => this.#objects.pod(namespace, name),
    })
    this.#engine = new SyncEngine({
      entries,
      source: {
        keys: () => source.keys(),
        render: (key) => source.render(key),
        keyOf: (entry) => source.keyOf(entry),
        incarnation: (key) => source.incarnation(key),
        rank: (key) => source.rank(key),
        confirmGone: (asked, signal) => source.confirmGone(asked, signal),
      },
      ids,
      fuse: config.deleteFuse,
      areDeletesConfirmed,
      verifyInterval: config.verifyInterval,
      onKnown: (owned) => this.#checkTakeover(owned),
      onOutcome: (key, outcome) => {
        reports.tell(key, outcome)
        options.onOutcome?.(key, outcome)
      },
      metrics,
      clock,
      log,
      ...(options.random && { random: options.random }),
    })
    this.known = this.#objects.synced
  }

  /** What there is now, for whoever counts it. */
  get figures(): SyncFigures {
    return this.#engine.figures
  }

  /** The pod is not what it was: told by whoever hears of it before the watch does. */
  podChanged(namespace: string, name: string): void {
    this.#engine.mark(podKey(namespace, name))
  }

  /**
   * Writes until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead.
   *
   * @throws {TakeoverRefusedError}
   * @throws where the registrar is closed before it knows everything
   */
  async lead(leading: AbortSignal): Promise<void> {
    const refused = new AbortController()
    const signal = AbortSignal.any([leading, refused.signal])
    if (!(await isKnownBefore(this.known, signal))) return
    await this.#bundles.begin(signal)
    if (signal.aborted) return
    const following = this.#bundles.follow(signal)
    try {
      await this.#engine.lead(signal)
    } finally {
      refused.abort(new Error('the registrar has ended its work'))
      await following
    }
  }

  /** Everything that keeps the registrar from its work, for people; empty where nothing does. */
  problems(): readonly string[] {
    const { clock } = this.#options
    const unseen = this.#objects.watches.filter(({ hasSynced }) => !hasSynced()).map(({ what }) => what)
    return [
      ...(unseen.length === 0 ? [] : [`${unseen.join(' and ')} have not been listed yet`]),
      ...outageProblems(
        this.#objects.watches.filter(({ hasSynced }) => hasSynced()),
        clock.now(),
      ),
      ...(this.#bundles.problem === undefined ? [] : [this.#bundles.problem]),
      ...this.#engine.problems(),
    ]
  }

  /** What is known of a pod, for people. */
  describePod(namespace: string, name: string): KeyState {
    return this.#engine.describe(podKey(namespace, name))
  }

  async close(): Promise<void> {
    await this.#objects.close()
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
