import { Option } from 'commander'
import type { ConnectionConfig } from '../kubernetes/connection-config.ts'
import { inClusterConfig } from '../kubernetes/in-cluster.ts'
import { parseBoolean } from './flag-values.ts'

/** How to reach the API server, in kubectl's words. */
export interface ConnectionFlags {
  readonly kubeconfig?: string
  readonly context?: string
  readonly server?: string
  readonly token?: string
  readonly certificateAuthority?: string
  readonly clientCertificate?: string
  readonly clientKey?: string
  readonly tlsServerName?: string
  readonly insecureSkipTlsVerify?: boolean
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
    ...withoutEffect.map((flags) => new Option(flags).hideHelp()),
  ]
}

/** The API server that the flags name, or else the one of the cluster that this process runs in. */
export async function connectionConfig(flags: ConnectionFlags): Promise<ConnectionConfig> {
  const base = await baseConfig(flags)
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
  }
}

async function baseConfig({ kubeconfig, context, server }: ConnectionFlags): Promise<ConnectionConfig> {
  if (kubeconfig !== undefined && kubeconfig !== '') {
    // Loaded when it is needed: in a pod there is no kubeconfig, and YAML takes memory.
    const { loadKubeconfig } = await import('../kubernetes/kubeconfig.ts')
    return loadKubeconfig(kubeconfig.includes(':') ? { paths: kubeconfig, context } : { path: kubeconfig, context })
  }
  if (server === undefined) return inClusterConfig(process.env)
  return {
    server,
    ca: undefined,
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'nothing' },
    namespace: 'default',
  }
}
