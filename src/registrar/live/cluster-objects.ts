import { isDeepStrictEqual } from 'node:util'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject, Pod } from '../../kubernetes/object.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { nodes, pods } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type KeptKeys, observeNode, observePod } from '../observe.ts'
import type { ObservedNode, ObservedPod, ServiceAddress } from '../observed.ts'
import type { SeenObjects } from '../seen-objects.ts'
import { ServiceWatch } from './service-watch.ts'
import { type WatchedKind, watchedKind } from './watched-kind.ts'

export interface ClusterObjectsOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  /** What is kept of pods' labels and annotations. */
  readonly keys: KeptKeys
  /** Whether the addresses of services are followed: DNS names are made of them, and nothing else is. */
  readonly withAddresses: boolean
  /** @param namespace - and `name`: of a pod that is not what it was, or whose addresses are not */
  readonly onPod: (namespace: string, name: string) => void
  readonly onNode: (name: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** What the registrar has seen of the cluster: one watch for each kind, and of each object what identities depend on. */
export class ClusterObjects implements SeenObjects {
  /** Resolves when everything there is was seen once. */
  readonly synced: Promise<void>
  readonly watches: readonly WatchedKind[]
  readonly #pods: Reflector<Pod, ObservedPod>
  readonly #nodes: Reflector<KubernetesObject, ObservedNode>
  readonly #services: ServiceWatch | undefined

  constructor({ client, keys, withAddresses, onPod, onNode, clock, log }: ClusterObjectsOptions) {
    const podChanged = ({ namespace, name }: ObservedPod): void => onPod(namespace, name)
    this.#pods = new Reflector<Pod, ObservedPod>({
      client,
      resource: pods,
      transform: (pod) => observePod(pod, keys),
      handler: {
        added: (_, pod) => podChanged(pod),
        modified: (_, pod, before) => {
          // Most changes of a pod are its kubelet's, and of no concern here.
          if (!isDeepStrictEqual(pod, before)) podChanged(pod)
        },
        deleted: podChanged,
      },
      clock,
      log,
    })
    this.#nodes = new Reflector<KubernetesObject, ObservedNode>({
      client,
      resource: nodes,
      metadataOnly: true,
      transform: observeNode,
      handler: {
        added: (_, node) => onNode(node.name),
        modified: (_, node, before) => {
          if (!isDeepStrictEqual(node, before)) onNode(node.name)
        },
        deleted: (node) => onNode(node.name),
      },
      clock,
      log,
    })
    const services = withAddresses ? new ServiceWatch({ client, by: 'name', onPod, clock, log }) : undefined
    this.#services = services
    this.watches = [
      watchedKind('pods', this.#pods),
      watchedKind('nodes', this.#nodes),
      ...(services === undefined ? [] : [services.watch]),
    ]
    this.synced = Promise.all([this.#pods.synced, this.#nodes.synced, services?.synced]).then(() => {})
    // Not everyone waits for it.
    this.synced.catch(() => {})
  }

  pod(namespace: string, name: string): ObservedPod | undefined {
    return this.#pods.get(name, namespace)
  }

  pods(): IteratorObject<ObservedPod> {
    return Iterator.from(this.#pods.values())
  }

  node(name: string): ObservedNode | undefined {
    return this.#nodes.get(name)
  }

  nodes(): IteratorObject<ObservedNode> {
    return Iterator.from(this.#nodes.values())
  }

  addresses(namespace: string, name: string): readonly ServiceAddress[] {
    return this.#services?.addresses(namespace, name) ?? []
  }

  async close(): Promise<void> {
    await Promise.all([this.#pods.close(), this.#nodes.close(), this.#services?.close()])
  }
}
