import { isDeepStrictEqual } from 'node:util'
import type { Selector } from '../../spire/entry.ts'
import type { SpiffeIdObject, SpiffeIdSelector, SpiffeIdSpec } from './spiffe-id-resource.ts'
import { podUidLabel } from './spiffe-id-resource.ts'

/** What is kept of a SpiffeID. */
export interface SpiffeIdResource {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** Its deletion has begun. */
  readonly terminating: boolean
  readonly finalizers: readonly string[]
  /** The label `podUid`: the pod that it was made for. Undefined where there is none. */
  readonly podUid: string | undefined
  /** The object that controls it; undefined for one that a person made. */
  readonly controller: { readonly kind: string; readonly name: string; readonly uid: string } | undefined
  /** What it asks for, or what of it cannot be read, a sentence each. */
  readonly spec: SpiffeIdSpec | { readonly problems: readonly string[] }
  readonly status: NonNullable<SpiffeIdObject['status']>
}

/** Text fields of `spec.selector`, in the order in which their selectors are made. */
const textSelectors = [
  'cluster',
  'agent_node_uid',
  'podName',
  'podUid',
  'namespace',
  'serviceAccount',
  'containerName',
  'containerImage',
  'nodeName',
] as const

/**
 * Reads a SpiffeID as it arrives. The API server's schema lets little through that is wrong, but it may be another schema than ours,
 * so nothing is taken for granted. Never throws.
 */
export function readSpiffeId(object: SpiffeIdObject): SpiffeIdResource {
  const { metadata, status } = object
  const controller = metadata.ownerReferences?.find((owner) => owner.controller === true)
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
    terminating: metadata.deletionTimestamp !== undefined,
    finalizers: metadata.finalizers ?? [],
    podUid: metadata.labels?.[podUidLabel],
    controller: controller && { kind: controller.kind, name: controller.name, uid: controller.uid },
    spec: readSpec(object.spec),
    status: status ?? {},
  }
}

/** Reads `spec`, all mistakes at once. */
export function readSpec(spec: unknown): SpiffeIdSpec | { readonly problems: readonly string[] } {
  if (!isRecord(spec)) return { problems: ['spec is missing'] }
  const problems: string[] = []
  const text = (value: unknown, path: string): string | undefined => {
    if (value === undefined || value === null || typeof value === 'string') return value ?? undefined
    problems.push(`${path} must be a text`)
    return undefined
  }
  const texts = (value: unknown, path: string): readonly string[] | undefined => {
    if (value === undefined || value === null) return undefined
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
    problems.push(`${path} must be a list of texts`)
    return undefined
  }
  const required = (name: 'spiffeId' | 'parentId'): string => {
    const value = text(spec[name], `spec.${name}`)
    if (value === undefined && !isWrong(spec[name])) problems.push(`spec.${name} is missing`)
    return value ?? ''
  }
  const spiffeId = required('spiffeId')
  const parentId = required('parentId')
  const fields = isRecord(spec['selector']) ? spec['selector'] : {}
  if (!isRecord(spec['selector'])) problems.push('spec.selector must be an object')
  const selector: Record<string, unknown> = {}
  for (const name of textSelectors) {
    const value = text(fields[name], `spec.selector.${name}`)
    // As SPIRE's registrar reads them: an empty text is none.
    if (value) selector[name] = value
  }
  const arbitrary = texts(fields['arbitrary'], 'spec.selector.arbitrary')
  if (arbitrary !== undefined) selector['arbitrary'] = arbitrary
  const labels = fields['podLabel']
  if (isRecord(labels) && Object.values(labels).every((value) => typeof value === 'string'))
    selector['podLabel'] = labels
  else if (labels !== undefined && labels !== null)
    problems.push('spec.selector.podLabel must be an object whose values are texts')
  const dnsNames = texts(spec['dnsNames'], 'spec.dnsNames')
  const federatesWith = texts(spec['federatesWith'], 'spec.federatesWith')
  const { downstream } = spec
  if (downstream !== undefined && downstream !== null && typeof downstream !== 'boolean')
    problems.push('spec.downstream must be true or false')
  if (problems.length > 0) return { problems }
  return {
    spiffeId,
    parentId,
    selector,
    ...(dnsNames !== undefined && { dnsNames }),
    ...(federatesWith !== undefined && { federatesWith }),
    ...(downstream === true && { downstream }),
  }
}

/** Whether a spec could be read. */
export function isReadable(spec: SpiffeIdResource['spec']): spec is SpiffeIdSpec {
  return !('problems' in spec)
}

/** The selectors that SPIRE's registrar makes of `spec.selector`, in its order, each once: the server refuses doubles. */
export function selectorsOf(selector: SpiffeIdSelector): readonly Selector[] {
  const { cluster, agent_node_uid, podLabel = {}, arbitrary = [] } = selector
  const named: readonly (readonly [type: string, name: string, value: string | undefined])[] = [
    ['k8s_psat', 'cluster', cluster],
    ['k8s_psat', 'agent_node_uid', agent_node_uid],
    ...Object.entries(podLabel).map(([key, value]) => ['k8s', 'pod-label', `${key}:${value}`] as const),
    ['k8s', 'pod-name', selector.podName],
    ['k8s', 'pod-uid', selector.podUid],
    ['k8s', 'ns', selector.namespace],
    ['k8s', 'sa', selector.serviceAccount],
    ['k8s', 'container-name', selector.containerName],
    ['k8s', 'container-image', selector.containerImage],
    ['k8s', 'node-name', selector.nodeName],
  ]
  const selectors = named.flatMap(([type, name, value]) =>
    value === undefined ? [] : [{ type, value: `${name}:${value}` }],
  )
  const all = [...selectors, ...arbitrary.map((value) => ({ type: 'k8s', value }))]
  return all.filter((one, index) => all.findIndex((other) => isDeepStrictEqual(one, other)) === index)
}

function isWrong(value: unknown): boolean {
  return value !== undefined && value !== null && typeof value !== 'string'
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
