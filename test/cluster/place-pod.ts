import type { ClusterAccess } from './cluster.ts'
import { kubectl } from './kubectl.ts'
import type { Pod } from './pod.ts'
import { ServiceAddress } from './service-address.ts'

/**
 * Does for a pod what a cluster's scheduler and kube-proxy do: gives it its node, and leads it to the API server. It need not run yet
 * when this resolves.
 *
 * @returns what is to be closed after the pod
 */
export async function placePod({ controlPlane, node }: ClusterAccess, pod: Pod): Promise<ServiceAddress> {
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: pod.name },
    target: { apiVersion: 'v1', kind: 'Node', name: node.name },
  }
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/binding`
  await kubectl(controlPlane, ['create', '--raw', path, '-f', '-'], JSON.stringify(binding))
  return ServiceAddress.open(controlPlane, pod)
}

/** Pods with a label that are not being deleted. */
export async function podsWith(
  { controlPlane }: ClusterAccess,
  namespace: string,
  label: string,
): Promise<readonly Pod[]> {
  const listed = await kubectl(controlPlane, ['get', 'pods', '-n', namespace, '-l', label, '-o', 'json'])
  const { items } = JSON.parse(listed) as {
    readonly items: readonly { readonly metadata: Pod & { readonly deletionTimestamp?: string } }[]
  }
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata: { name, uid } }) => ({ namespace, name, uid }))
}
