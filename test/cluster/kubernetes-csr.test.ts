import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { CertificateSigningRequest } from '../../src/kubernetes/certificates.ts'
import { volumeIdOf as claimedVolumeId } from '../../src/approver/claimed-volume.ts'
import { signingRequestNames } from '../../src/issuer/signing-request.ts'
import type { Authority } from '../../src/x509/authority.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { run } from './command.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate, verifyWithOpenssl } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { nodePath } from './node.ts'
import { createPod, deletePod, type Pod, volumeIdOf } from './pod.ts'
import { newAuthority, publishTrust, TestSigner } from './test-signer.ts'
import { until } from './until.ts'

// Volumes whose issuer is a signer of Kubernetes' own certificates API: real requests, approved by kubectl or by a policy of none.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'signers'
const signerName = 'test.podpass.io/serving'
const clientSigner = 'kubernetes.io/kube-apiserver-client'
const attributes = {
  'csi.cert-manager.io/issuer-group': 'certificates.k8s.io',
  'csi.cert-manager.io/issuer-kind': 'Signer',
  'csi.cert-manager.io/issuer-name': signerName,
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/duration': '1h',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc',
}
const flags = [`--signer-trust=${clientSigner}=podpass/kube-root-ca.crt`]

let driver: DriverProcess
let signer: TestSigner
let first: Authority
let pods: Pod[] = []

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await installDriver(controlPlane)
  await kubectl(controlPlane, ['apply', '-f', join(import.meta.dirname, '../../deploy/driver/kubernetes-signers.yaml')])
  await mayReadTrust()
  first = newAuthority('first root')
  await publishTrust(controlPlane, signerName, first)
  signer = await TestSigner.start(controlPlane, signerName, first)
  driver = await DriverProcess.start(cluster, flags)
})

afterEach(async () => {
  signer.approves = false
  await Promise.all(pods.map((pod) => deletePod(controlPlane, pod)))
  pods = []
  await until('every request to be gone', async () => (await requests()).length === 0)
})

afterAll(async () => {
  await driver?.stop()
  await signer?.close()
  await kubectl(controlPlane, ['delete', 'clustertrustbundle', `${signerName.replace('/', ':')}:roots`])
})

test('a request waits as Pending, kubectl approves it, and the pod reads a certificate and the trust of its signer', async () => {
  const pod = await start('approved')
  const request = await pending()
  const listed = await kubectl(controlPlane, ['get', 'csr', nameOf(request), '--no-headers'])
  expect(listed).toContain('Pending')
  expect(request.metadata.annotations?.['podpass.io/volume']).toBe(claimedVolumeId(pod.uid, 'tls'))
  expect(request.spec).toMatchObject({ signerName, expirationSeconds: 3600 })
  expect(request.spec.username).toBe('system:serviceaccount:podpass:podpass-driver')

  await kubectl(controlPlane, ['certificate', 'approve', nameOf(request)])

  const { leaf, key, chainPem, caPem } = await mounted(pod)
  expect(leaf.checkPrivateKey(key)).toBe(true)
  expect(caPem).toBe(first.certificate.pem)
  await verifyWithOpenssl(controlPlane.directory, chainPem, caPem, `approved.${namespace}.svc`)
})

test('a certificate of a built-in signer speaks for its user to the API server, and its trust is that of a ConfigMap', async () => {
  const pod = await start('client', {
    'csi.cert-manager.io/issuer-name': clientSigner,
    'csi.cert-manager.io/common-name': 'web-${POD_NAME}',
    'csi.cert-manager.io/key-usages': 'digital signature,client auth',
  })
  await kubectl(controlPlane, ['certificate', 'approve', nameOf(await pending(clientSigner))])
  const { chainPem, keyPem, caPem } = await mounted(pod)
  const directory = await mkdtemp(join(controlPlane.directory, 'client-'))
  const files = { 'client-certificate': join(directory, 'tls.crt'), 'client-key': join(directory, 'tls.key') }
  const [kubeconfig, ca] = [join(directory, 'kubeconfig'), join(directory, 'ca.crt')]
  await writeFile(files['client-certificate'], chainPem)
  await writeFile(files['client-key'], keyPem, { mode: 0o600 })
  await writeFile(ca, caPem)
  await writeKubeconfig(kubeconfig, controlPlane.server, ca, files)
  const whoami = ['--kubeconfig', kubeconfig, 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']
  expect(await run(controlPlane.kubectl, whoami)).toBe('web-client')
  expect(caPem).toBe(await readFile(controlPlane.certificateAuthority, 'utf8'))
})

test('what a built-in signer would fail is told before any request is made, all at once', async () => {
  const pod = await start('hopeless', {
    'csi.cert-manager.io/issuer-name': clientSigner,
    'csi.cert-manager.io/duration': '5m',
    'csi.cert-manager.io/organizations': 'system:masters',
  })
  const told = await until('an event', async () => {
    const messages = await eventsOf(pod)
    return messages.includes('InvalidArgument') && messages
  })
  expect(told).toContain('csi.cert-manager.io/duration: a lifetime of 300s cannot be asked of a signer')
  expect(told).toContain('csi.cert-manager.io/key-usages: kubernetes.io/kube-apiserver-client signs client auth')
  expect(told).toContain('signs no request of system:masters')
  expect(await requests()).toEqual([])
})

test('a denied request is told with who, why and what now, and a denied renewal leaves the certificate until the next one', async () => {
  const refused = await start('refused')
  const denied = await pending()
  await kubectl(controlPlane, ['certificate', 'deny', nameOf(denied)])
  const told = await until('an event', async () => {
    const messages = await eventsOf(refused)
    return messages.includes('was denied') && messages
  })
  expect(told).toMatch(/was denied: by kubectl[-a-z]*, KubectlDeny: This CSR was denied by kubectl certificate deny/)
  expect(told).toContain('a new one is made by itself')
  await forget(refused)
  // After a final answer the kubelet has nothing to unpublish, so this one is left to the garbage collection of an hour.
  await kubectl(controlPlane, ['delete', 'csr', nameOf(denied)])

  signer.approves = true
  const pod = await start('renewed')
  const before = await mounted(pod)
  signer.approves = false
  await driver.ask('renew', volumeIdOf(pod, 'tls'))
  await kubectl(controlPlane, ['certificate', 'deny', nameOf(await pending())])
  await until('the denial to be told', async () => (await eventsOf(pod)).includes('was denied'))
  expect((await read(pod)).leaf.serialNumber).toBe(before.leaf.serialNumber)

  await driver.ask('renew', volumeIdOf(pod, 'tls'))
  await kubectl(controlPlane, ['certificate', 'approve', nameOf(await pending())])
  const after = await until('the renewed certificate', async () => {
    const now = await read(pod)
    return now.leaf.serialNumber !== before.leaf.serialNumber && now
  })
  expect(after.leaf.checkPrivateKey(after.key)).toBe(true)
  // The first request, and the denied one, are of no use to anybody any more.
  await until('one request', async () => (await requests()).length === 1)
})

test('a driver that is killed while it waits takes up the same request', async () => {
  const pod = await start('resumed')
  const request = await pending()
  await until('what the API server answered to be stored', async () => (await stored(pod)).handle)
  await driver.kill9()
  await driver.start()
  await kubectl(controlPlane, ['certificate', 'approve', nameOf(request)])
  const { leaf, key } = await mounted(pod)
  expect(leaf.checkPrivateKey(key)).toBe(true)
  expect((await requests()).map(({ metadata }) => metadata.uid)).toEqual([request.metadata.uid])
})

describe('killed between storing a request and creating it', () => {
  test("the driver takes another name where somebody else has the request's, and leaves theirs alone", async () => {
    await driver.stop()
    const preload = `--require=${join(import.meta.dirname, 'kill-at.cjs')}`
    await driver.start({ NODE_OPTIONS: preload, PODPASS_TEST_KILL_AT: 'after rename /pending/request.json 1' })
    const pod = await start('collided')
    await driver.ended()
    const { request } = await stored(pod)
    const names = signingRequestNames(request)
    // With the same bytes: whoever has seen them may make this, and gets it signed in another name.
    await apply(controlPlane, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: names[0] },
      spec: {
        request: Buffer.from(request.csr).toString('base64'),
        signerName,
        usages: request.usages,
        expirationSeconds: 3600,
      },
    })
    signer.approves = true
    await driver.start()
    const { leaf, key } = await mounted(pod)
    expect(leaf.checkPrivateKey(key)).toBe(true)
    expect((await requests()).map(nameOf).sort()).toEqual(names.slice(0, 2).sort())
    await forget(pod)
    await until('its own request to be gone', async () => (await requests()).length === 1)
    expect((await requests()).map(nameOf)).toEqual([names[0]])
    await kubectl(controlPlane, ['delete', 'csr', names[0] ?? ''])
  })
})

test('trust that changes reaches a running pod without a new certificate', async () => {
  signer.approves = true
  const pod = await start('rotated')
  const before = await mounted(pod)
  expect(before.caPem).toBe(first.certificate.pem)
  const second = newAuthority('second root')
  await publishTrust(controlPlane, signerName, first, second)
  const both = await until('both roots', async () => {
    const now = await read(pod)
    return now.caPem.includes(second.certificate.pem) && now
  })
  expect(both.caPem).toContain(first.certificate.pem)
  expect(both.leaf.serialNumber).toBe(before.leaf.serialNumber)
  expect(both.keyPem).toBe(before.keyPem)

  signer.authority = second
  await driver.ask('renew', volumeIdOf(pod, 'tls'))
  const renewed = await until('a certificate under the second root', async () => {
    const now = await read(pod)
    return now.leaf.serialNumber !== before.leaf.serialNumber && now
  })
  expect(renewed.leaf.issuer).toBe('CN=second root')
  await publishTrust(controlPlane, signerName, second)
  await until('the first root to be gone', async () => (await read(pod)).caPem === second.certificate.pem)
})

describe('with --use-token-request', () => {
  beforeAll(async () => {
    await driver.stop()
    const group = 'rbac.authorization.k8s.io'
    await apply(
      controlPlane,
      {
        apiVersion: `${group}/v1`,
        kind: 'ClusterRole',
        metadata: { name: 'create-signing-requests' },
        rules: [{ apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['create'] }],
      },
      {
        apiVersion: `${group}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: { name: 'create-signing-requests' },
        roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'create-signing-requests' },
        subjects: [{ kind: 'Group', apiGroup: group, name: `system:serviceaccounts:${namespace}` }],
      },
    )
    await patchCsiDriver({
      tokenRequests: [{ audience: '' }],
      requiresRepublish: true,
      serviceAccountTokenInSecrets: true,
    })
    driver = await DriverProcess.start(cluster, [...flags, '--use-token-request'])
  })

  afterAll(async () => {
    await kubectl(controlPlane, ['delete', 'clusterrole,clusterrolebinding', 'create-signing-requests'])
    await patchCsiDriver({ tokenRequests: null, requiresRepublish: null, serviceAccountTokenInSecrets: null })
  })

  test("a request is made by the pod's service account, which the API server attests with the pod", async () => {
    const pod = await start('by-itself')
    const request = await pending()
    expect(request.spec.username).toBe(`system:serviceaccount:${namespace}:default`)
    expect(request.spec.extra?.['authentication.kubernetes.io/pod-uid']).toEqual([pod.uid])
    await driver.kill9()
    await driver.start()
    await kubectl(controlPlane, ['certificate', 'approve', nameOf(request)])
    const { leaf, key } = await mounted(pod)
    expect(leaf.checkPrivateKey(key)).toBe(true)
    expect((await requests()).map(({ metadata }) => metadata.uid)).toEqual([request.metadata.uid])
  })
})

async function patchCsiDriver(spec: object): Promise<void> {
  await kubectl(controlPlane, ['patch', 'csidriver', driverName, '--type=merge', '-p', JSON.stringify({ spec })])
}

/** The right that an administrator gives for a ConfigMap with the trust of a signer. */
async function mayReadTrust(): Promise<void> {
  const group = 'rbac.authorization.k8s.io'
  const metadata = { name: 'podpass-driver-trust', namespace: 'podpass' }
  await kubectl(controlPlane, ['wait', '-n', 'podpass', '--for=create', 'configmap/kube-root-ca.crt', '--timeout=60s'])
  await apply(
    controlPlane,
    {
      apiVersion: `${group}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        {
          apiGroups: [''],
          resources: ['configmaps'],
          resourceNames: ['kube-root-ca.crt'],
          verbs: ['get', 'list', 'watch'],
        },
      ],
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: 'podpass-driver', namespace: 'podpass' }],
    },
  )
}

/** Creates a pod with one volume, at /tls, that is gone after the test. It runs once it has its certificate. */
async function start(name: string, more: Readonly<Record<string, string>> = {}): Promise<Pod> {
  const volumes = { tls: { driver: driverName, attributes: { ...attributes, ...more } } }
  const pod = await createPod(cluster, { namespace, name, volumes })
  pods.push(pod)
  return pod
}

async function forget(pod: Pod): Promise<void> {
  await deletePod(controlPlane, pod)
  pods = pods.filter(({ uid }) => uid !== pod.uid)
}

/** What a pod reads once it runs. */
async function mounted(pod: Pod): Promise<MountedCertificate> {
  const ready = ['wait', 'pod', pod.name, '-n', namespace, '--for=condition=Ready', '--timeout=150s']
  await kubectl(controlPlane, ready)
  return read(pod)
}

function read(pod: Pod): Promise<MountedCertificate> {
  return readMountedCertificate(controlPlane, pod, '/tls')
}

async function requests(): Promise<readonly CertificateSigningRequest[]> {
  const list = JSON.parse(await kubectl(controlPlane, ['get', 'csr', '-o', 'json'])) as {
    readonly items: readonly CertificateSigningRequest[]
  }
  return list.items.filter(({ metadata }) => metadata.name?.startsWith('podpass-'))
}

/** The one request to a signer that nobody has decided. */
function pending(signer = signerName): Promise<CertificateSigningRequest> {
  return until('a request that is pending', async () =>
    (await requests()).find(({ spec, status }) => spec.signerName === signer && status?.conditions === undefined),
  )
}

function nameOf({ metadata }: CertificateSigningRequest): string {
  return metadata.name ?? ''
}

async function eventsOf(pod: Pod): Promise<string> {
  const selector = `involvedObject.uid=${pod.uid}`
  const path = 'jsonpath={.items[*].message}'
  return kubectl(controlPlane, ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', path])
}

/** What the driver has stored of a volume's request on its way. */
async function stored(
  pod: Pod,
): Promise<{ readonly request: Parameters<typeof signingRequestNames>[0]; readonly handle?: object }> {
  const file = join(driverPaths.dataRoot, 'volumes', volumeIdOf(pod, 'tls'), 'pending/request.json')
  return JSON.parse(await readFile(nodePath(node, file), 'utf8')) as never
}
