import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import { nodes, pods } from '../../kubernetes/resource.ts'
import { Semaphore } from '../../runtime/semaphore.ts'
import type { Entry } from '../../spire/entry.ts'
import { clusterEntry, nodeEntry } from '../desired/alias-entry.ts'
import { federationAnnotation, wishesOf } from '../desired/federation.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { podEntry } from '../desired/pod-entry.ts'
import { type KeptKeys, observeNode, observePod } from '../observe.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import type { SeenObjects } from '../seen-objects.ts'
import type { Ownership } from '../sync/ownership.ts'
import type { SyncSource } from '../sync/sync-options.ts'
import { ownerOf } from './entry-owner.ts'
import { clusterKey, nodeKey, parseKey, podKey } from './object-keys.ts'

export interface PodSourceOptions {
  readonly client: Pick<KubernetesClient, 'get'>
  readonly rules: IdentityRules
  readonly keys: KeptKeys
  readonly ownership: Ownership
  readonly objects: SeenObjects
  /** The trust domains that the server has bundles of; undefined where that is not known, and then none is left out. */
  readonly bundles: () => ReadonlySet<string> | undefined
  /** A pod that is about to come, and that no watch has shown yet. @default {none} */
  readonly expected?: (namespace: string, name: string) => ObservedPod | undefined
}

/** How many objects are asked for at once. */
const mostReads = 32

/** Pods and nodes as the synchronisation sees them: what each should have, and which entry is whose. */
export class PodSource implements SyncSource {
  readonly #options: PodSourceOptions
  readonly #reads = new Semaphore(mostReads)

  constructor(options: PodSourceOptions) {
    this.#options = options
  }

  /** Whether anything here asks to federate. */
  get federates(): boolean {
    const { objects } = this.#options
    const asks = ({ annotations }: ObservedPod | ObservedNode): boolean =>
      Object.hasOwn(annotations, federationAnnotation)
    return objects.pods().some(asks) || objects.nodes().some(asks)
  }

  /** The trust domains that an object asks to federate with. */
  wishes(key: string): readonly string[] {
    const { objects, rules } = this.#options
    const object = parseKey(key)
    const asking =
      object.kind === 'pod'
        ? this.#pod(object.namespace, object.name)
        : object.kind === 'node'
          ? objects.node(object.name)
          : undefined
    return asking === undefined ? [] : wishesOf(asking.annotations, rules.trustDomain)
  }

  *keys(): Generator<string, void, void> {
    const { objects, rules } = this.#options
    if (rules.parents === 'cluster') yield clusterKey
    for (const { name } of objects.nodes()) yield nodeKey(name)
    for (const { namespace, name } of objects.pods()) yield podKey(namespace, name)
  }

  render(key: string): Rendering {
    const { rules, objects, bundles } = this.#options
    const object = parseKey(key)
    switch (object.kind) {
      case 'pod': {
        const pod = this.#pod(object.namespace, object.name)
        return pod === undefined ? { is: 'none', reason: 'there is no such pod' } : this.#renderPod(pod)
      }
      case 'node': {
        const node = objects.node(object.name)
        return node === undefined ? { is: 'none', reason: 'there is no such node' } : nodeEntry(rules, node, bundles())
      }
      case 'cluster':
        return rules.parents === 'cluster'
          ? { is: 'entry', spec: clusterEntry(rules), notices: [] }
          : { is: 'none', reason: 'each node has an alias of its own' }
      case 'entry':
        return { is: 'none', reason: 'it belongs to no object' }
      default:
        return object satisfies never
    }
  }

  keyOf(entry: Entry): string | undefined {
    return ownerOf(entry, this.#options.rules, this.#options.ownership)
  }

  incarnation(key: string): string | undefined {
    const object = parseKey(key)
    if (object.kind === 'pod') return this.#pod(object.namespace, object.name)?.uid
    if (object.kind === 'node') return this.#options.objects.node(object.name)?.uid
    return object.kind === 'cluster' ? '' : undefined
  }

  rank(key: string): 0 | 1 {
    return parseKey(key).kind === 'pod' ? 1 : 0
  }

  async confirmGone(keys: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const looks = keys.map((key) => this.#reads.run(() => this.#wantsNone(key, signal), signal))
    const wantNone = await Promise.all(looks)
    return new Set(keys.filter((_, place) => wantNone[place]))
  }

  /** By the object as it is at this moment, whatever the watches have shown. */
  async #wantsNone(key: string, signal: AbortSignal): Promise<boolean> {
    const { client, rules, keys, bundles } = this.#options
    const object = parseKey(key)
    try {
      if (object.kind === 'pod') {
        const pod = await client.get(pods, object, { signal })
        return this.#renderPod(observePod(pod, keys)).is === 'none'
      }
      if (object.kind === 'node') {
        const node = await client.get(nodes, { name: object.name }, { signal, metadataOnly: true })
        return nodeEntry(rules, observeNode(node), bundles()).is === 'none'
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return true
      throw error
    }
    return this.render(key).is === 'none'
  }

  #pod(namespace: string, name: string): ObservedPod | undefined {
    const { objects, expected } = this.#options
    return objects.pod(namespace, name) ?? expected?.(namespace, name)
  }

  #renderPod(pod: ObservedPod): Rendering {
    const { rules, objects, bundles } = this.#options
    return podEntry(rules, pod, { addresses: objects.addresses(pod.namespace, pod.name), bundles: bundles() })
  }
}
