import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './command.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import type { NodeAccess } from './node.ts'
import { execInContainer, execInPod, type Pod } from './pod.ts'

/** What a container finds in a volume with the default file names. */
export interface MountedCertificate {
  readonly leaf: X509Certificate
  readonly key: KeyObject
  /** `tls.key`. */
  readonly keyPem: string
  /** `tls.crt`, leaf first. */
  readonly chainPem: string
  /** `ca.crt`. */
  readonly caPem: string
}

/**
 * Reads a volume from inside of its pod's container. The three files are of one generation: it steps through `..data` once.
 *
 * @param path - where the volume is mounted
 */
export function readMountedCertificate(
  controlPlane: ControlPlaneAccess,
  pod: Pod,
  path: string,
): Promise<MountedCertificate> {
  return readBy((...command) => execInPod(controlPlane, pod, ...command), path)
}

/** Reads a volume as {@link readMountedCertificate} does, without API server and kubelet. */
export function readContainerCertificate(
  node: NodeAccess,
  container: string,
  path: string,
): Promise<MountedCertificate> {
  return readBy((...command) => execInContainer(node, container, ...command), path)
}

async function readBy(
  exec: (...command: readonly string[]) => Promise<string>,
  path: string,
): Promise<MountedCertificate> {
  const read = 'cd -P "$0/..data" && cat tls.crt && echo "#" && cat tls.key && echo "#" && cat ca.crt'
  const files = await exec('sh', '-c', read, path)
  const [chainPem, keyPem, caPem] = files.split('#\n')
  if (chainPem === undefined || keyPem === undefined || caPem === undefined) throw new Error(`${path} lacks files`)
  return { leaf: new X509Certificate(chainPem), key: createPrivateKey(keyPem), keyPem, chainPem, caPem }
}

/**
 * Lets openssl judge a chain as a TLS client would.
 *
 * @param directory - where files may be left
 * @throws {CommandFailedError} with what openssl says, where the chain does not lead to the CA or is for another name
 */
export async function verifyWithOpenssl(
  directory: string,
  chainPem: string,
  caPem: string,
  hostName: string,
): Promise<void> {
  const files = await mkdtemp(join(directory, 'verify-'))
  const [chain, ca] = [join(files, 'chain.pem'), join(files, 'ca.pem')]
  await writeFile(chain, chainPem)
  await writeFile(ca, caPem)
  await run('openssl', ['verify', '-CAfile', ca, '-untrusted', chain, '-verify_hostname', hostName, chain])
}
