import { podReference, type EventRecorder } from '../../kubernetes/events.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { ObjectReference } from '../../kubernetes/object.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { apiVersionOf } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { CrdConfig } from '../config/registrar-config.ts'
import { type IdentityRules, identityRules } from '../desired/identity-rules.ts'
import { keptKeys } from '../observe.ts'
import { federationWishes } from '../desired/federation.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import { configuredSource } from '../crd/configured-source.ts'
import { generatedNodeRendering, generatedPodRendering } from '../crd/generated-rendering.ts'
import { GeneratedSpiffeIds } from '../crd/generated-spiffe-ids.ts'
import { isReadable, readSpiffeId, type SpiffeIdResource } from '../crd/read-spiffe-id.ts'
import { SpiffeIdKeeper } from '../crd/spiffe-id-keeper.ts'
import { spiffeIdKey, type SpiffeIdObject, spiffeIds } from '../crd/spiffe-id-resource.ts'
import type { SpiffeIdSource } from '../crd/spiffe-id-source.ts'
import { type Standing, standingOf, statusPatch } from '../crd/spiffe-id-status.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { ClusterObjects } from './cluster-objects.ts'
import type { FollowedObjects, Surroundings } from './followed-objects.ts'
import { ServiceWatch } from './service-watch.ts'
import { type WatchedKind, watchedKind } from './watched-kind.ts'

export interface SpiffeIdObjectsOptions extends Surroundings {
  readonly client: Pick<KubernetesClient, 'get' | 'pages' | 'watch' | 'create' | 'patch' | 'delete'>
  readonly config: CrdConfig
  /** The registrar's own. */
  readonly namespace: string
  /** The registrar's own SPIFFE ID, where it has one. */
  readonly ownId: string | undefined
  readonly events: Pick<EventRecorder, 'record'>
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** How long a SpiffeID that is deleted may wait for its entry to be deleted, in milliseconds. */
const finalizerPatience = 60_000

/** What writes to SpiffeIDs while the process leads. */
interface Writers {
  readonly keeper: SpiffeIdKeeper
  readonly generated: GeneratedSpiffeIds | undefined
}

/** SpiffeIDs, and the pods, nodes and services that they are made of, as the cluster shows them: of these no more than are needed. */
export class SpiffeIdObjects implements FollowedObjects {
  readonly rules: IdentityRules
  readonly synced: Promise<void>
  readonly watches: readonly WatchedKind[]
  readonly source: SpiffeIdSource
  readonly #options: SpiffeIdObjectsOptions
  /** Of what SpiffeIDs are made. */
  readonly #cluster: ClusterObjects | undefined
  /** Of what names are made. */
  readonly #services: ServiceWatch | undefined
  readonly #spiffeIds: Reflector<SpiffeIdObject, SpiffeIdResource>
  #writers: Writers | undefined

  /** @throws {import('../template/pod-template.ts').PodTemplateError} */
  constructor(options: SpiffeIdObjectsOptions) {
    this.#options = options
    const { client, config, namespace, ownId, bundles, onDirty, clock, log } = options
    const rules = identityRules(config, ownId)
    this.rules = rules
    this.source = configuredSource({
      config,
      rules,
      namespace,
      ownId,
      client,
      bundles,
      objects: () => ({ addressesOfPod: (of, uid) => this.#services?.addresses(of, uid) ?? [] }),
    })
    const cluster = config.podController
      ? new ClusterObjects({
          client,
          keys: keptKeys(rules),
          withAddresses: false,
          onPod: (of, name) => this.#writers?.generated?.podChanged({ namespace: of, name }),
          onNode: (name) => this.#writers?.generated?.nodeChanged({ name }),
          clock,
          log,
        })
      : undefined
    const onPod = (of: string, uid: string): void => {
      for (const key of this.source.ofPod(`${of}/${uid}`)) onDirty(key)
    }
    const services = config.serviceDnsNames ? new ServiceWatch({ client, by: 'uid', onPod, clock, log }) : undefined
    this.#cluster = cluster
    this.#services = services
    this.#spiffeIds = new Reflector<SpiffeIdObject, SpiffeIdResource>({
      client,
      resource: spiffeIds,
      transform: readSpiffeId,
      handler: {
        added: (_, resource) => this.#shown(resource, undefined),
        modified: (_, resource, before) => this.#shown(resource, before),
        deleted: (resource) => this.#gone(resource),
      },
      clock,
      log,
    })
    this.watches = [
      watchedKind('SpiffeIDs', this.#spiffeIds),
      ...(cluster?.watches ?? []),
      ...(services === undefined ? [] : [services.watch]),
    ]
    this.synced = Promise.all([this.#spiffeIds.synced, cluster?.synced, services?.synced]).then(() => {})
    // Not everyone waits for it.
    this.synced.catch(() => {})
  }

  get federates(): boolean {
    for (const { spec } of this.#spiffeIds.values()) {
      if (isReadable(spec) && spec.federatesWith !== undefined && spec.federatesWith.length > 0) return true
    }
    return false
  }

  wishes(key: string): readonly string[] {
    const spec = this.source.get(key)?.spec
    if (spec === undefined || !isReadable(spec)) return []
    return federationWishes(spec.federatesWith?.map((name) => name.trim()) ?? [], this.rules.trustDomain)
  }

  settled(key: string, outcome: KeyOutcome): void {
    const { source } = this
    if (source.settled(key, outcome)) this.#options.onDirty(key)
    const resource = source.get(key)
    if (resource === undefined) return
    const standing = standingOf(outcome, source.violation(resource))
    this.#writers?.keeper.tell(key, resource, standing, outcome.is === 'unregistered')
    // What its status says already is no news.
    const isNews = statusPatch(resource, standing, resource.generation, this.#options.clock.now()) !== undefined
    if (isNews && !standing.isReady && !resource.terminating) this.#report(resource, standing)
  }

  /** Writes to SpiffeIDs until the signal aborts, and resolves when nothing is being written any more. */
  async lead(leading: AbortSignal): Promise<void> {
    if (leading.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    leading.addEventListener('abort', () => resolve(), { once: true })
    const writers = this.#openWriters()
    this.#writers = writers
    for (const key of this.source.keys()) writers.keeper.changed(key)
    for (const node of this.#cluster?.nodes() ?? []) writers.generated?.nodeChanged(node)
    for (const pod of this.#cluster?.pods() ?? []) writers.generated?.podChanged(pod)
    await promise
    this.#writers = undefined
    await Promise.all([writers.keeper.close(), writers.generated?.close()])
  }

  async close(): Promise<void> {
    await Promise.all([this.#spiffeIds.close(), this.#cluster?.close(), this.#services?.close()])
  }

  #openWriters(): Writers {
    const { client, config, namespace, clock, log, random } = this.#options
    const common = { client, clock, log, ...(random && { random }) }
    const get = (key: string): SpiffeIdResource | undefined => this.source.get(key)
    const keeper = new SpiffeIdKeeper({ ...common, get, patience: finalizerPatience })
    const cluster = this.#cluster
    if (cluster === undefined) return { keeper, generated: undefined }
    const generated = new GeneratedSpiffeIds({
      ...common,
      pod: (of, name) => cluster.pod(of, name),
      node: (name) => cluster.node(name),
      existing: (of, name) => this.#spiffeIds.get(name, of),
      renderPod: (pod) => generatedPodRendering(this.rules, pod),
      renderNode: (node) => generatedNodeRendering(this.rules, node),
      namespace,
      cluster: config.cluster,
      onObstacle: (object, reason, message) => this.#tell(referenceOf(object), reason, message),
    })
    return { keeper, generated }
  }

  #shown(resource: SpiffeIdResource, before: SpiffeIdResource | undefined): void {
    for (const key of this.source.show(resource)) this.#options.onDirty(key)
    this.#writers?.keeper.changed(spiffeIdKey(resource))
    const isSame =
      before?.generation === resource.generation &&
      before.podUid === resource.podUid &&
      before.controller?.uid === resource.controller?.uid
    if (!isSame) this.#writers?.generated?.spiffeIdChanged(resource)
  }

  #gone(resource: SpiffeIdResource): void {
    for (const key of this.source.remove(resource)) this.#options.onDirty(key)
    this.#writers?.keeper.changed(spiffeIdKey(resource))
    this.#writers?.generated?.spiffeIdChanged(resource)
  }

  /** Tells whoever made a SpiffeID, or the pod that it was made for. */
  #report(resource: SpiffeIdResource, { reason, message }: Standing): void {
    const { namespace, name, uid, controller } = resource
    const about: ObjectReference =
      controller?.kind === 'Pod'
        ? podReference({ namespace, name: controller.name, uid: controller.uid })
        : { apiVersion: apiVersionOf(spiffeIds), kind: spiffeIds.kind, namespace, name, uid }
    this.#tell(about, reason, message)
  }

  #tell(about: ObjectReference, reason: string, message: string): void {
    this.#options.events.record(about, { type: 'Warning', reason, message })
  }
}

function referenceOf(object: ObservedPod | ObservedNode): ObjectReference {
  if ('namespace' in object) return podReference(object)
  return { apiVersion: 'v1', kind: 'Node', name: object.name, uid: object.uid }
}
