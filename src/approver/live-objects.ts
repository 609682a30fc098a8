import type { KubernetesObject, Pod } from '../kubernetes/object.ts'
import type { RequestObject } from './request/request-object.ts'

/** core/v1 Service, as far as the names of its pods depend on it. */
export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string
    readonly selector?: Readonly<Record<string, string>>
    readonly clusterIP?: string
    readonly clusterIPs?: readonly string[]
  }
}

/** core/v1 Node, as far as its own names go. */
export interface Node extends KubernetesObject {
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] }
}

/**
 * What is known of the cluster at the moment of a decision. Each answer may be undefined, where there is no such object or none was
 * seen yet: then a request waits. Answers must not change while one decision is made.
 */
export interface LiveObjects {
  pod(namespace: string, name: string): Pod | undefined
  podsOnNode(node: string): readonly Pod[]
  services(namespace: string): readonly Service[]
  node(name: string): Node | undefined
  namespace(name: string): KubernetesObject | undefined
  serviceAccount(namespace: string, name: string): KubernetesObject | undefined
  /** Whether RBAC lets who made a request `use` a policy, in the request's namespace (SubjectAccessReview); undefined where it was not asked. */
  mayUse(policy: string, request: RequestObject): boolean | undefined
}

/**
 * Answers from a list of objects, such as those of a file. Objects of kinds that nobody asks for are ignored.
 *
 * @param mayUse - names of the policies that every requester may use
 */
export function liveObjectsOf(
  objects: readonly KubernetesObject[],
  mayUse: ReadonlySet<string> = new Set(),
): LiveObjects {
  const find = (kind: string, name: string, namespace?: string): KubernetesObject | undefined =>
    objects.find(
      (object) =>
        object.kind === kind &&
        object.metadata.name === name &&
        (namespace === undefined || namespaceOf(object) === namespace),
    )
  const all = (kind: string): readonly KubernetesObject[] => objects.filter((object) => object.kind === kind)
  return {
    pod: (namespace, name) => find('Pod', name, namespace),
    podsOnNode: (node) => (all('Pod') as readonly Pod[]).filter(({ spec }) => spec?.nodeName === node),
    services: (namespace) =>
      (all('Service') as readonly Service[]).filter((service) => namespaceOf(service) === namespace),
    node: (name) => find('Node', name),
    namespace: (name) => find('Namespace', name),
    serviceAccount: (namespace, name) => find('ServiceAccount', name, namespace),
    mayUse: (policy) => mayUse.has(policy) || undefined,
  }
}

/** Manifests leave out the namespace where it is `default`. */
function namespaceOf({ metadata }: KubernetesObject): string {
  return metadata.namespace ?? 'default'
}

/** The same, with one pod as it was just read: what was read live beats what a watch has seen. */
export function withFreshPod(live: LiveObjects, namespace: string, name: string, pod: Pod | undefined): LiveObjects {
  const isOther = (one: Pod): boolean => one.metadata.namespace !== namespace || one.metadata.name !== name
  return {
    ...live,
    pod: (askedNamespace, askedName) =>
      askedNamespace === namespace && askedName === name ? pod : live.pod(askedNamespace, askedName),
    podsOnNode: (node) => {
      const others = live.podsOnNode(node).filter(isOther)
      return pod?.spec?.nodeName === node ? [...others, pod] : others
    },
  }
}
