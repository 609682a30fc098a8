import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { claimPort } from './claim.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { until } from './until.ts'

const project = join(import.meta.dirname, '../..')

/** A signer under its own service account, and where it tells how it is. */
export interface SignerProcess {
  readonly daemon: Daemon
  readonly probes: string
}

/** Creates the signer's account, rights and the kind CertificatePolicy from the manifests that ship. */
export async function installSigner(controlPlane: ControlPlaneAccess): Promise<void> {
  await createNamespace(controlPlane, 'podpass')
  for (const manifest of ['crd.yaml', 'signer-rbac.yaml']) {
    await kubectl(controlPlane, ['apply', '-f', join(project, 'deploy/approver', manifest)])
  }
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/certificatepolicies.podpass.io'])
}

/** Gives the signer's account the rights for one more signer's name. */
export async function maySign(controlPlane: ControlPlaneAccess, signerName: string): Promise<void> {
  const [apiGroup, name] = ['rbac.authorization.k8s.io', `podpass-signer-${signerName.replace('/', '-')}`]
  const rule = { apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames: [signerName] }
  await apply(
    controlPlane,
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'ClusterRole',
      metadata: { name },
      rules: [{ ...rule, verbs: ['sign', 'attest'] }],
    },
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name: 'podpass-signer', namespace: 'podpass' }],
    },
  )
}

/**
 * Starts `podpass approver sign`. Its log is `log/signer` in the control plane's directory.
 *
 * @param settings - what the file of `--sign-config` holds
 */
export async function startSigner(
  controlPlane: ControlPlaneAccess,
  settings: object,
  flags: readonly string[] = [],
): Promise<SignerProcess> {
  const { directory } = controlPlane
  const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, { namespace: 'podpass', name: 'podpass-signer' })
  const file = join(directory, 'signers.yaml')
  await writeFile(file, JSON.stringify(settings))
  const { port, claim } = await claimPort()
  const options = ['--sign-config', file, '--kubeconfig', kubeconfig, '--metrics-bind-address', `127.0.0.1:${port}`]
  const program = [join(project, 'dist/podpass.cjs'), 'approver', 'sign', ...options, '--log-level=debug', ...flags]
  const daemon = await Daemon.start(process.execPath, program, { log: join(directory, 'log/signer') })
  const probes = `http://127.0.0.1:${port}`
  await until('the signer to serve', async () => (await fetch(`${probes}/healthz`)).ok, { orFail: daemon.failure() })
  await claim.close()
  return { daemon, probes }
}
