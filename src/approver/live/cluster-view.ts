import { isDeepStrictEqual } from 'node:util'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject, Pod } from '../../kubernetes/object.ts'
import type { Watched } from '../../kubernetes/outage-problems.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { pods, type Resource } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { LiveObjects, Service } from '../live-objects.ts'
import { Grouping } from './grouping.ts'
import { keptMetadata, keptNode, keptPod, keptService } from './kept-objects.ts'
import { namespaces, nodes, serviceAccounts, services } from './resources.ts'

/** Something on which a decision may rest has changed. */
export type ClusterChange =
  | { readonly kind: 'Pod'; readonly namespace: string; readonly name: string; readonly node: string | undefined }
  | { readonly kind: 'Node'; readonly name: string }
  /** A Service, a service account or the namespace itself. */
  | { readonly kind: 'Namespace'; readonly name: string }

export interface ClusterViewOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  /** Volumes of these CSI drivers are kept of a pod. */
  readonly driverNames: readonly string[]
  readonly onChange: (change: ClusterChange) => void
  readonly clock: Clock
  readonly log: Log
}

/** What the approver has seen of the cluster: one watch for each kind, and of each object as little as decisions rest on. */
export class ClusterView {
  /** Resolves when everything there is was seen once. */
  readonly synced: Promise<void>
  readonly watches: readonly Watched[]
  readonly #podsOfNodes = new Grouping<Pod>()
  readonly #servicesOfNamespaces = new Grouping<Service>()
  readonly #pods: Reflector<Pod, Pod>
  readonly #nodes: Reflector<KubernetesObject, KubernetesObject>
  readonly #namespaces: Reflector<KubernetesObject, KubernetesObject>
  readonly #serviceAccounts: Reflector<KubernetesObject, KubernetesObject>
  readonly #reflectors: readonly Reflector<never, never>[]

  constructor({ client, driverNames, onChange, clock, log }: ClusterViewOptions) {
    const podChanged = ({ metadata, spec }: Pod): void =>
      onChange({
        kind: 'Pod',
        namespace: metadata.namespace ?? '',
        name: metadata.name ?? '',
        node: spec?.nodeName,
      })
    this.#pods = new Reflector<Pod, Pod>({
      client,
      resource: pods,
      transform: (pod) => keptPod(pod, driverNames),
      handler: {
        added: (_, pod) => {
          this.#podsOfNodes.add(pod.spec?.nodeName, pod)
          podChanged(pod)
        },
        modified: (_, pod, before) => {
          this.#podsOfNodes.remove(before.spec?.nodeName, before)
          this.#podsOfNodes.add(pod.spec?.nodeName, pod)
          // Told of every change: what is not kept is read live, and may be what a request waits for.
          podChanged(pod)
        },
        deleted: (pod) => {
          this.#podsOfNodes.remove(pod.spec?.nodeName, pod)
          podChanged(pod)
        },
      },
      clock,
      log,
    })
    const follow = <T extends KubernetesObject>(
      resource: Resource<T>,
      keep: (object: T) => T,
      changed: (kept: T) => ClusterChange,
      index?: Grouping<T>,
    ): Reflector<T, T> =>
      new Reflector<T, T>({
        client,
        resource,
        transform: keep,
        handler: {
          added: (_, kept) => {
            index?.add(kept.metadata.namespace, kept)
            onChange(changed(kept))
          },
          modified: (_, kept, before) => {
            index?.add(kept.metadata.namespace, kept)
            if (!isDeepStrictEqual(kept, before)) onChange(changed(kept))
          },
          deleted: (kept) => {
            index?.remove(kept.metadata.namespace, kept)
            onChange(changed(kept))
          },
        },
        clock,
        log,
      })
    const ofNamespace = ({ metadata }: KubernetesObject): ClusterChange => ({
      kind: 'Namespace',
      name: metadata.namespace ?? metadata.name ?? '',
    })
    const serviceWatch = follow(services, keptService, ofNamespace, this.#servicesOfNamespaces)
    this.#nodes = follow(nodes, keptNode, ({ metadata }) => ({ kind: 'Node', name: metadata.name ?? '' }))
    this.#namespaces = follow(namespaces, keptMetadata, ofNamespace)
    this.#serviceAccounts = follow(serviceAccounts, keptMetadata, ofNamespace)
    const all = {
      pods: this.#pods,
      services: serviceWatch,
      nodes: this.#nodes,
      namespaces: this.#namespaces,
      'service accounts': this.#serviceAccounts,
    }
    this.#reflectors = Object.values(all) as unknown as readonly Reflector<never, never>[]
    this.watches = Object.entries(all).map(([what, reflector]) => ({ what, outage: () => reflector.outage }))
    this.synced = Promise.all(this.#reflectors.map(({ synced }) => synced)).then(() => {})
    // Not everyone waits for it.
    this.synced.catch(() => {})
  }

  /** What has been seen, at the moment of each call. Who may use which policy is not among it. */
  readonly objects: LiveObjects = {
    pod: (namespace, name) => this.#pods.get(name, namespace),
    podsOnNode: (node) => this.#podsOfNodes.of(node),
    services: (namespace) => this.#servicesOfNamespaces.of(namespace),
    node: (name) => this.#nodes.get(name),
    namespace: (name) => this.#namespaces.get(name),
    serviceAccount: (namespace, name) => this.#serviceAccounts.get(name, namespace),
    mayUse: () => undefined,
  }

  async close(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()))
  }
}
