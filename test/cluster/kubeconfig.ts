import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { issue } from './certificate-authority.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { kubectl } from './kubectl.ts'

/** Who a kubeconfig file says it is: the fields of its `user`. */
export type Credentials =
  | { readonly 'client-certificate': string; readonly 'client-key': string }
  | { readonly tokenFile: string }

/** Writes a kubeconfig file for one cluster and one user. */
export async function writeKubeconfig(
  file: string,
  server: string,
  certificateAuthority: string,
  user: Credentials,
): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': certificateAuthority } }],
    users: [{ name: 'test', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  }
  // JSON is YAML, and kubectl and everybody else reads it.
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 })
}

/**
 * A kubeconfig file for a user with a client certificate. It lives as long as the control plane's directory.
 *
 * @param groups - the user's groups; `system:masters` may do everything
 * @returns its path
 */
export async function userKubeconfig(
  controlPlane: ControlPlaneAccess,
  user: string,
  groups: readonly string[] = [],
): Promise<string> {
  const directory = await mkdtemp(join(controlPlane.directory, 'user-'))
  const authority = { certificate: controlPlane.certificateAuthority, key: controlPlane.certificateAuthorityKey }
  const pair = await issue(authority, directory, 'user', { commonName: user, organizations: groups })
  const kubeconfig = join(directory, 'kubeconfig')
  await writeKubeconfig(kubeconfig, controlPlane.server, controlPlane.certificateAuthority, {
    'client-certificate': pair.certificate,
    'client-key': pair.key,
  })
  return kubeconfig
}

/** What a pod finds of its service account: a token in a file, which may be rewritten, and the API server's CA. */
export interface ServiceAccountFiles {
  readonly kubeconfig: string
  readonly tokenFile: string
  readonly certificateAuthority: string
}

/** Names a service account. */
export interface ServiceAccountName {
  readonly namespace: string
  readonly name: string
}

/**
 * A kubeconfig file for a service account that exists, with its token in a file beside it. It lives as long as the control
 * plane's directory, the token for an hour.
 */
export async function serviceAccountKubeconfig(
  controlPlane: ControlPlaneAccess,
  account: ServiceAccountName,
): Promise<ServiceAccountFiles> {
  const directory = await mkdtemp(join(controlPlane.directory, 'service-account-'))
  const tokenFile = join(directory, 'token')
  await writeFile(tokenFile, await createToken(controlPlane, account), { mode: 0o600 })
  const kubeconfig = join(directory, 'kubeconfig')
  const { server, certificateAuthority } = controlPlane
  await writeKubeconfig(kubeconfig, server, certificateAuthority, { tokenFile })
  return { kubeconfig, tokenFile, certificateAuthority }
}

/** A fresh token of a service account, for an hour. */
export async function createToken(controlPlane: ControlPlaneAccess, account: ServiceAccountName): Promise<string> {
  return (await kubectl(controlPlane, ['create', 'token', account.name, '-n', account.namespace])).trim()
}
