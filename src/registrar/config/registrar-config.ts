import type { AllowedIds } from './allowed-ids.ts'

/** What a registrar is configured to do. The modes share {@link CommonConfig}; what only one of them knows is its own. */
export type RegistrarConfig = WebhookConfig | ReconcileConfig | CrdConfig

export type RegistrarMode = RegistrarConfig['mode']

/** What every mode has. */
export interface CommonConfig {
  /** Without a scheme: `example.org`. */
  readonly trustDomain: string
  /** The cluster's name, as SPIRE's k8s_psat node attestor knows it: one segment of a SPIFFE path. */
  readonly cluster: string
  readonly server: ServerAddress
  /** Where pods' SPIFFE IDs come from. */
  readonly identity: IdentityConfig
  /** Exact names of the namespaces whose pods get no identity from the registrar. */
  readonly disabledNamespaces: readonly string[]
  /** Which IDs labels, annotations and templates may give; undefined where the file does not limit them. */
  readonly allowedIds: AllowedIds | undefined
  /** When a pod's identity ends. */
  readonly termination: TerminationPolicy
  readonly deleteFuse: DeleteFuse
  /** Milliseconds between two comparisons of everything that the server holds with everything that it should hold. */
  readonly verifyInterval: number
  /** What the ids of the entries that the registrar makes begin with: 1 to 64 of `[A-Za-z0-9-._]`. */
  readonly entryIdPrefix: string
  readonly leaderElection: LeaderElectionConfig
  /** Where /metrics, /healthz and /readyz are served: `host:port` or `:port`; `0` for nowhere. */
  readonly metricsAddress: string
  readonly log: LogConfig
  /** A file that says how to reach the API server; undefined for the cluster that the process runs in. */
  readonly kubeconfig: string | undefined
}

/** Pods are seen at their admission; one alias stands for all nodes. */
export interface WebhookConfig extends CommonConfig {
  readonly mode: 'webhook'
  readonly identity: PlainIdentityConfig
  readonly webhook: {
    /** `host:port` or `:port`. */
    readonly address: string
    readonly certificatePath: string
    readonly keyPath: string
    /** The CAs of those who may call: the API server. Undefined where whoever calls is answered. */
    readonly clientCaPath: string | undefined
    /** Whether trouble with SPIRE refuses pods. */
    readonly failClosed: boolean
  }
  /** Whether pods' entries are children of their node's alias, in the place of the one for the whole cluster. */
  readonly nodeParents: boolean
}

/** Pods and nodes are watched, and their entries made directly. */
export interface ReconcileConfig extends CommonConfig {
  readonly mode: 'reconcile'
  readonly identity: PlainIdentityConfig
  /** The first segment of every parent ID: one segment of a SPIFFE path. */
  readonly controllerName: string
  /** Whether entries carry the pods' DNS names. */
  readonly podDnsNames: boolean
  /** Such as `cluster.local`. */
  readonly clusterDnsZone: string
}

/** Entries are those of SpiffeID resources, which the registrar makes for pods and nodes, and people may make. */
export interface CrdConfig extends CommonConfig {
  readonly mode: 'crd'
  /** Whether SpiffeIDs are made for pods and nodes. */
  readonly podController: boolean
  /** Whether `<service>.<namespace>.svc` is added to the names of the pods behind a service. */
  readonly serviceDnsNames: boolean
  /** Go templates of the DNS names of pods. SPIRE makes the first the certificate's common name. */
  readonly dnsNameTemplates: readonly string[]
  /** What templates know as `.Context`; undefined where the file has none. */
  readonly context: Readonly<Record<string, string>> | undefined
  /** Exact names of the namespaces whose SpiffeIDs may be `downstream`: its holder can have an intermediate CA. */
  readonly allowDownstreamNamespaces: readonly string[]
  /** The webhook that checks SpiffeIDs; undefined where it is off. */
  readonly webhook:
    | { readonly port: number; readonly certificateDirectory: string; readonly serviceName: string }
    | undefined
}

/** The Entry API of the SPIRE server. */
export type ServerAddress =
  /** @param path - of its socket for administrators */
  | { readonly by: 'socket'; readonly path: string }
  /**
   * @param address - `host:port`
   * @param agentSocketPath - of the Workload API, which gives the registrar its own identity
   */
  | { readonly by: 'tcp'; readonly address: string; readonly agentSocketPath: string }

/** Where a pod's SPIFFE ID comes from, where no template is known. */
export type PlainIdentityConfig =
  | { readonly by: 'service-account' }
  /** @param key - of the label whose value is the ID's path */
  | { readonly by: 'label'; readonly key: string }
  /** @param key - of the annotation whose value is the ID's path */
  | { readonly by: 'annotation'; readonly key: string }

/** Where a pod's SPIFFE ID comes from. */
export type IdentityConfig = PlainIdentityConfig | TemplateIdentityConfig

/**
 * @param template - a Go template of the ID's path, without its leading slash
 * @param label - only pods on which it says `true`, in letters of any case, have an identity; undefined for all pods
 */
export interface TemplateIdentityConfig {
  readonly by: 'template'
  readonly template: string
  readonly label: string | undefined
}

/**
 * When a pod's identity ends: as its deletion begins, though it may run for its grace period; once its containers have ended or it is
 * gone; or only once it is gone.
 */
export type TerminationPolicy = 'at_deletion' | 'when_ended' | 'when_gone'

/** How many entries may be deleted at once: the larger of both. */
export interface DeleteFuse {
  readonly maxCount: number
  /** Of the entries that the registrar owns: from 0 to 1. */
  readonly maxFraction: number
}

export interface LeaderElectionConfig {
  readonly enabled: boolean
  /** Of the lock, in the registrar's own namespace: the same as the old registrar's, so that only one of both writes. */
  readonly name: string
  /** The kind of object that the old registrar may hold as its lock besides a Lease. */
  readonly formerLock: 'configmaps' | 'endpoints' | undefined
}

export interface LogConfig {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly format: 'text' | 'json'
  /** A file to append to; undefined for standard error. */
  readonly path: string | undefined
}
