import type { KeyUsage } from '../x509/key-usage.ts'

/** The pod that a volume belongs to, as the kubelet told it. */
export interface PodReference {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly serviceAccount: string
}

/** Who is to sign: the three issuer attributes of a volume, and the `issuerRef` of a cert-manager CertificateRequest. */
export interface IssuerReference {
  readonly name: string
  readonly kind: string
  readonly group: string
}

/** One request for one certificate. It is stored, with its key, before it is handed to an issuer. */
export interface IssuanceRequest {
  /** 128 random bits as 32 hexadecimal digits. A request submitted twice has the same id, and two requests never do. */
  readonly id: string
  /** The CSI volume id. */
  readonly volumeId: string
  readonly pod: PodReference
  readonly issuer: IssuerReference
  /** PKCS#10 in PEM, block type CERTIFICATE REQUEST. */
  readonly csr: string
  readonly usages: readonly KeyUsage[]
  readonly isCA: boolean
  /** The lifetime asked for, in milliseconds. */
  readonly duration: number
  /** Pass-through annotations for issuers that read them. */
  readonly annotations: Readonly<Record<string, string>>
}

/** What speaks for the pod while a request is submitted. It is never stored. */
export interface PodCredentials {
  /** The pod's service account token for an audience; undefined where the kubelet has sent none that still holds. */
  token(audience: string): string | undefined
}

/** What an issuer gives back for a request it holds. Plain data: it is stored beside the key and outlives the process. */
export interface RequestHandle {
  /** The request's id. */
  readonly id: string
  /** The request as a person finds it again, such as `CertificateRequest sandbox/podpass-0f3c…`. */
  readonly name: string
  /** What the issuer needs to find it again, opaque to everyone else. */
  readonly reference: Readonly<Record<string, string>>
}

/** A signed answer, not yet checked against the request. */
export interface IssuedCertificate {
  /** PEM blocks, leaf first, then whatever chain the issuer gave. */
  readonly chain: string
  /** PEM blocks of the issuer's own root or bundle; undefined where the issuer gave none. */
  readonly ca: string | undefined
}

/** Trust that arrived without a new leaf, as PEM blocks. */
export interface TrustBundle {
  readonly ca: string
}

/** Turns a certificate signing request into a certificate. One instance serves every volume of the node. */
export interface Issuer {
  /**
   * Hands the request over; resolves once the issuer holds it durably. Idempotent by `request.id`, so a restart may repeat it. An issuer
   * that signs at once and remembers nothing puts its answer into the handle; where even the handle was lost, it signs again.
   *
   * @param credentials - of the pod, for issuers that are asked in its name
   * @param earlier - what an earlier submit of this request gave, where it was stored
   * @throws {IssuanceError} final where the issuer can never hold this request, else retryable
   */
  submit(
    request: IssuanceRequest,
    signal: AbortSignal,
    credentials?: PodCredentials,
    earlier?: RequestHandle,
  ): Promise<RequestHandle>
  /**
   * Resolves with the chain, or rejects with a final (denied, failed) or a retryable error. Event driven, never a poll.
   *
   * @param progress - told each time the issuer says something new of a request that still waits
   */
  wait(handle: RequestHandle, signal: AbortSignal, progress?: (state: string) => void): Promise<IssuedCertificate>
  /** Trust that changes without a new leaf (a rotated bundle). Absent where trust only comes with the certificate. */
  trust?(handle: RequestHandle, signal: AbortSignal): AsyncIterable<TrustBundle>
  /** Forgets what the issuer still holds for a volume that is gone. Best effort; a sweep after the next list catches the rest. */
  discard(handle: RequestHandle): Promise<void>
  /**
   * Ends what the issuer keeps in memory for a volume, such as a login in its pod's name, once the volume is gone and its requests are
   * discarded. Best effort. Absent where nothing is kept.
   */
  forget?(volumeId: string): Promise<void>
}
