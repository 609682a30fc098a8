import type { ConnectionConfig } from '../kubernetes/connection-config.ts'
import { inClusterConfig } from '../kubernetes/in-cluster.ts'
import { loadKubeconfig } from '../kubernetes/kubeconfig.ts'

/** The API server that a kubeconfig file names, or else the one of the cluster that this process runs in. */
export async function connectionConfig(
  kubeconfig: string | undefined,
  context: string | undefined,
): Promise<ConnectionConfig> {
  if (kubeconfig === undefined || kubeconfig === '') return inClusterConfig(process.env)
  return loadKubeconfig(context === undefined ? { path: kubeconfig } : { path: kubeconfig, context })
}
