import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { CertificateSigningRequest } from '../../src/kubernetes/certificates.ts'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { certificateSigningRequests } from '../../src/kubernetes/resource.ts'
import { ApproverProcess, installApprover } from './approver-process.ts'
import { csrFor, signingRequest } from './approver-requests.ts'
import { DriverProcess, driverName, installDriver } from './driver-process.ts'
import { baseImage } from './image.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { readMountedCertificate, verifyWithOpenssl } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { createPod, deletePod, type Pod, runPod, volumeIdOf } from './pod.ts'
import { installSigner, maySign, type SignerProcess, startSigner } from './signer-process.ts'
import { authorityFiles, newAuthority } from './test-signer.ts'
import { until } from './until.ts'

// The driver, the approver and the signer together: a driver asks for pods on its node, the approver finds the volume that a request
// names, and the signer signs what is approved and says whom to trust.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'signers-by-policy'
const signerName = 'policy.podpass.io/serving'
const identity = 'system:serviceaccount:podpass:podpass-driver'
const authority = newAuthority('root by policy')
const daemonSet = 'driver-of-this-node'

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
  await maySign(controlPlane, signerName)
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
  signer = await startSigner(controlPlane, {
    signers: [{ name: signerName, ca: { files: await authorityFiles(controlPlane, authority) } }],
  })
  approver = await ApproverProcess.start(controlPlane, [`--driver-identity=${identity}`])
  await approver.leading()
  await kubectl(controlPlane, ['wait', '-n', 'podpass', '--for=create', 'configmap/kube-root-ca.crt', '--timeout=60s'])
  agent = await runDaemonSet()
  driver = await DriverProcess.start(cluster, ['--publish-timeout=5s'], await boundKubeconfig(agent))
})

afterAll(async () => {
  await driver?.stop()
  await approver?.stop()
  await signer?.daemon.close('SIGTERM')
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'volumes', '--ignore-not-found'])
  await kubectl(controlPlane, ['delete', 'daemonset', daemonSet, '-n', 'podpass', '--ignore-not-found', '--wait=false'])
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

test("a pod that somebody made by hand under the driver's account gets nothing for others", async () => {
  const impostor = await runPod(cluster, { namespace: 'podpass', name: 'impostor', serviceAccount: 'podpass-driver' })
  const pod = await createPod(cluster, { ...podWith('victim', 'web'), labels: { app: 'web' } })
  const { annotations = {} } = (await requestOf(pod)).metadata
  // What the driver has asked for, asked for once more by another, for a key of its own.
  const { spec } = signingRequest('by-an-impostor', signerName, csrFor([`web.${namespace}.svc`]))
  await using parts = new AsyncDisposableStack()
  const client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  parts.defer(() => client.close())
  const copy = { metadata: { name: 'by-an-impostor', annotations }, spec }
  await client.create(certificateSigningRequests, copy, { token: await boundToken(impostor) })
  const decision = await approver.logged('what becomes of it', ({ request = '' }) => request.endsWith('by-an-impostor'))
  expect(decision).toMatchObject({
    decision: 'wait',
    why: expect.stringContaining('podpass/impostor: it is no pod of a DaemonSet') as string,
  })
  await kubectl(controlPlane, ['delete', 'csr', 'by-an-impostor'])
  for (const one of [pod, impostor]) await deletePod(controlPlane, one)
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

/** A DaemonSet whose pod has the driver's account and its token; the driver itself runs beside it. @returns its pod on the node */
async function runDaemonSet(): Promise<Pod> {
  const [labels, at] = [{ app: daemonSet }, ['-n', 'podpass', '-l', `app=${daemonSet}`]]
  await apply(controlPlane, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { namespace: 'podpass', name: daemonSet },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          // There is no scheduler.
          nodeName: node.name,
          serviceAccountName: 'podpass-driver',
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'main', image: baseImage.name, imagePullPolicy: 'Never' }],
        },
      },
    },
  })
  await kubectl(controlPlane, ['wait', 'pod', ...at, '--for=create', '--timeout=60s'])
  await kubectl(controlPlane, ['wait', 'pod', ...at, '--for=condition=Ready', '--timeout=120s'])
  const [name = '', uid = ''] = (
    await kubectl(controlPlane, [
      'get',
      'pod',
      ...at,
      '-o',
      'jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}',
    ])
  ).split(' ')
  return { namespace: 'podpass', name, uid }
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
async function boundKubeconfig(pod: Pod): Promise<string> {
  const directory = await mkdtemp(join(controlPlane.directory, 'bound-'))
  const [tokenFile, kubeconfig] = [join(directory, 'token'), join(directory, 'kubeconfig')]
  await writeFile(tokenFile, await boundToken(pod), { mode: 0o600 })
  await writeKubeconfig(kubeconfig, controlPlane.server, controlPlane.certificateAuthority, { tokenFile })
  return kubeconfig
}

async function boundToken({ namespace, name, uid }: Pod): Promise<string> {
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${name}`, `--bound-object-uid=${uid}`]
  return (await kubectl(controlPlane, ['create', 'token', 'podpass-driver', '-n', namespace, ...bound])).trim()
}
