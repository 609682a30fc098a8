import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { SubjectAccessReview } from '../../src/approver/live/resources.ts'
import type { CertificateSigningRequest, PodCertificateRequest } from '../../src/kubernetes/certificates.ts'
import type { CertificateRequest, ConfigMap, ObjectMeta, Secret } from '../../src/kubernetes/object.ts'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { podCertificateRequests } from '../../src/kubernetes/resource.ts'
import { createAuthority } from '../../src/x509/authority.ts'
import { createCertificateRequest } from '../../src/x509/certificate-request.ts'
import { noNames } from '../../src/x509/general-names.ts'
import { encodePrivateKey, generateKeySync } from '../../src/x509/key.ts'
import { buildSubject, type SubjectFields } from '../../src/x509/name.ts'
import { decodePem } from '../../src/x509/pem.ts'
import { createCaIssuer } from './cert-manager.ts'
import { run } from './command.ts'
import { userKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { restartKubelet } from './node.ts'
import { deletePod, execInPod } from './pod.ts'
import { podWithCertificate, readPodCertificate } from './pod-certificate.ts'
import { installSigner, type SignerProcess, startSigner } from './signer-process.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'signed'
const serving = 'example.com/serving'
const pods = 'example.com/pods'
const propagation = 15_000
const project = join(import.meta.dirname, '../..')

let signer: SignerProcess

beforeAll(async () => {
  await installSigner(controlPlane)
  await createNamespace(controlPlane, namespace)
  await kubectl(controlPlane, ['label', 'namespace', namespace, 'example.com/trust=yes', '--overwrite'])
  await putAuthority('first')
  await certManagerAuthority()
  signer = await startSigner(controlPlane, settings, flags)
})

const trust = { key: 'ca.crt', namespaces: { matchLabels: { 'example.com/trust': 'yes' } } }
const settings = {
  signers: [
    {
      name: serving,
      ca: { secret: { namespace: 'podpass', name: 'serving-ca' } },
      configMaps: { name: 'serving-trust', ...trust },
    },
    {
      name: pods,
      ca: { secret: { namespace: 'podpass', name: 'pods-ca' } },
      configMaps: { name: 'pods-trust', ...trust },
    },
  ],
}
const flags = [`--trust-propagation=${propagation}ms`]

afterAll(async () => {
  await signer?.daemon.close('SIGTERM')
  await kubectl(controlPlane, ['delete', '-f', join(project, 'deploy/approver/admission.yaml'), '--ignore-not-found'])
})

async function putAuthority(name: string, now = Date.now()): Promise<void> {
  const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
  const day = 86_400_000
  const root = createAuthority({ subject: buildSubject({ commonName: `${name} root` }), key, lifetime: 30 * day, now })
  const below = generateKeySync({ algorithm: 'ECDSA', size: 384 })
  const options = {
    subject: buildSubject({ commonName: `${name} CA` }),
    key: below,
    lifetime: 20 * day,
    now,
    parent: root,
  }
  const { certificate } = createAuthority(options)
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'podpass', name: 'pods-ca' },
    type: 'kubernetes.io/tls',
    stringData: {
      'tls.crt': certificate.pem,
      'tls.key': encodePrivateKey(below, 'PKCS8'),
      'ca.crt': root.certificate.pem,
    },
  })
}

/** The CA of the other signer is cert-manager's: an intermediate, in a Secret as its Certificate with `isCA` has it. */
async function certManagerAuthority(): Promise<void> {
  await createCaIssuer(controlPlane, 'podpass', 'root')
  const key = generateKeySync({ algorithm: 'RSA', size: 2048 })
  const pem = createCertificateRequest(key, { subject: buildSubject({ commonName: 'serving CA' }), names: noNames })
  const metadata = { namespace: 'podpass', name: 'serving-ca' }
  await apply(controlPlane, {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata,
    spec: {
      request: Buffer.from(pem).toString('base64'),
      isCA: true,
      usages: ['digital signature', 'key encipherment', 'cert sign'],
      duration: '240h',
      issuerRef: { name: 'root' },
    },
  })
  const { certificate = '', ca = '' } = await until('cert-manager to issue the CA', async () => {
    const { status } = await get<CertificateRequest>('certificaterequest', 'serving-ca', '-n', 'podpass')
    return status?.certificate === undefined ? undefined : status
  })
  const data = {
    'tls.crt': certificate,
    'ca.crt': ca,
    'tls.key': Buffer.from(encodePrivateKey(key, 'PKCS1')).toString('base64'),
  }
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/tls', data })
}

async function get<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl(controlPlane, ['get', ...args, '-o', 'json'])) as T
}

interface Asked {
  readonly signerName?: string
  readonly subject?: SubjectFields
  readonly usages?: readonly string[]
}

const serverNames = { ...noNames, dns: ['my-svc.signed.svc.cluster.local', 'localhost'], ip: ['127.0.0.1'] }
const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })

async function ask(name: string, asked: Asked = {}): Promise<void> {
  const { signerName = serving, subject = { commonName: 'my-pod.signed.pod.cluster.local' } } = asked
  const { usages = ['digital signature', 'key encipherment', 'server auth'] } = asked
  const pem = createCertificateRequest(key, { subject: buildSubject(subject), names: serverNames })
  const request = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request: Buffer.from(pem).toString('base64'), signerName, usages, expirationSeconds: 3600 },
  }
  await kubectl(controlPlane, ['create', '-f', '-'], JSON.stringify(request))
}

/** The chain of an issued request. */
async function issued(name: string): Promise<string> {
  const encoded = await until(`the certificate of ${name}`, async () => {
    const { status } = await get<CertificateSigningRequest>('csr', name)
    return status?.certificate
  })
  return Buffer.from(encoded, 'base64').toString()
}

async function trustOf(name: string): Promise<string> {
  const { data = {} } = await get<ConfigMap>('configmap', name, '-n', namespace)
  return data['ca.crt'] ?? ''
}

test('a request is created, described, approved, signed, downloaded, used by a TLS server and deleted; another is denied', async () => {
  await ask('my-svc')
  expect(await kubectl(controlPlane, ['get', 'csr', 'my-svc'])).toMatch(/Pending\s*$/)
  const described = await kubectl(controlPlane, ['describe', 'csr', 'my-svc'])
  expect(described).toMatch(/Requesting User:\s+admin/)
  expect(described).toMatch(/Status:\s+Pending/)
  expect(described).toContain('my-svc.signed.svc.cluster.local')

  await kubectl(controlPlane, ['certificate', 'approve', 'my-svc'])
  const chain = await issued('my-svc')
  expect(await kubectl(controlPlane, ['get', 'csr', 'my-svc'])).toMatch(/Approved,Issued\s*$/)

  const leaf = new X509Certificate(chain)
  expect(leaf.subject).toBe('CN=my-pod.signed.pod.cluster.local')
  expect(leaf.ca).toBe(false)
  const trust = await trustOf('serving-trust')
  const { spec } = await get<{ spec: { trustBundle: string } }>('clustertrustbundle', 'example.com:serving:podpass')
  expect(spec.trustBundle).toBe(trust)
  await using server = Object.assign(
    createServer({ key: encodePrivateKey(key, 'PKCS8'), cert: chain }, (socket) => socket.end('hello')),
    {
      [Symbol.asyncDispose]: async () => {
        server.close()
        await once(server, 'close')
      },
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', servername: 'my-svc.signed.svc.cluster.local', ca: trust })
  await once(socket, 'secureConnect')
  expect(socket.authorized).toBe(true)
  await once(socket.resume(), 'close')

  await ask('denied')
  await kubectl(controlPlane, ['certificate', 'deny', 'denied'])
  await ask('after')
  await kubectl(controlPlane, ['certificate', 'approve', 'after'])
  await issued('after')
  expect((await get<CertificateSigningRequest>('csr', 'denied')).status?.certificate).toBeUndefined()

  await kubectl(controlPlane, ['delete', 'csr', 'my-svc', 'denied', 'after'])
  expect(await kubectl(controlPlane, ['get', 'csr', '--field-selector', `spec.signerName=${serving}`])).toBe('')
})

test.each<[string, Asked, string]>([
  [
    'a usage that the signer does not sign for',
    { usages: ['code signing'] },
    'does not sign for the usage "code signing"',
  ],
  [
    "a group of Kubernetes' own",
    { subject: { commonName: 'web', organizations: ['system:masters'] } },
    'O:system:masters',
  ],
  ["a user of Kubernetes' own", { subject: { commonName: 'system:admin' } }, 'CN:system:admin'],
])('an approved request with %s is Failed, and says why', async (_what, asked, why) => {
  const name = `outside-${Math.random().toString(36).slice(2, 10)}`
  await ask(name, asked)
  await kubectl(controlPlane, ['certificate', 'approve', name])
  const failed = await until('the request to fail', async () => {
    const { status } = await get<CertificateSigningRequest>('csr', name)
    return status?.conditions?.find(({ type }) => type === 'Failed')
  })
  expect(failed).toMatchObject({ status: 'True', reason: 'SignerValidationFailure' })
  expect(failed.message).toContain(why)
  expect((await get<CertificateSigningRequest>('csr', name)).status?.certificate).toBeUndefined()
  await kubectl(controlPlane, ['delete', 'csr', name])
})

test('a new CA signs when its root has been published for long enough; until then the old one does, and both are trusted', async () => {
  let count = 0
  const root = async (): Promise<string> => {
    const name = `rotation-${count++}`
    await ask(name, { signerName: pods })
    await kubectl(controlPlane, ['certificate', 'approve', name])
    const chain = await issued(name)
    // openssl agrees, with what stands in the ConfigMap now.
    const directory = controlPlane.directory
    const files = { chain: join(directory, 'chain.pem'), trust: join(directory, 'trust.pem') }
    await writeFile(files.chain, chain)
    await writeFile(files.trust, await trustOf('pods-trust'))
    await run('openssl', ['verify', '-CAfile', files.trust, '-untrusted', files.chain, files.chain])
    await kubectl(controlPlane, ['delete', 'csr', name])
    const { issuer, validFromDate } = new X509Certificate(chain)
    // Leaves begin five minutes before they are signed, or with their CA.
    signings.push({ issuer, at: validFromDate.getTime() + 300_000 })
    return issuer
  }
  const signings: { readonly issuer: string; readonly at: number }[] = []
  expect(await root()).toBe('CN=first CA')
  await putAuthority('second', Date.now() - 3600_000)
  await until('both roots to be published', async () => (await trustOf('pods-trust')).split('BEGIN').length === 3)
  await until('the new CA to sign', async () => (await root()) === 'CN=second CA', { interval: 2_000 })
  const { metadata } = await get<{ metadata: ObjectMeta }>('clustertrustbundle', 'example.com:pods:podpass')
  const notes = JSON.parse(metadata.annotations?.['podpass.io/roots'] ?? '{}') as Record<
    string,
    { publishedAt: string }
  >
  const published = Math.max(...Object.values(notes).map(({ publishedAt }) => Date.parse(publishedAt)))
  // Certificates have whole seconds.
  const tooSoon = signings.filter(({ issuer, at }) => issuer === 'CN=second CA' && at + 1000 < published + propagation)
  expect(tooSoon).toEqual([])
  // The old root stays for what it signed, also with a signer that never had the old CA.
  await signer.daemon.close()
  signer = await startSigner(controlPlane, settings, flags)
  expect(await root()).toBe('CN=second CA')
  expect((await trustOf('pods-trust')).split('BEGIN')).toHaveLength(3)

  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'podpass', name: 'pods-ca' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': 'nothing' },
  })
  const said = await until('readyz to say what is wrong', async () => {
    const answer = await fetch(`${signer.probes}/readyz`)
    return answer.status === 503 && (await answer.text())
  })
  expect(said).toContain(`signer ${pods}: tls.crt`)
  expect(await root()).toBe('CN=second CA')
  await putAuthority('third')
  await until('readyz to be well', async () => (await fetch(`${signer.probes}/readyz`)).ok)
})

test('trust comes to a namespace that is selected later, and comes back where somebody has deleted it', async () => {
  await createNamespace(controlPlane, 'later')
  await kubectl(controlPlane, ['label', 'namespace', 'later', 'example.com/trust=yes', '--overwrite'])
  const has = async (namespace: string): Promise<boolean> => {
    const { data = {} } = await get<ConfigMap>('configmap', 'serving-trust', '-n', namespace)
    return data['ca.crt'] !== undefined
  }
  await until('trust in the new namespace', () => has('later'))
  await kubectl(controlPlane, ['delete', 'configmap', 'serving-trust', '-n', namespace])
  await until('the ConfigMap to come back', () => has(namespace))
  await kubectl(controlPlane, ['delete', 'clustertrustbundle', 'example.com:serving:podpass'])
  await until('the bundle to come back', () =>
    kubectl(controlPlane, ['get', 'clustertrustbundle', 'example.com:serving:podpass']),
  )
  const { spec } = await get<{ spec: { trustBundle: string } }>('clustertrustbundle', 'example.com:serving:podpass')
  expect(spec.trustBundle).toBe(await trustOf('serving-trust'))
  await kubectl(controlPlane, ['delete', 'namespace', 'later', '--wait=false'])
})

test('the account that signs can neither approve nor sign for other signers', async () => {
  const may = async (attributes: object): Promise<boolean> => {
    const user = 'system:serviceaccount:podpass:podpass-signer'
    const spec = { user, resourceAttributes: { group: 'certificates.k8s.io', ...attributes } }
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
    const answer = await kubectl(controlPlane, ['create', '-o', 'json', '-f', '-'], JSON.stringify(review))
    return (JSON.parse(answer) as SubjectAccessReview).status?.allowed === true
  }
  const approval = { resource: 'certificatesigningrequests', subresource: 'approval', verb: 'update' }
  expect(await may({ resource: 'signers', name: serving, verb: 'sign' })).toBe(true)
  expect(await may({ resource: 'signers', name: serving, verb: 'approve' })).toBe(false)
  expect(await may({ resource: 'signers', name: 'example.com/other', verb: 'sign' })).toBe(false)
  expect(await may(approval)).toBe(false)
})

async function requestOf(pod: string): Promise<PodCertificateRequest | undefined> {
  const { items } = await get<{ items: PodCertificateRequest[] }>('podcertificaterequests', '-n', namespace)
  return items.findLast(({ spec }) => spec.podName === pod)
}

test('a pod with a podCertificate volume and no driver gets its certificate, once nobody else can ask for it', async () => {
  await apply(
    controlPlane,
    {
      apiVersion: 'podpass.io/v1alpha1',
      kind: 'CertificatePolicy',
      metadata: { name: 'signed-pods' },
      spec: {
        requests: { kinds: ['PodCertificateRequest'], signerNames: [pods], namespaces: { names: [namespace] } },
        issue: {
          dnsNames: ['${service.name}.${namespace}.svc'],
          uris: ['spiffe://cluster.example/ns/${namespace}/sa/${serviceAccount.name}'],
          usages: ['digital signature', 'server auth', 'client auth'],
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 443 }] },
    },
  )
  await apply(controlPlane, podWithCertificate(cluster, { namespace, name: 'early' }, pods, 'web'))
  await until('the pod to be told that its request is not signed', async () => {
    const path = 'jsonpath={.items[*].message}'
    const events = await kubectl(controlPlane, [
      'get',
      'events',
      '-n',
      namespace,
      '--field-selector',
      'involvedObject.name=early',
      '-o',
      path,
    ])
    return events.includes('there is no ValidatingAdmissionPolicy podpass-pod-certificate-requests')
  })
  const unready = await (await fetch(`${signer.probes}/readyz`)).text()
  expect(unready).toContain('there is no ValidatingAdmissionPolicy podpass-pod-certificate-requests')
  const early = await requestOf('early')
  expect(early?.status?.certificateChain ?? '').toBe('')
  await deletePod(controlPlane, { namespace, name: 'early' })

  await kubectl(controlPlane, ['apply', '-f', join(project, 'deploy/approver/admission.yaml')])
  await until('an administrator to be refused', async () => {
    const forged = { ...early, metadata: { namespace, generateName: 'forged-' }, status: undefined }
    return kubectl(controlPlane, ['create', '--dry-run=server', '-f', '-'], JSON.stringify(forged)).then(
      () => false,
      (error: unknown) => String(error).includes("only the kubelet of a pod's own node"),
    )
  })
  const { metadata } = await get<{ metadata: { creationTimestamp: string } }>(
    'validatingadmissionpolicybinding',
    'podpass-pod-certificate-requests',
  )
  await until('readyz to be well', async () => (await fetch(`${signer.probes}/readyz`)).ok)
  await until('the rule to be older than what comes', () => Date.now() > Date.parse(metadata.creationTimestamp) + 7_000)

  await apply(controlPlane, podWithCertificate(cluster, { namespace, name: 'web-0' }, pods, 'web'))
  await kubectl(controlPlane, ['wait', 'pod', 'web-0', '-n', namespace, '--for=condition=Ready', '--timeout=90s'])
  const pod = { namespace, name: 'web-0', uid: '' }
  const first = await readPodCertificate(controlPlane, pod)
  expect(first.subjectAltName).toBe('DNS:web.signed.svc, URI:spiffe://cluster.example/ns/signed/sa/default')
  const { status } = (await requestOf('web-0')) ?? {}
  const at = (time: string | undefined): number => Date.parse(time ?? '')
  expect(at(status?.notAfter) - at(status?.notBefore)).toBe(3600_000)
  expect(at(status?.beginRefreshAt) - at(status?.notBefore)).toBeGreaterThanOrEqual(600_000)
  expect(at(status?.notAfter) - at(status?.beginRefreshAt)).toBeGreaterThanOrEqual(600_000)
  const roots = await execInPod(controlPlane, pod, 'cat', '/tls/ca.pem')
  const normal = (pem: string): string[] =>
    pem
      .split(/(?=-----BEGIN)/)
      .map((one) => one.trim())
      .sort()
  expect(normal(roots)).toEqual(normal(await trustOf('pods-trust')))

  // A kubelet that starts anew asks for all of its pods' at once. That it asks by itself is pod-certificate-refresh.test.ts.
  await restartKubelet(cluster.node)
  const renewed = await until(
    'a certificate for another key',
    async () => {
      const now = await readPodCertificate(controlPlane, pod)
      return now.serialNumber === first.serialNumber ? undefined : now
    },
    { timeout: 120_000 },
  )
  expect(renewed.publicKey.equals(first.publicKey)).toBe(false)
  expect(renewed.subjectAltName).toBe(first.subjectAltName)
  await deletePod(controlPlane, pod)
})

test('a key that was granted to somebody else is signed for no pod, also by a signer that has only just begun', async () => {
  await ask('first-owner')
  await kubectl(controlPlane, ['certificate', 'approve', 'first-owner'])
  await issued('first-owner')
  await signer.daemon.close()
  signer = await startSigner(controlPlane, settings, flags)

  const [name, account] = ['second-owner', 'default']
  await apply(controlPlane, podWithCertificate(cluster, { namespace, name }, pods, 'web'))
  const uidOf = (kind: string, object: string): Promise<string> =>
    kubectl(controlPlane, ['get', kind, object, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
  // As the node asks for its pod, with the key of the request before.
  const [block] = decodePem(createCertificateRequest(key, { subject: [], names: noNames }))
  const node = cluster.node.name
  const kubeconfig = await userKubeconfig(controlPlane, `system:node:${node}`, ['system:nodes'])
  await using parts = new AsyncDisposableStack()
  const kubelet = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
  parts.defer(() => kubelet.close())
  await kubelet.create(podCertificateRequests, {
    metadata: { namespace, name: 'replayed' },
    spec: {
      signerName: pods,
      podName: name,
      podUID: await uidOf('pod', name),
      serviceAccountName: account,
      serviceAccountUID: await uidOf('serviceaccount', account),
      nodeName: node,
      nodeUID: await uidOf('node', node),
      maxExpirationSeconds: 3600,
      stubPKCS10Request: block?.der.toBase64() ?? '',
    },
  })
  const query = ['get', 'events', '-n', namespace, '--field-selector', `involvedObject.name=${name},reason=KeyInUse`]
  const told = await until('the pod to be told', () =>
    kubectl(controlPlane, [...query, '-o', 'jsonpath={.items[0].message}']).then((text) => text || undefined),
  )
  expect(told).toContain('the key belongs to user/admin')
  const { status } = await get<PodCertificateRequest>('podcertificaterequest', 'replayed', '-n', namespace)
  expect(status?.conditions ?? []).toEqual([])
  // With its own key it has its certificate.
  await kubectl(controlPlane, ['wait', 'pod', name, '-n', namespace, '--for=condition=Ready', '--timeout=90s'])
  await kubectl(controlPlane, ['delete', 'csr', 'first-owner'])
  await deletePod(controlPlane, { namespace, name })
})

test("a pod's request that can never be right is denied, and the pod is told by whom", async () => {
  const name = 'wrong-key'
  const requests = { kinds: ['PodCertificateRequest'], signerNames: [pods], namespaces: { names: [namespace] } }
  const issue = { uris: ['spiffe://cluster.example/pod/${pod.uid}'], usages: ['client auth'] }
  await kubectl(controlPlane, ['delete', 'certificatepolicy', 'signed-pods'])
  await apply(controlPlane, {
    apiVersion: 'podpass.io/v1alpha1',
    kind: 'CertificatePolicy',
    metadata: { name },
    spec: { requests, keys: [{ algorithm: 'Ed25519' }], issue },
  })
  await apply(controlPlane, podWithCertificate(cluster, { namespace, name }, pods))
  const denied = await until('the request to be denied', async () => {
    const { status } = (await requestOf(name)) ?? {}
    return status?.conditions?.find(({ type }) => type === 'Denied')
  })
  expect(denied).toMatchObject({ reason: 'PolicyForbids', message: expect.stringContaining('Ed25519') as string })
  const query = [
    'get',
    'events',
    '-n',
    namespace,
    '--field-selector',
    `involvedObject.name=${name},reason=PolicyForbids`,
  ]
  await until('the pod to be told', async () =>
    (await kubectl(controlPlane, [...query, '-o', 'jsonpath={.items[*].reportingComponent}'])).includes(
      'podpass-signer',
    ),
  )
  await kubectl(controlPlane, ['delete', 'certificatepolicy', name])
  await deletePod(controlPlane, { namespace, name })
})

test('keys of CAs are in no log', async () => {
  const { data = {} } = await get<Secret>('secret', 'pods-ca', '-n', 'podpass')
  const pem = Buffer.from(data['tls.key'] ?? '', 'base64').toString()
  const [, line = ''] = pem.split('\n')
  expect(line).not.toBe('')
  const log = await readFile(join(controlPlane.directory, 'log/signer'), 'utf8')
  expect(log).toContain('"outcome":"issued"')
  expect(log).not.toContain(line)
})
