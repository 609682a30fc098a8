import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildComponent } from './components/build.ts'
import { formerRegistrar } from './components/former-registrar/recipe.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { kubectl } from './kubectl.ts'

/** The namespace that the former registrar believes its pod to be in: of its lock and of its SpiffeIDs for nodes. */
export const formerRegistrarNamespace = 'spire'

/**
 * Starts SPIRE's former registrar, as the cluster's administrator. It is at work some seconds later; its log is `log/former-registrar` in
 * the control plane's directory.
 *
 * @param configuration - its file, in HCL
 */
export async function startFormerRegistrar(controlPlane: ControlPlaneAccess, configuration: string): Promise<Daemon> {
  const binaries = await buildComponent(formerRegistrar, console.error)
  const directory = await mkdtemp(join(controlPlane.directory, 'former-registrar-'))
  const file = join(directory, 'registrar.conf')
  await writeFile(file, configuration)
  // Only a pod's files tell it its namespace, so it gets a /run of its own.
  const inPod =
    'account=/run/secrets/kubernetes.io/serviceaccount; mount -t tmpfs run /run; mkdir -p $account; printf %s "$0" >$account/namespace; exec "$@"'
  const unshared = ['--mount', '--propagation', 'private', 'sh', '-ec', inPod, formerRegistrarNamespace]
  return Daemon.start('unshare', [...unshared, join(binaries, 'k8s-workload-registrar'), '-config', file], {
    log: join(controlPlane.directory, 'log/former-registrar'),
    env: { KUBECONFIG: controlPlane.adminKubeconfig },
  })
}

/** The definition of the kind SpiffeID as the former registrar ships it, for its mode crd. */
export async function formerSpiffeIdDefinition(): Promise<string> {
  return join(await buildComponent(formerRegistrar, console.error), 'crd.yaml')
}

/** Creates the kind SpiffeID. @param definition - a manifest */
export async function installSpiffeIds(controlPlane: ControlPlaneAccess, definition: string): Promise<void> {
  await kubectl(controlPlane, ['apply', '-f', definition])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', spiffeIds])
}

/**
 * Deletes the kind SpiffeID and all that there are: they have finalizers, so a registrar in mode crd has to be at work. As long as it is, it
 * would make them again if only they were deleted.
 */
export async function removeSpiffeIds(controlPlane: ControlPlaneAccess): Promise<void> {
  await kubectl(controlPlane, ['delete', spiffeIds, '--timeout=60s'])
}

const spiffeIds = 'crd/spiffeids.spiffeid.spiffe.io'
