import { type KubernetesClient, PatchType } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { WorkQueue } from '../../runtime/work-queue.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import {
  type GeneratedSpiffeId,
  type GeneratedStep,
  generatedStep,
  nodeSpiffeId,
  podSpiffeId,
} from './generated-spiffe-id.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'
import { spiffeIds } from './spiffe-id-resource.ts'

export interface GeneratedSpiffeIdsOptions {
  readonly client: Pick<KubernetesClient, 'create' | 'patch' | 'delete'>
  readonly pod: (namespace: string, name: string) => ObservedPod | undefined
  readonly node: (name: string) => ObservedNode | undefined
  /** The SpiffeID of a name, as last seen. */
  readonly existing: (namespace: string, name: string) => SpiffeIdResource | undefined
  /** What a pod's or a node's entry is to say; its SpiffeID says the same. */
  readonly renderPod: (pod: ObservedPod) => Rendering
  readonly renderNode: (node: ObservedNode) => Rendering
  /** The registrar's own, where the SpiffeIDs of nodes are. */
  readonly namespace: string
  readonly cluster: string
  /** Told where a pod or node cannot have its SpiffeID, for its events; again whenever it is looked at. */
  readonly onObstacle: (object: ObservedPod | ObservedNode, reason: string, message: string) => void
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** How many SpiffeIDs are written at once. */
const workers = 16

/** An object and the SpiffeID that it should have; undefined where it should have none. */
interface Wanted {
  readonly kind: 'Pod' | 'Node'
  readonly object: ObservedPod | ObservedNode
  readonly namespace: string
  readonly spiffeId: GeneratedSpiffeId | undefined
}

/**
 * Makes a SpiffeID for each pod and node that is to have an identity, and keeps it as the object demands.
 *
 * Those of objects that are gone are left to the API server's garbage collector, which looks twice.
 */
export class GeneratedSpiffeIds {
  readonly #options: GeneratedSpiffeIdsOptions
  readonly #queue: WorkQueue

  constructor(options: GeneratedSpiffeIdsOptions) {
    this.#options = options
    const { clock, log, random } = options
    this.#queue = new WorkQueue({
      work: (key, signal) => this.#work(key, signal),
      workers,
      onFailure: (key, error) =>
        log.warn({ error, object: key }, 'the SpiffeID of an object cannot be written, it is tried again'),
      clock,
      log,
      ...(random && { random }),
    })
  }

  podChanged({ namespace, name }: Pick<ObservedPod, 'namespace' | 'name'>): void {
    this.#queue.add(`pod/${namespace}/${name}`)
  }

  nodeChanged({ name }: Pick<ObservedNode, 'name'>): void {
    this.#queue.add(`node/${name}`)
  }

  /** Whichever object has the name of a SpiffeID that has changed. */
  spiffeIdChanged({ namespace, name }: Pick<SpiffeIdResource, 'namespace' | 'name'>): void {
    const { pod, node } = this.#options
    if (pod(namespace, name) !== undefined) this.podChanged({ namespace, name })
    if (namespace === this.#options.namespace && node(name) !== undefined) this.nodeChanged({ name })
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  async #work(key: string, signal: AbortSignal): Promise<undefined> {
    const [kind, ...name] = key.split('/')
    const wanted = kind === 'pod' ? this.#wantedOfPod(name[0] ?? '', name[1] ?? '') : this.#wantedOfNode(name[0] ?? '')
    if (wanted === undefined) return undefined
    const { object, namespace, spiffeId } = wanted
    const existing = this.#options.existing(namespace, object.name)
    const step = generatedStep(wanted.kind, object.uid, spiffeId, existing)
    if (step.is === 'conflict') this.#options.onObstacle(object, 'SpiffeIDConflict', step.message)
    else await this.#take(step, namespace, object.name, signal)
    return undefined
  }

  /** @returns undefined where nothing is to be done: the pod is gone, or what it should have cannot be told */
  #wantedOfPod(namespace: string, name: string): Wanted | undefined {
    const object = this.#options.pod(namespace, name)
    if (object === undefined) return undefined
    const rendering = this.#options.renderPod(object)
    const base = { kind: 'Pod', object, namespace } as const
    if (rendering.is === 'none') return { ...base, spiffeId: undefined }
    if (rendering.is === 'entry') return { ...base, spiffeId: podSpiffeId(object, rendering.spec) }
    this.#options.onObstacle(object, 'IdentityInvalid', rendering.problem)
    return undefined
  }

  #wantedOfNode(name: string): Wanted | undefined {
    const object = this.#options.node(name)
    if (object === undefined) return undefined
    const { namespace, cluster, renderNode, onObstacle } = this.#options
    const rendering = renderNode(object)
    const base = { kind: 'Node', object, namespace } as const
    if (rendering.is === 'none') return { ...base, spiffeId: undefined }
    if (rendering.is === 'entry') {
      return { ...base, spiffeId: nodeSpiffeId(object, namespace, cluster, rendering.spec) }
    }
    onObstacle(object, 'IdentityInvalid', rendering.problem)
    return undefined
  }

  async #take(
    step: Exclude<GeneratedStep, { is: 'conflict' }>,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { client } = this.#options
    try {
      if (step.is === 'create') await client.create(spiffeIds, step.object, { signal })
      if (step.is === 'change')
        await client.patch(spiffeIds, { namespace, name }, PatchType.merge, step.patch, { signal })
      if (step.is === 'delete')
        await client.delete(spiffeIds, { namespace, name }, { preconditions: { uid: step.uid }, signal })
    } catch (error) {
      if (!isOvertaken(error)) throw error
    }
  }
}

/**
 * Whether the world has gone on since it was last seen: the SpiffeID or its namespace is gone or going, or there is one of the name
 * already. The watch tells of it, and then the object is looked at again.
 */
function isOvertaken(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false
  if (error.status === 404 || error.status === 409) return true
  const causes = error.details.causes ?? []
  const isEnding = error.status === 403 && causes.some(({ reason }) => reason === 'NamespaceTerminating')
  return isEnding || (error.status === 422 && causes.some(({ field }) => field === 'metadata.uid'))
}
