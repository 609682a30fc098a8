/** What the registrar reads of a pod. Everything else of the object is dropped as it arrives: a cluster has many pods. */
export interface ObservedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** Its deletion has begun; it may still run for its grace period. */
  readonly terminating: boolean
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
  /** Empty until it is scheduled. */
  readonly nodeName: string
  readonly serviceAccount: string
  /** `spec.hostname`: empty unless the pod's author wrote one. */
  readonly hostname: string
  /** `status.podIP`: empty until it has one. */
  readonly ip: string
  /** A static pod's image in the API (annotation `kubernetes.io/config.mirror`): its kubelet, not the API, decides what it holds. */
  readonly mirror: boolean
  /** Every container has ended, while the object still exists. */
  readonly ended: boolean
}

/** What the registrar reads of a node. */
export interface ObservedNode {
  readonly name: string
  readonly uid: string
  readonly annotations: Readonly<Record<string, string>>
  readonly terminating: boolean
}

/** One address of a service that leads to a pod of the service's namespace. */
export interface ServiceAddress {
  readonly service: string
  readonly ip: string
  /** The name that a headless service gives this address; empty where it gives none. */
  readonly hostname: string
  readonly ready: boolean
  /** Of the pod that it leads to; empty where that is not told. A pod's successor of the same name has another. */
  readonly podUid: string
}
