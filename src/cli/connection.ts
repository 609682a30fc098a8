import { InvalidArgumentError, Option } from 'commander'
import type { ConnectionConfig, Impersonation } from '../kubernetes/connection-config.ts'
import { ConfigurationError } from '../kubernetes/errors.ts'
import { inClusterConfig } from '../kubernetes/in-cluster.ts'
import { proxyFromEnvironment } from '../kubernetes/proxy.ts'
import { collect, parseBoolean, parseNumber } from './flag-values.ts'

/** How to reach the API server, in kubectl's words. */
export interface ConnectionFlags {
  readonly kubeconfig?: string
  readonly context?: string
  readonly cluster?: string
  readonly user?: string
  readonly server?: string
  readonly token?: string
  readonly certificateAuthority?: string
  readonly clientCertificate?: string
  readonly clientKey?: string
  readonly tlsServerName?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly as?: string
  readonly asUid?: string
  readonly asGroup: readonly string[]
  readonly asUserExtra: readonly string[]
}

/** How many calls the API server gets, as client-go limits them; no limit unless asked for. */
export interface RateFlags {
  readonly kubeApiQps: number
  readonly kubeApiBurst: number
}

/** kubectl's flags that change nothing for a program that names every namespace and keeps no cache. */
const withoutEffect = [
  '--namespace <name>',
  '--cache-dir <folder>',
  '--disable-compression [boolean]',
  '--request-timeout <duration>',
]

/** The flags of {@link ConnectionFlags}. */
export function connectionOptions(): Option[] {
  return [
    new Option('--kubeconfig <file>', 'how to reach the API server, outside of a cluster').env('KUBECONFIG'),
    new Option('--context <name>', 'context of the kubeconfig file'),
    new Option('--cluster <name>', 'cluster of the kubeconfig file').hideHelp(),
    new Option('--user <name>', 'user of the kubeconfig file').hideHelp(),
    new Option('--server <url>', 'address of the API server, in the place of the kubeconfig file'),
    new Option('--token <token>', 'bearer token for the API server').hideHelp(),
    new Option('--certificate-authority <file>', 'CA of the API server').hideHelp(),
    new Option('--client-certificate <file>', 'client certificate for the API server').hideHelp(),
    new Option('--client-key <file>', 'its key').hideHelp(),
    new Option('--tls-server-name <name>', "name that the API server's certificate must carry").hideHelp(),
    new Option('--insecure-skip-tls-verify [boolean]', 'accept any certificate of the API server')
      .argParser(parseBoolean)
      .preset('true')
      .hideHelp(),
    new Option('--as <user>', 'user to impersonate').hideHelp(),
    new Option('--as-uid <uid>', 'uid to impersonate').hideHelp(),
    new Option('--as-group <group>', 'group to impersonate; repeatable').argParser(collect).default([]).hideHelp(),
    new Option('--as-user-extra <key=value>', 'further attribute to impersonate; repeatable')
      .argParser(collectExtra)
      .default([])
      .hideHelp(),
    ...withoutEffect.map((flags) => new Option(flags).hideHelp()),
  ]
}

function collectExtra(value: string, before: readonly string[]): readonly string[] {
  if (!/^[^=]+=/.test(value)) throw new InvalidArgumentError('It must be key=value.')
  return [...before, value]
}

/**
 * The API server that the flags name, or else the one of the cluster that this process runs in, by way of the proxy that the
 * kubeconfig file names, or else the environment.
 *
 * @throws {ConfigurationError}
 */
export async function connectionConfig(
  flags: ConnectionFlags,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ConnectionConfig> {
  const config = withFlags(await baseConfig(flags, env), flags)
  return { ...config, proxy: config.proxy ?? proxyFromEnvironment(env, config.server) }
}

function withFlags(base: ConnectionConfig, flags: ConnectionFlags): ConnectionConfig {
  const { server, token, certificateAuthority: ca, clientCertificate, clientKey, tlsServerName } = flags
  return {
    ...base,
    ...(server === undefined ? {} : { server }),
    ...(token === undefined ? {} : { authentication: { by: 'token', token } as const }),
    ...(ca === undefined ? {} : { ca: { from: 'file', path: ca } as const }),
    ...(clientCertificate === undefined || clientKey === undefined
      ? {}
      : {
          clientCertificate: {
            certificate: { from: 'file', path: clientCertificate } as const,
            key: { from: 'file', path: clientKey } as const,
          },
        }),
    ...(tlsServerName === undefined ? {} : { serverName: tlsServerName }),
    ...(flags.insecureSkipTlsVerify === true ? { insecure: true, ca: undefined } : {}),
    impersonation: impersonationOf(flags) ?? base.impersonation,
  }
}

function impersonationOf({ as, asUid, asGroup, asUserExtra }: ConnectionFlags): Impersonation | undefined {
  if (as === undefined) {
    if (asUid === undefined && asGroup.length === 0 && asUserExtra.length === 0) return undefined
    throw new ConfigurationError('--as-uid, --as-group and --as-user-extra need --as, the user to impersonate')
  }
  const extra = new Map<string, string[]>()
  for (const pair of asUserExtra) {
    const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
    extra.set(key, [...(extra.get(key) ?? []), value])
  }
  return { user: as, uid: asUid, groups: asGroup, extra: Object.fromEntries(extra) }
}

async function baseConfig(
  { kubeconfig, server, ...chosen }: ConnectionFlags,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ConnectionConfig> {
  if (kubeconfig !== undefined && kubeconfig !== '') {
    // Loaded when it is needed: in a pod there is no kubeconfig, and YAML takes memory.
    const { loadKubeconfig } = await import('../kubernetes/kubeconfig.ts')
    const { context, cluster, user } = chosen
    const source = kubeconfig.includes(':') ? { paths: kubeconfig } : { path: kubeconfig }
    return loadKubeconfig({ ...source, context, cluster, user })
  }
  if (server === undefined) return inClusterConfig(env)
  return {
    server,
    ca: undefined,
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'nothing' },
    impersonation: undefined,
    proxy: undefined,
    namespace: 'default',
  }
}

/** The flags of {@link RateFlags}. */
export function rateOptions(): Option[] {
  return [
    new Option('--kube-api-qps <number>', 'API calls a second; 0 and below for no limit')
      .argParser(parseNumber)
      .default(0),
    new Option('--kube-api-burst <number>', 'API calls that may exceed --kube-api-qps at once')
      .argParser(parseNumber)
      .default(0),
  ]
}

/** What a client takes for {@link RateFlags}. */
export function rateLimits(flags: RateFlags): { readonly qps?: number; readonly burst?: number } {
  return flags.kubeApiQps > 0 ? { qps: flags.kubeApiQps, burst: Math.max(1, flags.kubeApiBurst) } : {}
}
