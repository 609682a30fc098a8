import { access } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionConfig } from './connection-config.ts'
import { ConfigurationError } from './errors.ts'
import { inClusterConfig } from './in-cluster.ts'

export interface DiscoveryOptions {
  /** A kubeconfig file that a user named. */
  readonly kubeconfig?: string | undefined
  /** @default {the file's current-context} */
  readonly context?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Finds out how to reach the API server, in the order that users of controller-runtime know: the named file, `$KUBECONFIG`, the pod
 * this process runs in, `~/.kube/config`.
 *
 * @throws {ConfigurationError}
 */
export async function discoverConnection(options: DiscoveryOptions): Promise<ConnectionConfig> {
  const { env, context } = options
  const named = options.kubeconfig ?? env['KUBECONFIG']
  if (named) return await fromFile(options.kubeconfig === undefined ? { paths: named } : { path: named }, context)
  if (env['KUBERNETES_SERVICE_HOST'] && context === undefined) return await inClusterConfig(env)
  const path = join(env['HOME'] ?? homedir(), '.kube', 'config')
  await access(path).catch((error: unknown) => {
    throw new ConfigurationError(
      `no way to the API server: no kubeconfig file is named, KUBECONFIG is not set, this is not a pod, and there is no ${path}`,
      { cause: error },
    )
  })
  return await fromFile({ path }, context)
}

/** In a pod no kubeconfig is read, so its parser is not loaded there. */
async function fromFile(
  source: { readonly path: string } | { readonly paths: string },
  context: string | undefined,
): Promise<ConnectionConfig> {
  const { loadKubeconfig } = await import('./kubeconfig.ts')
  return await loadKubeconfig({ ...source, context })
}
