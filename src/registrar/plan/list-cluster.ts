import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import { endpointSlices, nodes, pods, type Resource } from '../../kubernetes/resource.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import { readSpiffeId } from '../crd/read-spiffe-id.ts'
import { spiffeIds } from '../crd/spiffe-id-resource.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import { keptKeys, observeNode, observePod } from '../observe.ts'
import type { ClusterListing } from './cluster-snapshot.ts'

/**
 * Lists what a registrar watches: pods, nodes, and as its configuration needs them, EndpointSlices and SpiffeIDs.
 *
 * @throws {import('../../kubernetes/errors.ts').ApiError}
 */
export async function listCluster(
  client: Pick<KubernetesClient, 'pages'>,
  { mode }: Pick<RegistrarConfig, 'mode'>,
  rules: IdentityRules,
  signal: AbortSignal,
): Promise<ClusterListing> {
  const keys = keptKeys(rules)
  const all = async <T extends KubernetesObject, Kept>(
    resource: Resource<T>,
    keep: (object: T) => Kept,
    metadataOnly = false,
  ): Promise<readonly Kept[]> => {
    const kept: Kept[] = []
    // Each page is let go of: a cluster's pods are many, and little of each is kept.
    for await (const { items } of client.pages(resource, { signal, metadataOnly })) kept.push(...items.map(keep))
    return kept
  }
  const [listedPods, listedNodes, slices, resources] = await Promise.all([
    all(pods, (pod) => observePod(pod, keys)),
    all(nodes, observeNode, true),
    usesAddresses(rules) ? all(endpointSlices, (slice) => slice) : [],
    mode === 'crd' ? all(spiffeIds, readSpiffeId) : [],
  ])
  return { pods: listedPods, nodes: listedNodes, endpointSlices: slices, endpoints: [], spiffeIds: resources }
}

/** Whether anything depends on the addresses of services: DNS names are made of them, and nothing else is. */
export function usesAddresses({ names }: Pick<IdentityRules, 'names'>): boolean {
  return names.by === 'cluster dns' || (names.by === 'templates' && names.services)
}
