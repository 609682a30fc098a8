import { access, readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { ConnectionConfig } from './connection-config.ts'
import { ConfigurationError } from './errors.ts'

/** Where the kubelet projects a pod's own token, CA and namespace. */
export const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * The configuration that Kubernetes gives every pod: the service account's token, which is replaced while the pod runs, and the
 * cluster's CA.
 *
 * @param env - `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` are read
 * @throws {ConfigurationError} outside of a pod, or where the pod has no service account token
 */
export async function inClusterConfig(
  env: Readonly<Record<string, string | undefined>>,
  directory: string = serviceAccountDirectory,
): Promise<ConnectionConfig> {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  if (!host || !port) {
    throw new ConfigurationError('not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set')
  }
  const tokenPath = join(directory, 'token')
  const caPath = join(directory, 'ca.crt')
  for (const path of [tokenPath, caPath]) {
    await access(path).catch((error: unknown) => {
      throw new ConfigurationError(`${path} cannot be read; is automountServiceAccountToken off?`, { cause: error })
    })
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    ca: { from: 'file', path: caPath },
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'token-file', path: tokenPath },
    impersonation: undefined,
    proxy: undefined,
    namespace: await podNamespace(directory),
  }
}

/** The namespace of the pod that this process runs in; `default` where the file is missing. */
async function podNamespace(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'namespace'), 'utf8').catch(() => '')
  return text.trim() || 'default'
}
