import { isDeepStrictEqual } from 'node:util'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EndpointSlice, KubernetesObject, Pod } from '../../kubernetes/object.ts'
import type { Watched } from '../../kubernetes/outage-problems.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { endpointSlices, nodes, pods } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type KeptKeys, observeNode, observePod } from '../observe.ts'
import type { ObservedNode, ObservedPod, ServiceAddress } from '../observed.ts'
import type { SeenObjects } from '../seen-objects.ts'
import { addressesOfSlice, type PodAddress, ServiceAddresses } from '../service-addresses.ts'

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

/** A watch, and whether it has shown everything once. */
export interface WatchedKind extends Watched {
  readonly hasSynced: () => boolean
}

/** What the registrar has seen of the cluster: one watch for each kind, and of each object what identities depend on. */
export class ClusterObjects implements SeenObjects {
  /** Resolves when everything there is was seen once. */
  readonly synced: Promise<void>
  readonly watches: readonly WatchedKind[]
  readonly #pods: Reflector<Pod, ObservedPod>
  readonly #nodes: Reflector<KubernetesObject, ObservedNode>
  readonly #slices: Reflector<EndpointSlice, string> | undefined
  readonly #addresses = new ServiceAddresses()

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
    this.#slices = withAddresses ? this.#followSlices(client, onPod, clock, log) : undefined
    const slices = this.#slices
    this.watches = [
      { what: 'pods', hasSynced: () => this.#pods.hasSynced, outage: () => this.#pods.outage },
      { what: 'nodes', hasSynced: () => this.#nodes.hasSynced, outage: () => this.#nodes.outage },
      ...(slices === undefined
        ? []
        : [{ what: 'endpoint slices', hasSynced: () => slices.hasSynced, outage: () => slices.outage }]),
    ]
    this.synced = Promise.all([this.#pods.synced, this.#nodes.synced, slices?.synced]).then(() => {})
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
    return this.#addresses.of(`${namespace}/${name}`)
  }

  async close(): Promise<void> {
    await Promise.all([this.#pods.close(), this.#nodes.close(), this.#slices?.close()])
  }

  #followSlices(
    client: ClusterObjectsOptions['client'],
    onPod: ClusterObjectsOptions['onPod'],
    clock: Clock,
    log: Log,
  ): Reflector<EndpointSlice, string> {
    const show = (slice: string, addresses: readonly PodAddress[]): void => {
      for (const pod of this.#addresses.show(slice, addresses)) {
        const [namespace = '', name = ''] = pod.split('/')
        onPod(namespace, name)
      }
    }
    return new Reflector<EndpointSlice, string>({
      client,
      resource: endpointSlices,
      transform: ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
      handler: {
        added: (slice, name) => show(name, addressesOfSlice(slice)),
        modified: (slice, name) => show(name, addressesOfSlice(slice)),
        deleted: (name) => show(name, []),
      },
      clock,
      log,
    })
  }
}
