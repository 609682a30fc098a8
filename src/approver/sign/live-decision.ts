import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { PodCertificateRequest } from '../../kubernetes/certificates.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { KubernetesObject, ObjectName } from '../../kubernetes/object.ts'
import { pods, type Resource } from '../../kubernetes/resource.ts'
import { type Decision, decide, type Question } from '../decide.ts'
import { namespaces, serviceAccounts, services } from '../live/resources.ts'
import { type LiveObjects, liveObjectsOf, type Service } from '../live-objects.ts'

/** What decides beside the request and the objects around it. */
export type Ground = Pick<Question, 'policies' | 'unready' | 'keys' | 'settings' | 'now'>

/**
 * Decides a pod's request on objects that are read for it now: the pod, its service account and namespace, and the namespace's
 * Services. Nobody looks at such a request between this and its signature.
 *
 * @param ground - called once everything is read
 * @throws {ApiError | ConnectionError} where something cannot be read
 */
export async function decideOnLiveObjects(
  client: Pick<KubernetesClient, 'get' | 'list'>,
  object: PodCertificateRequest,
  ground: () => Ground,
  signal: AbortSignal,
): Promise<Decision> {
  const live = await readSurroundings(client, object, signal)
  return decide({ request: { kind: 'PodCertificateRequest', object }, live, ...ground() })
}

async function readSurroundings(
  client: Pick<KubernetesClient, 'get' | 'list'>,
  { metadata: { namespace = '' }, spec: { podName, serviceAccountName } }: PodCertificateRequest,
  signal: AbortSignal,
): Promise<LiveObjects> {
  const find = async (resource: Resource, name: ObjectName): Promise<readonly KubernetesObject[]> => {
    try {
      return [{ ...(await client.get(resource, name, { signal })), kind: resource.kind }]
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return []
      throw error
    }
  }
  const ofNamespace = async (): Promise<readonly KubernetesObject[]> => {
    const { items } = await client.list(services, { namespace, signal })
    return items.map(asService)
  }
  const read = await Promise.all([
    find(pods, { namespace, name: podName }),
    find(serviceAccounts, { namespace, name: serviceAccountName }),
    find(namespaces, { name: namespace }),
    ofNamespace(),
  ])
  return liveObjectsOf(read.flat())
}

/** Items of a list come without their kind. */
function asService(service: Service): KubernetesObject {
  return { ...service, kind: services.kind }
}
