import { apply, kubectl } from './kubectl.ts'
import type { ControlPlaneAccess } from './control-plane.ts'

/** Creates a namespace, if it is not there, and waits until pods may be created in it. */
export async function createNamespace(controlPlane: ControlPlaneAccess, name: string): Promise<void> {
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  // Pods get the account `default`, and mount this ConfigMap; controllers make both after the namespace.
  await kubectl(controlPlane, ['wait', '-n', name, '--for=create', 'serviceaccount/default', '--timeout=60s'])
  await kubectl(controlPlane, ['wait', '-n', name, '--for=create', 'configmap/kube-root-ca.crt', '--timeout=60s'])
}
