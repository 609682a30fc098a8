import { serviceDnsNames } from '../desired/dns-names.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { ServedPods } from '../seen-objects.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'

/** The names of the services that lead to the pod that a SpiffeID is for, by its label; only of its own namespace. */
export function serviceNamesOf(
  { namespace, podUid }: Pick<SpiffeIdResource, 'namespace' | 'podUid'>,
  { disabledNamespaces }: Pick<IdentityRules, 'disabledNamespaces'>,
  objects: ServedPods,
): readonly string[] {
  if (podUid === undefined || disabledNamespaces.has(namespace)) return []
  return serviceDnsNames(namespace, objects.addressesOfPod(namespace, podUid))
}
