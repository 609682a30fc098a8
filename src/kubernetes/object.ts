/** The part of `metadata` that this program reads or writes. Times are RFC 3339 strings, as on the wire. */
export interface ObjectMeta {
  readonly name?: string
  /** The server completes it to a name on create. */
  readonly generateName?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
  /** Who wrote which fields, by the name of the program. Reflectors leave it out. */
  readonly managedFields?: readonly { readonly manager?: string; readonly subresource?: string }[]
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** What every Kubernetes object has. Items of a list come without `apiVersion` and `kind`. */
export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

/** Where an object is. Without a namespace for cluster-scoped kinds. */
export interface ObjectName {
  readonly namespace?: string | undefined
  readonly name: string
}

/** An object as others point at it, for instance an Event. */
export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly uid: string
}

/** `status.conditions[]` of most kinds. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

/** cert-manager.io/v1 CertificateRequest. `request`, `certificate` and `ca` are base64 of PEM; `duration` is a Go duration. */
export interface CertificateRequest extends KubernetesObject {
  readonly spec: {
    readonly request: string
    readonly issuerRef: { readonly name: string; readonly kind?: string; readonly group?: string }
    readonly isCA?: boolean
    readonly usages?: readonly string[]
    readonly duration?: string
    readonly username?: string
    readonly uid?: string
    readonly groups?: readonly string[]
    readonly extra?: Readonly<Record<string, readonly string[]>>
  }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly certificate?: string
    readonly ca?: string
    readonly failureTime?: string
  }
}

/** core/v1 Pod, as far as an identity depends on it. */
export interface Pod extends KubernetesObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly hostNetwork?: boolean
    readonly hostname?: string
    readonly subdomain?: string
    readonly volumes?: readonly PodVolume[]
  }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly conditions?: readonly Condition[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

/** `status.containerStatuses[]`: one of the states is there. */
export interface ContainerStatus {
  readonly state?: { readonly waiting?: object; readonly running?: object; readonly terminated?: object }
}

export interface PodVolume {
  readonly name: string
  readonly csi?: {
    readonly driver: string
    readonly readOnly?: boolean
    readonly volumeAttributes?: Readonly<Record<string, string>>
  }
}

/** discovery.k8s.io/v1 EndpointSlice: a part of the addresses of a service, which the label `kubernetes.io/service-name` names. */
export interface EndpointSlice extends KubernetesObject {
  readonly addressType?: string
  /** Null where the last one has left: the field is required, and Go writes an empty list so. */
  readonly endpoints?:
    | readonly {
        readonly addresses?: readonly string[]
        readonly hostname?: string
        readonly conditions?: { readonly ready?: boolean }
        readonly targetRef?: Partial<ObjectReference>
      }[]
    | null
}

/** core/v1 Endpoints: all addresses of the service of its name, as clusters without EndpointSlices have them. */
export interface Endpoints extends KubernetesObject {
  readonly subsets?: readonly {
    readonly addresses?: readonly EndpointAddress[]
    readonly notReadyAddresses?: readonly EndpointAddress[]
  }[]
}

export interface EndpointAddress {
  readonly ip: string
  readonly hostname?: string
  readonly targetRef?: Partial<ObjectReference>
}

/** storage.k8s.io/v1 CSIDriver. */
export interface CsiDriver extends KubernetesObject {
  readonly spec: {
    readonly attachRequired?: boolean
    readonly podInfoOnMount?: boolean
    readonly volumeLifecycleModes?: readonly string[]
    readonly fsGroupPolicy?: string
    readonly tokenRequests?: readonly { readonly audience: string; readonly expirationSeconds?: number }[]
    readonly requiresRepublish?: boolean
    readonly serviceAccountTokenInSecrets?: boolean
  }
}

/** core/v1 Event. */
export interface Event extends KubernetesObject {
  readonly involvedObject: Partial<ObjectReference>
  readonly type?: string
  readonly reason?: string
  readonly message?: string
  readonly count?: number
  readonly firstTimestamp?: string
  readonly lastTimestamp?: string
  readonly source?: { readonly component?: string; readonly host?: string }
  readonly reportingComponent?: string
  readonly reportingInstance?: string
}

/** coordination.k8s.io/v1 Lease. Times have microseconds. */
export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** core/v1 ConfigMap. */
export interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
  readonly binaryData?: Readonly<Record<string, string>>
}

/** core/v1 Secret. The values are base64. */
export interface Secret extends KubernetesObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}
