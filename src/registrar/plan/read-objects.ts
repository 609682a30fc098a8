import type { Endpoints, EndpointSlice, KubernetesObject } from '../../kubernetes/object.ts'
import { child, type Field, isObject, items, readManifest } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import type { Source } from '../../manifest/source.ts'
import { readSpiffeId, type SpiffeIdResource } from '../crd/read-spiffe-id.ts'
import { type KeptKeys, observeNode, observePod } from '../observe.ts'
import type { ObservedNode, ObservedPod } from '../observed.ts'
import type { ClusterListing } from './cluster-snapshot.ts'

/** What manifests hold of a cluster. */
export interface ObjectsReading {
  readonly listing: ClusterListing
  /** Kinds of objects that no identity depends on, and how many there were. */
  readonly ignored: ReadonlyMap<string, number>
  readonly problems: readonly Problem[]
}

/** An object, and of which kind it is. */
interface Found {
  readonly value: KubernetesObject
  readonly kind: string
}

/**
 * Reads objects as kubectl prints them: YAML or JSON, single objects or lists. JSON is read many times faster, which matters for a
 * whole cluster.
 *
 * @param keys - what is kept of labels and annotations
 */
export function readObjects(sources: readonly Source[], keys: KeptKeys): ObjectsReading {
  const pods: ObservedPod[] = []
  const nodes: ObservedNode[] = []
  const endpointSlices: EndpointSlice[] = []
  const endpoints: Endpoints[] = []
  const spiffeIds: SpiffeIdResource[] = []
  // What is of a kind has its shape: only what would break a reader was looked at.
  const takers: Readonly<Record<string, (object: KubernetesObject) => void>> = {
    Pod: (pod) => pods.push(observePod(pod, keys)),
    Node: (node) => nodes.push(observeNode(node)),
    EndpointSlice: (slice) => endpointSlices.push(slice),
    Endpoints: (older) => endpoints.push(older),
    SpiffeID: (spiffeId) => spiffeIds.push(readSpiffeId(spiffeId)),
  }
  const ignored = new Map<string, number>()
  const problems: Problem[] = []
  const take = ({ kind, value }: Found): void => {
    const taker = Object.hasOwn(takers, kind) ? takers[kind] : undefined
    if (taker === undefined) ignored.set(kind, (ignored.get(kind) ?? 0) + 1)
    else taker(value)
  }
  for (const source of sources) {
    const fast = fromJson(source.text)
    if (fast !== undefined) {
      for (const found of fast) take(found)
      continue
    }
    const manifest = readManifest(source)
    problems.push(...manifest.problems)
    for (const document of manifest.documents) {
      for (const field of objectsIn(document, '')) {
        const found = foundIn(field.field.value, field.kind)
        if (typeof found === 'string') problems.push({ location: field.field.location, message: found })
        else take(found)
      }
    }
  }
  return { listing: { pods, nodes, endpointSlices, endpoints, spiffeIds }, ignored, problems }
}

/** @returns undefined where the text is no single JSON value, or something in it is wrong: the slow way knows where */
function fromJson(text: string): readonly Found[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const found = flatten(value, '').map(({ value: item, kind }) => foundIn(item, kind))
  return found.some((one) => typeof one === 'string') ? undefined : (found as Found[])
}

/** A list of kubectl is its items; those of `PodList` are Pods that do not say so. */
function flatten(value: unknown, kind: string): readonly { readonly value: unknown; readonly kind: string }[] {
  const items = isObject(value) ? value['items'] : undefined
  if (!Array.isArray(items)) return [{ value, kind }]
  return items.flatMap((item: unknown) => flatten(item, itemKind(value)))
}

function objectsIn(field: Field, kind: string): readonly { readonly field: Field; readonly kind: string }[] {
  const list = child(field, 'items')
  if (!Array.isArray(list.value)) return [{ field, kind }]
  return items(list).flatMap((item) => objectsIn(item, itemKind(field.value)))
}

function itemKind(list: unknown): string {
  const kind = isObject(list) ? list['kind'] : undefined
  return typeof kind === 'string' && kind !== 'List' ? kind.replace(/List$/, '') : ''
}

/** @returns what is wrong with the object, as a clause about it */
function foundIn(value: unknown, listed: string): Found | string {
  if (!isObject(value)) return 'is no object of Kubernetes'
  const kind = value['kind'] ?? listed
  if (typeof kind !== 'string' || kind === '') return 'has no kind'
  const { metadata } = value
  if (!isObject(metadata) || typeof metadata['name'] !== 'string') return 'has no metadata.name'
  const problem = shapeProblem(value, metadata)
  if (problem !== undefined) return problem
  // The API server would put an object without a namespace there.
  const namespace = kind === 'Node' ? undefined : (metadata['namespace'] ?? 'default')
  const { spec, status, ...rest } = value
  const object = {
    ...rest,
    metadata: { ...metadata, namespace },
    ...(isObject(spec) && { spec }),
    ...(isObject(status) && { status }),
  }
  return { kind, value: object as unknown as KubernetesObject }
}

/** What the API server would refuse, and readers of objects do not expect. */
function shapeProblem(
  object: Readonly<Record<string, unknown>>,
  metadata: Readonly<Record<string, unknown>>,
): string | undefined {
  const { spec, status } = object
  for (const [name, part] of Object.entries({ spec, status })) {
    if (part !== undefined && part !== null && !isObject(part)) return `has a ${name} that is no object`
  }
  for (const name of ['labels', 'annotations']) {
    const texts = metadata[name] ?? {}
    if (!isObject(texts)) return `has a metadata.${name} that is no object`
    const odd = Object.keys(texts).find((key) => typeof texts[key] !== 'string')
    if (odd !== undefined) return `has a value of metadata.${name} that is no text, of ${odd}: it may need quotes`
  }
  const texts = [
    ['metadata', metadata, ['namespace', 'uid', 'creationTimestamp', 'deletionTimestamp']],
    ['spec', spec, ['nodeName', 'serviceAccountName', 'hostname']],
    ['status', status, ['phase', 'podIP']],
  ] as const
  for (const [place, part, names] of texts) {
    const odd = isObject(part) && names.find((name) => part[name] !== undefined && typeof part[name] !== 'string')
    if (odd) return `has a ${place}.${odd} that is no text`
  }
  const statuses = isObject(status) ? (status['containerStatuses'] ?? []) : []
  const isRead = Array.isArray(statuses) && statuses.every(isObject)
  return isRead ? undefined : 'has status.containerStatuses that are no list of objects'
}
