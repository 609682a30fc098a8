import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { claimPort } from './claim.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { formerRegistrarNamespace } from './former-registrar.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { kubectl } from './kubectl.ts'
import { until } from './until.ts'

const project = join(import.meta.dirname, '../..')

/** A registrar under its own service account, and where it tells how it is. */
export interface RegistrarProcess {
  readonly daemon: Daemon
  /** `http://host:port`, for /metrics, /healthz and /readyz. */
  readonly probes: string
}

/** Creates the registrar's account and its rights from the manifests that ship. */
export async function installRegistrar(controlPlane: ControlPlaneAccess): Promise<void> {
  await kubectl(controlPlane, ['apply', '-f', join(project, 'deploy/registrar/rbac.yaml')])
}

/**
 * Starts `podpass registrar` as its Deployment does. Its log is `log/registrar` in the control plane's directory.
 *
 * @param configuration - its file, in HCL
 */
export async function startRegistrar(
  controlPlane: ControlPlaneAccess,
  configuration: string,
  flags: readonly string[] = [],
): Promise<RegistrarProcess> {
  const { directory } = controlPlane
  const account = { namespace: formerRegistrarNamespace, name: 'podpass-registrar' }
  const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, account)
  const file = join(await mkdtemp(join(directory, 'registrar-')), 'registrar.conf')
  await writeFile(file, configuration)
  const { port, claim } = await claimPort()
  const own = ['--config', file, '--kubeconfig', kubeconfig, '--metrics-bind-address', `127.0.0.1:${port}`]
  const program = [join(project, 'dist/podpass.cjs'), 'registrar', ...own, '--log-level=debug', ...flags]
  const env = { MY_POD_NAMESPACE: account.namespace }
  const daemon = await Daemon.start(process.execPath, program, { log: join(directory, 'log/registrar'), env })
  const probes = `http://127.0.0.1:${port}`
  await until('the registrar to serve', async () => (await fetch(`${probes}/healthz`)).ok, { orFail: daemon.failure() })
  await claim.close()
  return { daemon, probes }
}
