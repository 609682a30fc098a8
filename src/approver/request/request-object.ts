import type { CertificateSigningRequest, PodCertificateRequest } from '../../kubernetes/certificates.ts'
import type { CertificateRequest, Condition, KubernetesObject, ObjectMeta } from '../../kubernetes/object.ts'

/** The kinds of object by which a certificate is asked for. */
export const requestKinds = ['CertificateSigningRequest', 'CertificateRequest', 'PodCertificateRequest'] as const

export type RequestKind = (typeof requestKinds)[number]

/** A request as the API server holds it, told apart by its kind: items of a watch come without one. */
export type RequestObject =
  | { readonly kind: 'CertificateSigningRequest'; readonly object: CertificateSigningRequest }
  | { readonly kind: 'CertificateRequest'; readonly object: CertificateRequest }
  | { readonly kind: 'PodCertificateRequest'; readonly object: PodCertificateRequest }

const groups: Readonly<Record<RequestKind, string>> = {
  CertificateSigningRequest: 'certificates.k8s.io',
  CertificateRequest: 'cert-manager.io',
  PodCertificateRequest: 'certificates.k8s.io',
}

/** @returns undefined for objects of other kinds, and of these kinds in another group or version than v1 */
export function requestObject(object: KubernetesObject): RequestObject | undefined {
  const kind = requestKinds.find((kind) => kind === object.kind)
  if (kind === undefined || object.apiVersion !== `${groups[kind]}/v1`) return undefined
  return { kind, object } as RequestObject
}

/** Who is to sign. A signer is named by one text, an issuer of cert-manager by three. */
export type AskedSigner =
  | { readonly signerName: string }
  | { readonly issuer: { readonly name: string; readonly kind: string; readonly group: string } }

/** Whom a request is for. cert-manager takes absent fields as Issuer and cert-manager.io. */
export function askedSigner({ kind, object }: RequestObject): AskedSigner {
  if (kind !== 'CertificateRequest') return { signerName: object.spec.signerName }
  const { name, kind: issuerKind = '', group = '' } = object.spec.issuerRef
  return { issuer: { name, kind: issuerKind || 'Issuer', group: group || 'cert-manager.io' } }
}

/** @returns such as `example.com/serving` or `ClusterIssuer/ca` */
export function formatSigner(signer: AskedSigner): string {
  if ('signerName' in signer) return signer.signerName
  const { name, kind, group } = signer.issuer
  return `${kind}${group === 'cert-manager.io' ? '' : `.${group}`}/${name}`
}

/** @returns such as `CertificateRequest shop/web-1` */
export function formatRequest({ kind, object }: RequestObject): string {
  const { namespace, name = '' }: ObjectMeta = object.metadata
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

/** The conditions after which nobody has anything left to decide. */
const finalConditions: ReadonlySet<string> = new Set(['Approved', 'Denied', 'Failed', 'Issued', 'InvalidRequest'])

/** @returns why the request is no longer to be decided, such as `it is Denied`; undefined where it is open */
export function closedBecause({ object }: RequestObject): string | undefined {
  if (object.metadata.deletionTimestamp !== undefined) return 'it is being deleted'
  const conditions: readonly Condition[] = object.status?.conditions ?? []
  const final = conditions.find(({ type, status }) => finalConditions.has(type) && status === 'True')
  return final === undefined ? undefined : `it is ${final.type}`
}

/** The namespace of a request's object; undefined for the cluster-scoped CertificateSigningRequest. */
export function namespaceOfRequest({ kind, object }: RequestObject): string | undefined {
  return kind === 'CertificateSigningRequest' ? undefined : object.metadata.namespace
}
