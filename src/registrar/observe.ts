import type { KubernetesObject, Pod } from '../kubernetes/object.ts'
import { federationAnnotation } from './desired/federation.ts'
import type { IdentityRules } from './desired/identity-rules.ts'
import type { ObservedNode, ObservedPod } from './observed.ts'

/** Which labels and annotations are kept of an object: the configuration's own, not the many that pods have for others. */
export interface KeptKeys {
  readonly labels: readonly string[]
  readonly annotations: readonly string[]
}

/** What the rules ask pods for. */
export function keptKeys({ identity }: Pick<IdentityRules, 'identity'>): KeptKeys {
  switch (identity.by) {
    case 'label':
      return { labels: [identity.key], annotations: [federationAnnotation] }
    case 'annotation':
      return { labels: [], annotations: [identity.key, federationAnnotation] }
    case 'template':
      return { labels: identity.label === undefined ? [] : [identity.label], annotations: [federationAnnotation] }
    case 'service-account':
      return { labels: [], annotations: [federationAnnotation] }
    default:
      return identity satisfies never
  }
}

const mirrorAnnotation = 'kubernetes.io/config.mirror'
const phases: readonly ObservedPod['phase'][] = ['Pending', 'Running', 'Succeeded', 'Failed']

/** Keeps of a pod what the registrar reads. Never throws: what is absent is empty. */
export function observePod({ metadata, spec = {}, status = {} }: Pod, keys: KeptKeys): ObservedPod {
  const terminating = metadata.deletionTimestamp !== undefined
  const phase = phases.find((known) => known === status.phase) ?? 'Unknown'
  const containers = status.containerStatuses ?? []
  // A container that has ended may be started again, until the pod is deleted or has completed.
  const allEnded = containers.length > 0 && containers.every(({ state }) => state?.terminated !== undefined)
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    labels: pick(metadata.labels, keys.labels),
    annotations: pick(metadata.annotations, keys.annotations),
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
    terminating,
    phase,
    nodeName: spec.nodeName ?? '',
    serviceAccount: spec.serviceAccountName ?? '',
    hostname: spec.hostname ?? '',
    ip: status.podIP ?? '',
    mirror: metadata.annotations?.[mirrorAnnotation] !== undefined,
    ended: phase === 'Succeeded' || phase === 'Failed' || (terminating && allEnded),
  }
}

/** Keeps of a node what the registrar reads. */
export function observeNode({ metadata }: KubernetesObject): ObservedNode {
  return {
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    annotations: pick(metadata.annotations, [federationAnnotation]),
    terminating: metadata.deletionTimestamp !== undefined,
  }
}

function pick(
  values: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {}
  for (const key of keys) {
    const value = values !== undefined && Object.hasOwn(values, key) ? values[key] : undefined
    // Not by assignment: a label may be called __proto__.
    if (value !== undefined) Object.defineProperty(kept, key, { value, enumerable: true })
  }
  return kept
}
