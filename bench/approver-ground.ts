import type { KubernetesClient } from '../src/kubernetes/client.ts'
import { pods } from '../src/kubernetes/resource.ts'
import { createAuthority } from '../src/x509/authority.ts'
import { encodePrivateKey, generateKeySync } from '../src/x509/key.ts'
import { buildSubject } from '../src/x509/name.ts'
import { ApproverProcess, installApprover } from '../test/cluster/approver-process.ts'
import { allowRequests } from '../test/cluster/approver-requests.ts'
import type { ControlPlaneAccess } from '../test/cluster/control-plane.ts'
import { apply } from '../test/cluster/kubectl.ts'
import { createNamespace } from '../test/cluster/namespace.ts'
import type { Pod } from '../test/cluster/pod.ts'
import { installSigner, type SignerProcess, startSigner } from '../test/cluster/signer-process.ts'
import { until } from '../test/cluster/until.ts'

export const namespace = 'bench'
/** Whose requests are served by whom. The manifests that ship give the signer its rights for the second. */
export const signers = {
  floor: 'bench.test/floor',
  podpass: 'example.com/serving',
  builtIn: 'kubernetes.io/kube-apiserver-client-kubelet',
} as const

/** The group whose members may ask for client certificates of kubelets. */
export const bootstrappers = 'bench:bootstrappers'

/** The approver and the signer as they ship, each under its own account. */
export interface ServingPair {
  readonly approver: ApproverProcess
  readonly signer: SignerProcess
}

/** Puts up everything but the processes: rights, a policy, a Service, a CA. */
export async function prepare(access: ControlPlaneAccess): Promise<void> {
  await installApprover(access, [signers.podpass])
  await installSigner(access)
  await createNamespace(access, namespace)
  await allowRequests(access, namespace)
  await apply(access, policy, service, authority(), ...nodeClientRights())
}

/** A pod that is never scheduled: requests are made with its token. */
export async function createPod(client: KubernetesClient): Promise<Pod> {
  const container = { name: 'main', image: 'none.test/none:1', imagePullPolicy: 'Never' }
  const labels = { app: 'web' }
  const spec = { containers: [container] } as object
  const { metadata } = await client.create(pods, { metadata: { namespace, name: 'web', labels }, spec })
  return { namespace, name: 'web', uid: metadata.uid ?? '' }
}

/** As it ships: tests have it shorter, and a busy machine would lose it. */
const usualLease = [
  '--leader-election-lease-duration=60s',
  '--leader-election-renew-deadline=40s',
  '--leader-election-retry-period=15s',
]

/** Starts both as they ship, and resolves once they are at work. */
export async function startPair(access: ControlPlaneAccess): Promise<ServingPair> {
  const approver = await ApproverProcess.start(access, [...usualLease, '--log-level=info'])
  const ca = { secret: { namespace: 'podpass', name: 'serving-ca' } }
  const signer = await startSigner(access, { signers: [{ name: signers.podpass, ca }] })
  await approver.leading()
  await until('the signer to be ready', async () => (await fetch(`${signer.probes}/readyz`)).ok, {
    orFail: signer.daemon.failure(),
  })
  return { approver, signer }
}

const policy = {
  apiVersion: 'podpass.io/v1alpha1',
  kind: 'CertificatePolicy',
  metadata: { name: 'bench' },
  spec: {
    requests: { signerNames: [signers.podpass] },
    binding: 'pod',
    names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
    duration: { max: '24h' },
  },
}

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 443 }] },
}

function authority(): object {
  const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
  const subject = buildSubject({ commonName: 'bench CA' })
  const { certificate } = createAuthority({ subject, key, lifetime: 30 * 86_400_000, now: Date.now() })
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'podpass', name: 'serving-ca' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certificate.pem, 'tls.key': encodePrivateKey(key, 'PKCS8'), 'ca.crt': certificate.pem },
  }
}

/** What kubeadm gives to bootstrap tokens: to ask, and to be approved by the controller manager. */
function nodeClientRights(): object[] {
  const clusterRoles = ['system:node-bootstrapper', 'system:certificates.k8s.io:certificatesigningrequests:nodeclient']
  return clusterRoles.map((name, index) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: `bench-bootstrap-${index}` },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: bootstrappers }],
  }))
}
