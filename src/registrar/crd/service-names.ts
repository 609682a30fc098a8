import { serviceDnsNames } from '../desired/dns-names.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { ObservedPod } from '../observed.ts'
import type { SeenObjects } from '../seen-objects.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'

/** The names of the services that lead to the pod that a SpiffeID is for, by its label; only of its own namespace. */
export function serviceNamesOf(
  { namespace, name, podUid }: SpiffeIdResource,
  { disabledNamespaces }: Pick<IdentityRules, 'disabledNamespaces'>,
  objects: SeenObjects,
): readonly string[] {
  if (podUid === undefined || disabledNamespaces.has(namespace)) return []
  const pod = podOf(objects, namespace, name, podUid)
  if (pod === undefined) return []
  const addresses = objects.addresses(namespace, pod.name).filter((address) => address.podUid === podUid)
  return serviceDnsNames(namespace, addresses)
}

/** @param name - that it has nearly always, as its SpiffeID has it */
function podOf(objects: SeenObjects, namespace: string, name: string, uid: string): ObservedPod | undefined {
  const named = objects.pod(namespace, name)
  if (named?.uid === uid) return named
  return objects.pods().find((pod) => pod.uid === uid && pod.namespace === namespace)
}
