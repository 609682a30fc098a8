import type { KeyObject } from 'node:crypto'
import type { KubernetesClient } from '../../src/kubernetes/client.ts'
import type { CertificateSigningRequest } from '../../src/kubernetes/certificates.ts'
import type { CertificateRequest, Condition, KubernetesObject } from '../../src/kubernetes/object.ts'
import { certificateRequests, certificateSigningRequests, type Resource } from '../../src/kubernetes/resource.ts'
import { createCertificateRequest } from '../../src/x509/certificate-request.ts'
import { noNames } from '../../src/x509/general-names.ts'
import { generateKeySync } from '../../src/x509/key.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { apply } from './kubectl.ts'
import type { Pod } from './pod.ts'

interface TokenRequest extends KubernetesObject {
  readonly spec: object
  readonly status?: { readonly token: string }
}

const serviceAccounts: Resource<TokenRequest> = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
}

/** Lets the service accounts of a namespace ask for certificates. */
export async function allowRequests(controlPlane: ControlPlaneAccess, namespace: string): Promise<void> {
  const name = `ask-${namespace}`
  await apply(
    controlPlane,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['create'] },
        { apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['create'] },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: `system:serviceaccounts:${namespace}` }],
    },
  )
}

/** A token that is bound to a pod, as the kubelet mounts it. */
export async function podToken(client: KubernetesClient, { namespace, name, uid }: Pod): Promise<string> {
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid }
  // What is posted and what is answered is a TokenRequest, below a service account.
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: { boundObjectRef },
  }
  const parent = { namespace, name: 'default' }
  const { status } = await client.create(serviceAccounts, request, { parent, subresource: 'token' })
  return status?.token ?? ''
}

/** PKCS#10 in PEM for some DNS names. */
export function csrFor(
  dns: readonly string[],
  key: KeyObject = generateKeySync({ algorithm: 'ECDSA', size: 256 }),
): string {
  return createCertificateRequest(key, { subject: [], names: { ...noNames, dns } })
}

/** A CertificateSigningRequest for a serving certificate of an hour. */
export function signingRequest(name: string, signerName: string, csr: string): CertificateSigningRequest {
  return {
    metadata: { name },
    spec: {
      request: Buffer.from(csr).toString('base64'),
      signerName,
      usages: ['digital signature', 'server auth'],
      expirationSeconds: 3600,
    },
  }
}

/** A CertificateRequest for the same, to an Issuer of its namespace. */
export function issuerRequest(namespace: string, name: string, issuer: string, csr: string): CertificateRequest {
  return {
    metadata: { namespace, name },
    spec: {
      request: Buffer.from(csr).toString('base64'),
      issuerRef: { name: issuer, kind: 'Issuer', group: 'cert-manager.io' },
      usages: ['digital signature', 'server auth'],
      duration: '1h',
    },
  }
}

/** Makes a request with a pod's own token, as a program in it would. */
export async function ask(
  client: KubernetesClient,
  pod: Pod,
  request: CertificateSigningRequest | CertificateRequest,
): Promise<void> {
  const token = await podToken(client, pod)
  if ('signerName' in request.spec)
    await client.create(certificateSigningRequests, request as CertificateSigningRequest, { token })
  else await client.create(certificateRequests, request as CertificateRequest, { token })
}

/** The conditions of a CertificateSigningRequest. */
export async function conditionsOf(client: KubernetesClient, name: string): Promise<readonly Condition[]> {
  return (await client.get(certificateSigningRequests, { name })).status?.conditions ?? []
}
