import type { CertificateSigningRequest, ClusterTrustBundle, PodCertificateRequest } from './certificates.ts'
import type {
  CertificateRequest,
  ConfigMap,
  CsiDriver,
  EndpointSlice,
  Event,
  KubernetesObject,
  Lease,
  ObjectName,
  Pod,
  Secret,
} from './object.ts'

/**
 * One kind of object as the API server serves it.
 *
 * @typeParam T - the type of its objects; it exists for the compiler only
 */
export interface Resource<T extends KubernetesObject = KubernetesObject> {
  /** The API group; empty for the core group. */
  readonly group: string
  readonly version: string
  /** The name in paths, lower case. */
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never set: it ties the type of the objects to the resource. */
  readonly objectType?: T
}

export const certificateRequests: Resource<CertificateRequest> = {
  group: 'cert-manager.io',
  version: 'v1',
  plural: 'certificaterequests',
  kind: 'CertificateRequest',
  namespaced: true,
}

export const pods: Resource<Pod> = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true }

export const nodes: Resource = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false }

export const endpointSlices: Resource<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
}

export const events: Resource<Event> = { group: '', version: 'v1', plural: 'events', kind: 'Event', namespaced: true }

export const configMaps: Resource<ConfigMap> = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
}

export const csiDrivers: Resource<CsiDriver> = {
  group: 'storage.k8s.io',
  version: 'v1',
  plural: 'csidrivers',
  kind: 'CSIDriver',
  namespaced: false,
}

export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
}

export const secrets: Resource<Secret> = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
}

export const certificateSigningRequests: Resource<CertificateSigningRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  namespaced: false,
}

export const podCertificateRequests: Resource<PodCertificateRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'podcertificaterequests',
  kind: 'PodCertificateRequest',
  namespaced: true,
}

export const clusterTrustBundles: Resource<ClusterTrustBundle> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'clustertrustbundles',
  kind: 'ClusterTrustBundle',
  namespaced: false,
}

/** `v1` or `group/version`, as it stands in an object's `apiVersion`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/**
 * The path of all objects of a kind.
 *
 * @param namespace - undefined for every namespace, and for cluster-scoped kinds
 * @throws {TypeError} for a namespace on a cluster-scoped kind
 */
export function collectionPath(resource: Resource, namespace: string | undefined): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  if (namespace === undefined) return `${root}/${resource.plural}`
  if (!resource.namespaced) throw new TypeError(`${resource.kind} is cluster-scoped, but a namespace was given`)
  return `${root}/namespaces/${segment(namespace)}/${resource.plural}`
}

/**
 * The path of one object or of one of its subresources.
 *
 * @throws {TypeError} where a namespace is missing or is one too many, or a name cannot stand in a path
 */
export function objectPath(resource: Resource, name: ObjectName, subresource?: string): string {
  if (resource.namespaced && name.namespace === undefined) {
    throw new TypeError(`${resource.kind} ${name.name} needs a namespace`)
  }
  const path = `${collectionPath(resource, name.namespace)}/${segment(name.name)}`
  return subresource === undefined ? path : `${path}/${subresource}`
}

/** An object as a person finds it again: `CertificateRequest sandbox/podpass-0f3c…`. */
export function describeObject(resource: Resource, name: ObjectName): string {
  return name.namespace === undefined
    ? `${resource.kind} ${name.name}`
    : `${resource.kind} ${name.namespace}/${name.name}`
}

/** Kubernetes allows any valid path segment as a name (apimachinery IsValidPathSegmentName), so `.` and `..` must be caught here. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/%]/.test(name)) {
    throw new TypeError(`expected an object name, got ${JSON.stringify(name)}`)
  }
  return encodeURIComponent(name)
}
