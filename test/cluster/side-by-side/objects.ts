/** An object to create, and its status, which the API server takes apart from it. */
export interface MadeObject {
  readonly object: PlainObject
  readonly status?: object
}

/** An object as a manifest has it. */
export interface PlainObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

/** What of a pod matters to identities. */
export interface MadePod {
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** @default {'default'} */
  readonly serviceAccount?: string
  /** Empty for a pod that no scheduler has seen. @default {'n1'} */
  readonly node?: string
  /** @default none yet */
  readonly ip?: string
  /** @default {true} */
  readonly isReady?: boolean
  readonly hostname?: string
  readonly subdomain?: string
  /** @default {'Running'} */
  readonly phase?: string
  /** As the kubelet shows a pod of its own files: it has no account. */
  readonly isStatic?: boolean
}

/** A pod that no kubelet runs: it is what it says. */
export function pod(namespace: string, name: string, made: MadePod = {}): MadeObject {
  const { labels = {}, annotations = {}, node = 'n1', hostname, subdomain, isStatic = false } = made
  const { serviceAccount = 'default', ip, isReady = true, phase = 'Running' } = made
  return {
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        namespace,
        name,
        labels,
        annotations: isStatic ? { ...annotations, 'kubernetes.io/config.mirror': 'any' } : annotations,
      },
      spec: {
        ...(node !== '' && { nodeName: node }),
        ...(!isStatic && { serviceAccountName: serviceAccount }),
        ...(hostname !== undefined && { hostname }),
        ...(subdomain !== undefined && { subdomain }),
        // Nobody keeps the nodes alive.
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'main', image: 'none' }],
      },
    },
    ...(ip !== undefined && { status: addressed(ip, isReady, phase) }),
  }
}

/** The status of a pod that has an address. */
export function addressed(ip: string, isReady = true, phase = 'Running'): object {
  const conditions = [{ type: 'Ready', status: isReady ? 'True' : 'False' }]
  return { phase, podIP: ip, podIPs: [{ ip }], conditions }
}

/**
 * A headless service.
 *
 * @param selector - labels of its pods; undefined for one whose addresses somebody writes
 */
export function service(
  namespace: string,
  name: string,
  selector?: Readonly<Record<string, string>>,
  family: 'IPv4' | 'IPv6' = 'IPv4',
): MadeObject {
  return {
    object: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name },
      // Without a port it would have no addresses in older Kubernetes.
      spec: { clusterIP: 'None', ipFamilies: [family], ports: [{ port: 80 }], ...(selector && { selector }) },
    },
  }
}

/** Endpoints that somebody wrote, of one address that leads to a pod. */
export function endpoints(namespace: string, name: string, pod: string, ip: string): MadeObject {
  const targetRef = { kind: 'Pod', namespace, name: pod }
  const subsets = [{ addresses: [{ ip, targetRef }], ports: [{ port: 80 }] }]
  return { object: { apiVersion: 'v1', kind: 'Endpoints', metadata: { namespace, name }, subsets } }
}

/** A node that is an object and nothing else. */
export function node(name: string, annotations: Readonly<Record<string, string>> = {}): MadeObject {
  return { object: { apiVersion: 'v1', kind: 'Node', metadata: { name, annotations } } }
}

export function serviceAccount(namespace: string, name: string): MadeObject {
  return { object: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } } }
}

/** A SpiffeID that a person wrote. */
export function spiffeId(namespace: string, name: string, spec: object): MadeObject {
  return { object: { apiVersion: 'spiffeid.spiffe.io/v1beta1', kind: 'SpiffeID', metadata: { namespace, name }, spec } }
}
