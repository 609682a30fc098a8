import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { CrdConfig } from '../config/registrar-config.ts'
import { configuredSource } from '../crd/configured-source.ts'
import { generatedNodeRendering, generatedPodRendering } from '../crd/generated-rendering.ts'
import {
  type GeneratedSpiffeId,
  generatedObject,
  generatedStep,
  nodeSpiffeId,
  podSpiffeId,
} from '../crd/generated-spiffe-id.ts'
import { readSpiffeId, type SpiffeIdResource } from '../crd/read-spiffe-id.ts'
import { podUidLabel, spiffeIdKey } from '../crd/spiffe-id-resource.ts'
import type { SpiffeIdSource } from '../crd/spiffe-id-source.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { nodeKey, podKey } from '../live/object-keys.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { Rendering } from '../rendering.ts'
import type { SeenObjects, ServedPods } from '../seen-objects.ts'
import type { ClusterListing } from './cluster-snapshot.ts'

export interface SpiffeIdPlanOptions {
  readonly config: CrdConfig
  readonly rules: IdentityRules
  readonly namespace: string
  readonly ownId: string | undefined
  readonly listing: Pick<ClusterListing, 'spiffeIds'>
  readonly objects: SeenObjects & ServedPods
  readonly bundles: ReadonlySet<string> | undefined
  readonly client: Pick<KubernetesClient, 'get' | 'pages'>
  readonly now: number
}

/** What is to be written to SpiffeIDs that the registrar makes for pods and nodes. Objects are named `pod/…` and `node/…`. */
export interface SpiffeIdPlan {
  readonly steps: readonly SpiffeIdStep[]
  readonly problems: readonly { readonly key: string; readonly problem: string }[]
  /** Pods that get none. */
  readonly without: readonly { readonly key: string; readonly reason: string }[]
}

export interface SpiffeIdStep {
  readonly is: 'create' | 'change' | 'delete'
  /** `<namespace>/<name>`. */
  readonly name: string
  /** Whose it is. */
  readonly key: string
}

/** Compares the SpiffeIDs of pods and nodes with those that they should have, and shows a source all of them as they are to be. */
export function planSpiffeIds(options: SpiffeIdPlanOptions): SpiffeIdPlan & { readonly resources: SpiffeIdSource } {
  const { config, rules, namespace, listing, objects, bundles } = options
  const after = new Map(listing.spiffeIds.map((resource) => [spiffeIdKey(resource), resource]))
  const plan = { steps: [], problems: [], without: [] }
  if (config.podController) {
    const { cluster } = config
    for (const node of objects.nodes()) {
      const wanted = wantedOf(generatedNodeRendering(rules, node), (spec) =>
        nodeSpiffeId(node, namespace, cluster, spec),
      )
      planOne({ kind: 'Node', object: node, key: nodeKey(node.name), namespace, wanted }, after, plan, options.now)
    }
    for (const pod of objects.pods()) {
      const wanted = wantedOf(generatedPodRendering(rules, pod), (spec) => podSpiffeId(pod, spec))
      const key = podKey(pod.namespace, pod.name)
      planOne({ kind: 'Pod', object: pod, key, namespace: pod.namespace, wanted }, after, plan, options.now)
    }
  }
  const resources = configuredSource({ ...options, bundles: () => bundles, objects: () => objects })
  for (const resource of after.values()) resources.show(resource)
  return { ...plan, resources }
}

type Wanted = Exclude<Rendering, { is: 'entry' }> | { readonly is: 'entry'; readonly spiffeId: GeneratedSpiffeId }

function wantedOf(
  rendering: Rendering,
  make: (spec: Extract<Rendering, { is: 'entry' }>['spec']) => GeneratedSpiffeId,
): Wanted {
  return rendering.is === 'entry' ? { is: 'entry', spiffeId: make(rendering.spec) } : rendering
}

interface Asking {
  readonly kind: 'Pod' | 'Node'
  readonly object: ObservedPod | ObservedNode
  readonly key: string
  /** Of its SpiffeID. */
  readonly namespace: string
  readonly wanted: Wanted
}

/** Plans that are being made. */
interface Lists {
  readonly steps: SpiffeIdStep[]
  readonly problems: { readonly key: string; readonly problem: string }[]
  readonly without: { readonly key: string; readonly reason: string }[]
}

function planOne(
  { kind, object, key, namespace, wanted }: Asking,
  after: Map<string, SpiffeIdResource>,
  { steps, problems, without }: Lists,
  now: number,
): void {
  if (wanted.is === 'problem') {
    problems.push({ key, problem: wanted.problem })
    return
  }
  if (wanted.is === 'none') without.push({ key, reason: wanted.reason })
  const spiffeId = wanted.is === 'entry' ? wanted.spiffeId : undefined
  const at = spiffeIdKey({ namespace, name: object.name })
  const existing = after.get(at)
  const step = generatedStep(kind, object.uid, spiffeId, existing)
  const name = `${namespace}/${object.name}`
  if (step.is === 'nothing') return
  if (step.is === 'conflict') {
    problems.push({ key, problem: step.message })
    return
  }
  steps.push({ is: step.is, name, key })
  if (step.is === 'delete') after.delete(at)
  // One of a former pod of the name goes first, and then comes this one's.
  if (step.is === 'delete' && spiffeId !== undefined) steps.push({ is: 'create', name, key })
  if (spiffeId === undefined) return
  after.set(at, step.is === 'change' && existing ? changed(existing, spiffeId) : created(spiffeId, now))
}

/** As the API server would show it. */
function created(spiffeId: GeneratedSpiffeId, now: number): SpiffeIdResource {
  const { metadata, ...rest } = generatedObject(spiffeId)
  const uid = `new-${spiffeId.namespace}-${spiffeId.name}`
  const creationTimestamp = new Date(now).toISOString()
  return readSpiffeId({ ...rest, metadata: { ...metadata, uid, creationTimestamp, generation: 1 } })
}

function changed(existing: SpiffeIdResource, { spec, labels }: GeneratedSpiffeId): SpiffeIdResource {
  const podUid = labels[podUidLabel] ?? existing.podUid
  return { ...existing, spec, podUid, generation: existing.generation + 1 }
}
