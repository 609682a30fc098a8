import { join } from 'node:path'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'

/**
 * Runs kubectl as the cluster's administrator.
 *
 * @param input - its standard input, for `-f -`
 * @returns its standard output
 */
export function kubectl(controlPlane: ControlPlaneAccess, args: readonly string[], input?: string): Promise<string> {
  const { kubectl, adminKubeconfig, directory } = controlPlane
  const global = ['--kubeconfig', adminKubeconfig, '--cache-dir', join(directory, 'kubectl-cache')]
  return run(kubectl, [...global, ...args], input === undefined ? {} : { input })
}

/** Creates or updates objects, given as plain data. */
export async function apply(controlPlane: ControlPlaneAccess, ...objects: readonly object[]): Promise<void> {
  await kubectl(controlPlane, ['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
}
