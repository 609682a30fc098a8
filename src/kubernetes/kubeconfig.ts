import { readFile } from 'node:fs/promises'
import type {
  Authentication,
  ClientCertificate,
  ConnectionConfig,
  ExecPlugin,
  Impersonation,
  Material,
} from './connection-config.ts'
import { ConfigurationError } from './errors.ts'
import { impersonationHeaders } from './impersonation.ts'
import {
  checkedEntry,
  type ClusterFields,
  type Entry,
  entrySchemas,
  fieldError,
  type Kubeconfig,
  pathIn,
  readKubeconfig,
  type UserFields,
} from './kubeconfig-file.ts'
import { parseProxy } from './proxy.ts'

/** One file that must exist, or a list as in `$KUBECONFIG`, whose missing files are passed over. */
export type KubeconfigSource = ({ readonly path: string } | { readonly paths: string }) & {
  /** @default {current-context} */
  readonly context?: string | undefined
  /** @default {that of the context} */
  readonly cluster?: string | undefined
  /** @default {that of the context} */
  readonly user?: string | undefined
}

/** The name of the cluster extension that is handed to exec plugins (client-go, `ConfigAsExecCredential`). */
const execExtension = 'client.authentication.k8s.io/exec'

/**
 * Reads a context of a kubeconfig.
 *
 * What cannot be honoured is refused rather than passed over, since then the process would act as somebody else, or reach
 * another server, than the file says: SOCKS proxies, basic authentication and auth providers. A proxy that the environment names is
 * for the caller to look for ({@link proxyFromEnvironment}).
 *
 * @throws {ConfigurationError} naming file, entry and field, never a secret
 * @example
 * ```ts
 * const config = await loadKubeconfig({ path: '/etc/kubernetes/admin.conf', context: 'staging' })
 * ```
 */
export async function loadKubeconfig(source: KubeconfigSource): Promise<ConnectionConfig> {
  const kubeconfig = await readKubeconfig(source)
  const name = source.context ?? kubeconfig.currentContext
  const where = kubeconfig.files.join(', ')
  if (name === undefined) throw new ConfigurationError(`${where}: current-context is not set, and no context was named`)
  const entry = kubeconfig.contexts.get(name)
  if (entry === undefined) throw new ConfigurationError(`${where}: contexts: there is no ${name}`)
  const context = checkedEntry(entry, entrySchemas.context)
  const { cluster: clusterName = context.fields.cluster, user: userName = context.fields.user } = source
  const cluster = checkedEntry(
    referenced(kubeconfig, 'clusters', context, 'cluster', clusterName),
    entrySchemas.cluster,
  )
  const user =
    userName === undefined
      ? undefined
      : checkedEntry(referenced(kubeconfig, 'users', context, 'user', userName), entrySchemas.user)
  return {
    ...serverOf(cluster),
    clientCertificate: user === undefined ? undefined : clientCertificateOf(user),
    authentication: user === undefined ? { by: 'nothing' } : await authenticationOf(user, cluster),
    impersonation: user === undefined ? undefined : impersonationOf(user),
    proxy: proxyOf(cluster),
    namespace: context.fields.namespace ?? 'default',
  }
}

type ServerPart = Pick<ConnectionConfig, 'server' | 'ca' | 'serverName' | 'insecure'>

function serverOf(cluster: Entry<ClusterFields>): ServerPart {
  const { server, 'tls-server-name': serverName, 'insecure-skip-tls-verify': insecure = false } = cluster.fields
  if (URL.parse(server)?.protocol !== 'https:') throw fieldError(cluster, 'server', 'expected an https URL')
  const ca = material(cluster, 'certificate-authority', 'certificate-authority-data')
  if (insecure && ca !== undefined) {
    throw fieldError(cluster, 'insecure-skip-tls-verify', 'expected no certificate-authority beside it')
  }
  return { server, ca, serverName, insecure }
}

function proxyOf(cluster: Entry<ClusterFields>): URL | undefined {
  const text = cluster.fields['proxy-url']
  return text === undefined ? undefined : parseProxy(text, `${cluster.file}: ${cluster.place}.proxy-url`)
}

function impersonationOf(user: Entry<UserFields>): Impersonation | undefined {
  const { as, 'as-uid': uid, 'as-groups': groups = [], 'as-user-extra': extra = {} } = user.fields
  if (as === undefined) {
    if (uid === undefined && groups.length === 0 && Object.keys(extra).length === 0) return undefined
    throw fieldError(user, 'as', 'expected a user beside as-uid, as-groups and as-user-extra')
  }
  const impersonation = { user: as, uid, groups, extra }
  try {
    impersonationHeaders(impersonation)
  } catch (error) {
    throw fieldError(user, 'as', (error as Error).message)
  }
  return impersonation
}

function clientCertificateOf(user: Entry<UserFields>): ClientCertificate | undefined {
  const certificate = material(user, 'client-certificate', 'client-certificate-data')
  const key = material(user, 'client-key', 'client-key-data')
  if (certificate === undefined && key === undefined) return undefined
  if (key === undefined) throw fieldError(user, 'client-key', 'expected a key for the client-certificate')
  if (certificate === undefined)
    throw fieldError(user, 'client-certificate', 'expected a certificate for the client-key')
  return { certificate, key }
}

async function authenticationOf(user: Entry<UserFields>, cluster: Entry<ClusterFields>): Promise<Authentication> {
  refuse(user, ['username', 'password'], 'basic authentication no longer exists in Kubernetes')
  refuse(user, ['auth-provider'], 'auth providers no longer exist in Kubernetes, use an exec plugin')
  const { token, tokenFile, exec } = user.fields
  if (tokenFile !== undefined) return { by: 'token-file', path: pathIn(user, tokenFile) }
  if (token !== undefined) return { by: 'token', token }
  if (exec === undefined) return { by: 'nothing' }
  if (exec.interactiveMode === 'Always') {
    throw fieldError(user, 'exec.interactiveMode', 'a plugin that must ask at a terminal is not supported')
  }
  const plugin: ExecPlugin = {
    apiVersion: exec.apiVersion,
    // As for a shell: a name is looked up in PATH, a path is one, relative to the file here.
    command: exec.command.includes('/') ? pathIn(user, exec.command) : exec.command,
    args: exec.args ?? [],
    env: Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value])),
    installHint: exec.installHint ?? undefined,
    cluster: exec.provideClusterInfo ? await clusterInfo(cluster) : undefined,
  }
  return { by: 'exec', plugin }
}

async function clusterInfo(cluster: Entry<ClusterFields>): Promise<Readonly<Record<string, unknown>>> {
  const { server, ca, serverName, insecure } = serverOf(cluster)
  const trusted = ca === undefined ? undefined : ca.from === 'data' ? ca.data : await readFile(ca.path)
  const extension = cluster.fields.extensions?.find(({ name }) => name === execExtension)
  return {
    server,
    ...(serverName === undefined ? {} : { 'tls-server-name': serverName }),
    ...(insecure ? { 'insecure-skip-tls-verify': true } : {}),
    ...(cluster.fields['proxy-url'] === undefined ? {} : { 'proxy-url': cluster.fields['proxy-url'] }),
    ...(trusted === undefined ? {} : { 'certificate-authority-data': trusted.toString('base64') }),
    ...(extension === undefined ? {} : { config: extension.extension }),
  }
}

function referenced(
  kubeconfig: Kubeconfig,
  list: 'clusters' | 'users',
  context: Entry<unknown>,
  field: 'cluster' | 'user',
  name: string,
): Entry<unknown> {
  const entry = kubeconfig[list].get(name)
  if (entry === undefined) throw fieldError(context, field, `there is no ${list} entry ${JSON.stringify(name)}`)
  return entry
}

/** Inline data counts before a file (kubectl's documentation of both fields). */
function material(
  entry: Entry<Readonly<Record<string, unknown>>>,
  fileField: string,
  dataField: string,
): Material | undefined {
  const data = entry.fields[dataField]
  if (typeof data === 'string') {
    const bytes = Buffer.from(data, 'base64')
    if (!bytes.includes('-----BEGIN ')) throw fieldError(entry, dataField, 'expected base64 of PEM')
    return { from: 'data', data: bytes }
  }
  const path = entry.fields[fileField]
  return typeof path === 'string' ? { from: 'file', path: pathIn(entry, path) } : undefined
}

function refuse(entry: Entry<Readonly<Record<string, unknown>>>, fields: readonly string[], why: string): void {
  for (const field of fields) if (entry.fields[field] !== undefined) throw fieldError(entry, field, why)
}
