import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControlPlaneAccess } from './control-plane.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { createPod, type PodPlace } from './pod.ts'
import type { PsatCluster } from './spire.ts'

const account = { namespace: 'spire', name: 'spire-agent' }

/** What a SPIRE server has to know of a cluster for {@link createAgentToken}'s agents. */
export function psatCluster(controlPlane: ControlPlaneAccess): PsatCluster {
  return { kubeconfig: controlPlane.adminKubeconfig, serviceAccounts: [`${account.namespace}:${account.name}`] }
}

/**
 * Creates the pod of an agent on the cluster's node, and a token that is bound to it and good for an hour: with it an agent outside of the
 * cluster attests as that node.
 *
 * @returns the token's file
 */
export async function createAgentToken(cluster: PodPlace): Promise<string> {
  const { controlPlane } = cluster
  await createNamespace(controlPlane, account.namespace)
  await apply(controlPlane, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account })
  const pod = await createPod(cluster, { ...account, serviceAccount: account.name })
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod.name}`, `--bound-object-uid=${pod.uid}`]
  const audience = '--audience=spire-server'
  const token = await kubectl(controlPlane, [
    'create',
    'token',
    account.name,
    '-n',
    account.namespace,
    audience,
    ...bound,
  ])
  const file = join(controlPlane.directory, 'spire-agent.token')
  await writeFile(file, token.trim(), { mode: 0o600 })
  return file
}
