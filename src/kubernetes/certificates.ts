import type { Condition, KubernetesObject } from './object.ts'

/** certificates.k8s.io/v1 CertificateSigningRequest. `request` and `certificate` are base64 of PEM. */
export interface CertificateSigningRequest extends KubernetesObject {
  readonly spec: {
    readonly request: string
    readonly signerName: string
    /** Advisory; 600 or more. */
    readonly expirationSeconds?: number
    readonly usages?: readonly string[]
    /** These four are the server's: it overwrites what the client sends with who made the call. */
    readonly username?: string
    readonly uid?: string
    readonly groups?: readonly string[]
    readonly extra?: Readonly<Record<string, readonly string[]>>
  }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly certificate?: string
  }
}

/** certificates.k8s.io/v1 PodCertificateRequest (KEP-4317). The kubelet makes one for each `podCertificate` source of a volume. */
export interface PodCertificateRequest extends KubernetesObject {
  readonly spec: {
    readonly signerName: string
    readonly podName: string
    readonly podUID: string
    readonly serviceAccountName: string
    readonly serviceAccountUID: string
    readonly nodeName: string
    readonly nodeUID: string
    /** 3600 to 7862400; the server defaults it to 86400. */
    readonly maxExpirationSeconds?: number
    /** Base64 of DER. Its key and signature count; the kubelet leaves subject and extensions empty. */
    readonly stubPKCS10Request: string
    /** From the pod's author: nothing has checked them. */
    readonly unverifiedUserAnnotations?: Readonly<Record<string, string>>
  }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    /** PEM, leaf first. */
    readonly certificateChain?: string
    readonly notBefore?: string
    readonly notAfter?: string
    readonly beginRefreshAt?: string
  }
}

/** certificates.k8s.io/v1 ClusterTrustBundle (KEP-3257). */
export interface ClusterTrustBundle extends KubernetesObject {
  readonly spec: {
    /** Immutable; its name then begins with it, the slash written as a colon, and another colon. */
    readonly signerName?: string
    /** PEM of CA certificates, 1 MiB at most. */
    readonly trustBundle: string
  }
}
