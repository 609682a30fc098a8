import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { CertificateSigningRequest } from '../../src/kubernetes/certificates.ts'
import { encodePrivateKey } from '../../src/x509/key.ts'
import { ApproverProcess, installApprover } from './approver-process.ts'
import { DriverProcess, driverName, installDriver } from './driver-process.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { readMountedCertificate, verifyWithOpenssl } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { createPod, deletePod, type Pod, runPod, volumeIdOf } from './pod.ts'
import { installSigner, type SignerProcess, startSigner } from './signer-process.ts'
import { newAuthority } from './test-signer.ts'
import { until } from './until.ts'

// The driver, the approver and the signer together: a driver asks for pods on its node, the approver finds the volume that a request
// names, and the signer signs what is approved and says whom to trust.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'signers-by-policy'
const signerName = 'policy.podpass.io/serving'
const identity = 'system:serviceaccount:podpass:podpass-driver'
const authority = newAuthority('root by policy')

let approver: ApproverProcess
let signer: SignerProcess
let driver: DriverProcess
let agent: Pod

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await installDriver(controlPlane)
  await kubectl(controlPlane, ['apply', '-f', join(import.meta.dirname, '../../deploy/driver/kubernetes-signers.yaml')])
  await installApprover(controlPlane, [signerName])
  await installSigner(controlPlane)
  await maySign()
  await apply(
    controlPlane,
    {
      apiVersion: 'podpass.io/v1alpha1',
      kind: 'CertificatePolicy',
      metadata: { name: 'volumes' },
      spec: {
        requests: { signerNames: [signerName] },
        binding: 'pod',
        names: { allowed: { dnsNames: ['*.${namespace}.svc'] } },
      },
    },
    service('web'),
    service('bank'),
  )
  signer = await startSigner(controlPlane, { signers: [{ name: signerName, ca: { files: await authorityFiles() } }] })
  approver = await ApproverProcess.start(controlPlane, [`--driver-identity=${identity}`])
  await approver.leading()
  await kubectl(controlPlane, ['wait', '-n', 'podpass', '--for=create', 'configmap/kube-root-ca.crt', '--timeout=60s'])
  agent = await runPod(cluster, { namespace: 'podpass', name: 'driver-of-this-node', serviceAccount: 'podpass-driver' })
  driver = await DriverProcess.start(cluster, ['--publish-timeout=5s'], await boundKubeconfig(agent))
})

afterAll(async () => {
  await driver?.stop()
  await approver?.stop()
  await signer?.daemon.close('SIGTERM')
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'volumes', '--ignore-not-found'])
  if (agent) await deletePod(controlPlane, agent)
})

test('a volume whose names its Services have is approved, signed and shown without anybody', async () => {
  const pod = await createPod(cluster, podWith('web', 'web'))
  await kubectl(controlPlane, ['wait', 'pod', 'web', '-n', namespace, '--for=condition=Ready', '--timeout=150s'])
  const { leaf, key, chainPem, caPem } = await readMountedCertificate(controlPlane, pod, '/tls')
  expect(leaf.checkPrivateKey(key)).toBe(true)
  expect(caPem).toBe(authority.certificate.pem)
  await verifyWithOpenssl(controlPlane.directory, chainPem, caPem, `web.${namespace}.svc`)
  const request = await requestOf(pod)
  expect(request.spec.username).toBe(identity)
  expect(request.spec.extra?.['authentication.kubernetes.io/node-name']).toEqual([node.name])
  await deletePod(controlPlane, pod)
})

test('a volume that asks for the name of a Service which leads to others waits, and nobody has approved it', async () => {
  const pod = await createPod(cluster, podWith('thief', 'bank'))
  const request = await requestOf(pod)
  const { name = '' } = request.metadata
  await until('the approver to have looked at it', () =>
    approver.decisions.some((entry) => entry.request?.includes(name)),
  )
  expect((await requestOf(pod)).status?.conditions).toBeUndefined()
  await deletePod(controlPlane, pod)
})

/** Gives the signer's account the rights for this signer's name. */
async function maySign(): Promise<void> {
  const [apiGroup, name] = ['rbac.authorization.k8s.io', 'podpass-signer-volumes']
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

/** The signer's CA, as files. */
async function authorityFiles(): Promise<{ readonly certificate: string; readonly key: string }> {
  const directory = await mkdtemp(join(controlPlane.directory, 'ca-'))
  const files = { certificate: join(directory, 'ca.crt'), key: join(directory, 'ca.key') }
  await writeFile(files.certificate, authority.certificate.pem)
  await writeFile(files.key, encodePrivateKey(authority.key, 'PKCS8'), { mode: 0o600 })
  return files
}

/** A pod with a volume that asks for the name of a Service. */
function podWith(name: string, asked: string) {
  const attributes = {
    'csi.cert-manager.io/issuer-group': 'certificates.k8s.io',
    'csi.cert-manager.io/issuer-name': signerName,
    'csi.cert-manager.io/key-algorithm': 'ECDSA',
    'csi.cert-manager.io/duration': '24h',
    'csi.cert-manager.io/key-usages': 'digital signature,server auth',
    'csi.cert-manager.io/dns-names': `${asked}.\${POD_NAMESPACE}.svc`,
  }
  return { namespace, name, volumes: { tls: { driver: driverName, attributes } } }
}

function service(name: string): object {
  const spec = { selector: { app: name }, ports: [{ port: 443 }] }
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec }
}

function requestOf(pod: Pod): Promise<CertificateSigningRequest> {
  return until('the request of the volume', async () => {
    const list = JSON.parse(await kubectl(controlPlane, ['get', 'csr', '-o', 'json'])) as {
      readonly items: readonly CertificateSigningRequest[]
    }
    return list.items.find(({ metadata }) => metadata.annotations?.['podpass.io/volume'] === volumeIdOf(pod, 'tls'))
  })
}

/** A kubeconfig file with a token as the kubelet gives it to a pod: bound to it, and so to its node. */
async function boundKubeconfig({ namespace, name, uid }: Pod): Promise<string> {
  const directory = await mkdtemp(join(controlPlane.directory, 'bound-'))
  const [tokenFile, kubeconfig] = [join(directory, 'token'), join(directory, 'kubeconfig')]
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${name}`, `--bound-object-uid=${uid}`]
  const token = await kubectl(controlPlane, ['create', 'token', 'podpass-driver', '-n', namespace, ...bound])
  await writeFile(tokenFile, token.trim(), { mode: 0o600 })
  await writeKubeconfig(kubeconfig, controlPlane.server, controlPlane.certificateAuthority, { tokenFile })
  return kubeconfig
}
