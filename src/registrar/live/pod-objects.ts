import type { EventRecorder } from '../../kubernetes/events.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { ReconcileConfig, WebhookConfig } from '../config/registrar-config.ts'
import { type IdentityRules, identityRules } from '../desired/identity-rules.ts'
import { keptKeys } from '../observe.ts'
import type { ObservedPod } from '../observed.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { ClusterObjects } from './cluster-objects.ts'
import { ownershipOf } from './entry-owner.ts'
import type { FollowedObjects, Surroundings } from './followed-objects.ts'
import { nodeKey, podKey } from './object-keys.ts'
import { PodReports } from './pod-reports.ts'
import { PodSource } from './pod-source.ts'
import type { WatchedKind } from './watched-kind.ts'

export interface PodObjectsOptions extends Surroundings {
  readonly client: Pick<KubernetesClient, 'get' | 'pages' | 'watch'>
  readonly config: ReconcileConfig | WebhookConfig
  /** The registrar's own SPIFFE ID, where it has one. */
  readonly ownId: string | undefined
  /** A pod that is about to come, and that no watch has shown yet. @default {none} */
  readonly expected?: (namespace: string, name: string) => ObservedPod | undefined
  /** Told of a pod that the watch shows. @default {nobody} */
  readonly onSeen?: (pod: ObservedPod) => void
  /** Told of each outcome besides. @default {nobody} */
  readonly onOutcome?: (key: string, outcome: KeyOutcome) => void
  readonly events: Pick<EventRecorder, 'record'>
  readonly clock: Clock
  readonly log: Log
}

/** Pods and nodes, and the services that names are made of, as the cluster shows them. */
export class PodObjects implements FollowedObjects {
  readonly rules: IdentityRules
  readonly source: PodSource
  readonly #options: PodObjectsOptions
  readonly #cluster: ClusterObjects
  readonly #reports: PodReports

  /** @throws {import('../template/pod-template.ts').PodTemplateError} */
  constructor(options: PodObjectsOptions) {
    this.#options = options
    const { client, config, ownId, bundles, expected, onDirty, events, clock, log } = options
    const rules = identityRules(config, ownId)
    this.rules = rules
    const keys = keptKeys(rules)
    this.#cluster = new ClusterObjects({
      client,
      keys,
      withAddresses: rules.names.by === 'cluster dns',
      onPod: (namespace, name) => {
        const pod = this.#cluster.pod(namespace, name)
        if (pod !== undefined) options.onSeen?.(pod)
        onDirty(podKey(namespace, name))
      },
      onNode: (name) => onDirty(nodeKey(name)),
      clock,
      log,
    })
    this.source = new PodSource({
      client,
      rules,
      keys,
      ownership: ownershipOf(rules, { prefix: config.entryIdPrefix, cluster: config.cluster }, ownId),
      objects: this.#cluster,
      bundles,
      ...(expected && { expected }),
    })
    this.#reports = new PodReports({ events, pod: (namespace, name) => this.#cluster.pod(namespace, name) })
  }

  get synced(): Promise<void> {
    return this.#cluster.synced
  }

  get watches(): readonly WatchedKind[] {
    return this.#cluster.watches
  }

  get federates(): boolean {
    return this.source.federates
  }

  wishes(key: string): readonly string[] {
    return this.source.wishes(key)
  }

  settled(key: string, outcome: KeyOutcome): void {
    this.#reports.tell(key, outcome)
    this.#options.onOutcome?.(key, outcome)
  }

  async close(): Promise<void> {
    await this.#cluster.close()
  }
}
