import type { Condition, KubernetesObject } from '../../kubernetes/object.ts'
import type { Resource } from '../../kubernetes/resource.ts'
import type { Node, Service } from '../live-objects.ts'
import { policyApi } from '../policy/certificate-policy.ts'

/** A CertificatePolicy as the API server holds it; its spec is read by {@link readPolicy} alone. */
export interface PolicyObject extends KubernetesObject {
  readonly spec?: unknown
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly (Condition & { readonly observedGeneration?: number })[]
  }
}

/** authorization.k8s.io/v1 SubjectAccessReview: may somebody do something? */
export interface SubjectAccessReview extends KubernetesObject {
  readonly spec: {
    readonly user?: string
    readonly uid?: string
    readonly groups?: readonly string[]
    readonly extra?: Readonly<Record<string, readonly string[]>>
    readonly resourceAttributes: {
      readonly group: string
      readonly resource: string
      readonly name: string
      readonly verb: string
      readonly namespace?: string
    }
  }
  readonly status?: { readonly allowed?: boolean; readonly denied?: boolean }
}

export const certificatePolicies: Resource<PolicyObject> = {
  ...policyApi,
  plural: 'certificatepolicies',
  namespaced: false,
}

export const subjectAccessReviews: Resource<SubjectAccessReview> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
}

export const services: Resource<Service> = {
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
}

export const nodes: Resource<Node> = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false }

export const namespaces: Resource = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
}

export const serviceAccounts: Resource = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
}
