/** A file that is read again when it changes, or bytes that stay. */
export type Material =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'data'; readonly data: Buffer }

/** A certificate and its key, both PEM. */
export interface ClientCertificate {
  readonly certificate: Material
  readonly key: Material
}

/** A program that prints credentials (KEP-541, client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: 'client.authentication.k8s.io/v1' | 'client.authentication.k8s.io/v1beta1'
  /** A name that is looked up in PATH, or an absolute path. */
  readonly command: string
  readonly args: readonly string[]
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>
  /** What to tell a user who lacks the program. */
  readonly installHint: string | undefined
  /** `spec.cluster` of the ExecCredential that the plugin reads; undefined unless the kubeconfig asks for it. */
  readonly cluster: Readonly<Record<string, unknown>> | undefined
}

/** Who this process is to the API server, besides a client certificate. */
export type Authentication =
  | { readonly by: 'nothing' }
  | { readonly by: 'token'; readonly token: string }
  | { readonly by: 'token-file'; readonly path: string }
  | { readonly by: 'exec'; readonly plugin: ExecPlugin }

/**
 * Who to act as, in the place of who one is (Kubernetes documentation "User impersonation"). The API server asks whether the real
 * user may.
 */
export interface Impersonation {
  readonly user: string
  readonly uid: string | undefined
  readonly groups: readonly string[]
  /** Values by key, such as `scopes`. */
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** How to reach an API server, and as whom. It may hold secrets: never log it. */
export interface ConnectionConfig {
  /** `https://host[:port][/prefix]`. */
  readonly server: string
  /** PEM of the authorities that may sign the server's certificate; undefined for the system's own. */
  readonly ca: Material | undefined
  /** The name that the server's certificate must carry; undefined for the host of `server`. */
  readonly serverName: string | undefined
  /** Accepts any server certificate. */
  readonly insecure: boolean
  readonly clientCertificate: ClientCertificate | undefined
  readonly authentication: Authentication
  /** Undefined to act as oneself. Never for requests with a token of their own. */
  readonly impersonation: Impersonation | undefined
  /** `http:` or `https:`, with user and password where it wants them; undefined for the direct way. */
  readonly proxy: URL | undefined
  /** The namespace of a kubeconfig context or of the pod; `default` where there is none. */
  readonly namespace: string
}
