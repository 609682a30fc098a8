import { createHash, randomUUID, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { Node } from '../../src/gen/csi/v1/csi_pb.ts'
import { UnixClient } from '../../src/runtime/grpc-client.ts'
import type { TryReport } from '../../src/try/report.ts'
import { run } from './command.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { apply, kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate, verifyWithOpenssl } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, nodePath } from './node.ts'
import { createPod, deletePod, type Pod, runPod } from './pod.ts'
import { until } from './until.ts'
import { VaultServer } from './vault.ts'

// A real Vault as an issuer, in the pod's own name: its Kubernetes auth asks the real API server whose token it is shown.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'vaulted'
const attributes = {
  'csi.cert-manager.io/issuer-group': 'podpass.io',
  'csi.cert-manager.io/issuer-kind': 'Vault',
  'csi.cert-manager.io/issuer-name': 'corp',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
/** Renewed 10 to 20 seconds after it was issued, long before it ends. */
const shortLived = {
  ...attributes,
  'csi.cert-manager.io/duration': '2m',
  'csi.cert-manager.io/renew-before': '130s',
}

let driver: DriverProcess
let vault: VaultServer
let configuration: string
const running = new Map<string, Pod>()

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await apply(controlPlane, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name: 'passing' } })
  await installDriver(controlPlane)
  vault = await VaultServer.start(controlPlane)
  await vault.configure()
  await vault.allow('vaulted_default', namespace)
  // A login that ends at once, so that each renewal needs another.
  await vault.allow('vaulted_passing', namespace, { token_ttl: '1s' })
  configuration = join(await mkdtemp(join(controlPlane.directory, 'issuers-')), 'issuers.yaml')
  await configure({ name: 'corp' })
  driver = await DriverProcess.start(cluster, [`--issuers-config=${configuration}`])
}, 600_000)

afterEach(async () => {
  await Promise.all([...running.values()].map((pod) => remove(pod)))
})

afterAll(async () => {
  await driver?.stop()
  await vault?.close()
  await patchCsiDriver({ tokenRequests: null, requiresRepublish: null, serviceAccountTokenInSecrets: null })
})

/** Writes the issuers' file: an issuer for each argument, with these keys in the place of what it else has. */
async function configure(...issuers: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
  const defaults = {
    kind: 'Vault',
    address: vault.address,
    ca: vault.ca,
    auth: { role: '${POD_NAMESPACE}_${SERVICE_ACCOUNT_NAME}' },
    pki: { role: 'pods' },
  }
  // JSON is YAML.
  await writeFile(
    configuration,
    JSON.stringify({ issuers: issuers.map((changes) => Object.assign({}, defaults, changes)) }, null, 2),
  )
}

async function patchCsiDriver(spec: object): Promise<void> {
  await kubectl(controlPlane, ['patch', 'csidriver', driverName, '--type=merge', '-p', JSON.stringify({ spec })])
}

function eventsOf(pod: Pod): Promise<string> {
  const selector = `involvedObject.uid=${pod.uid}`
  const path = 'jsonpath={.items[*].message}'
  return kubectl(controlPlane, ['get', 'events', '-n', namespace, '--field-selector', selector, '-o', path])
}

/** What the pod's events say, once they say something. */
async function told(pod: Pod, text: string): Promise<string> {
  let seen = ''
  try {
    return await until(`an event that says ${text}`, async () => {
      seen = await eventsOf(pod)
      return seen.includes(text) && seen
    })
  } catch (error) {
    throw new Error(`the events say: ${seen}`, { cause: error })
  }
}

/** Runs a pod with one volume, at /tls, that is gone after the test. */
async function start(
  name: string,
  changes: Readonly<Record<string, string>> = {},
  serviceAccount = 'default',
): Promise<Pod> {
  const volumes = { tls: { driver: driverName, attributes: { ...attributes, ...changes } } }
  const pod = await runPod(cluster, { namespace, name, serviceAccount, volumes })
  running.set(name, pod)
  return pod
}

/** Creates a pod that cannot run. */
async function startInVain(name: string, changes: Readonly<Record<string, string>>): Promise<Pod> {
  const volumes = { tls: { driver: driverName, attributes: { ...attributes, ...changes } } }
  const pod = await createPod(cluster, { namespace, name, volumes })
  running.set(name, pod)
  return pod
}

async function remove(pod: Pod): Promise<void> {
  await deletePod(controlPlane, pod)
  running.delete(pod.name)
}

function read(pod: Pod): Promise<MountedCertificate> {
  return readMountedCertificate(controlPlane, pod, '/tls')
}

function nextCertificate(pod: Pod, before: MountedCertificate): Promise<MountedCertificate> {
  return until(
    'a new certificate',
    async () => {
      const now = await read(pod)
      return now.leaf.serialNumber === before.leaf.serialNumber ? undefined : now
    },
    { timeout: 90_000 },
  )
}

/** How many tokens Vault knows; its administrator's is one. */
async function tokens(): Promise<number> {
  return (await vault.list('auth/token/accessors')).length
}

async function issuedCertificates(): Promise<number> {
  return (await vault.list('pki/certs')).length
}

test('a CSIDriver object that asks for no such token is told, and once it does the pod gets its certificate', async () => {
  const pod = await startInVain('waiting', {})
  expect(await told(pod, 'tokenRequests: [{audience: "vault"}]')).toContain('and requiresRepublish: true')
  await patchCsiDriver({
    tokenRequests: [{ audience: '' }, { audience: 'vault' }],
    requiresRepublish: true,
    serviceAccountTokenInSecrets: true,
  })
  await kubectl(controlPlane, ['wait', 'pod', 'waiting', '-n', namespace, '--for=condition=Ready', '--timeout=150s'])

  const { leaf, key, chainPem, caPem } = await read(pod)

  const name = `waiting.${namespace}.svc.cluster.local`
  expect(leaf.subjectAltName).toBe(`DNS:${name}`)
  expect(leaf.checkPrivateKey(key)).toBe(true)
  expect(new X509Certificate(caPem).subject).toBe('CN=Test root')
  expect(chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
  await verifyWithOpenssl(controlPlane.directory, chainPem, caPem, name)
  // A certificate that differs from what was asked for would be told.
  expect(await eventsOf(pod)).not.toContain('CertificateDiffers')
})

test('no token is in memory that others see, in a log or in an event, and the login ends with the pod', async () => {
  const before = await tokens()
  const pod = await start('private')
  expect(await tokens()).toBe(before + 1)
  // Service accounts' tokens begin with this in base64, tokens of Vault with that.
  const search = ['grep', '-rlE', '-D', 'skip', 'eyJhbGciOi|hvs\\.'] as const
  await expect(execOnNode(node, ...search, driverPaths.dataRoot)).rejects.toMatchObject({ exitCode: 1 })
  expect(JSON.stringify(driver.log)).not.toMatch(/eyJhbGciOi|hvs\./)
  expect(await eventsOf(pod)).not.toMatch(/eyJhbGciOi|hvs\./)

  await remove(pod)

  await until('the token to be revoked', async () => (await tokens()) === before)
})

test('a driver that was killed renews with a token that the kubelet sends again', async () => {
  const pod = await start('renewed', shortLived)
  const before = await read(pod)
  await driver.kill9()
  await driver.start()
  const after = await nextCertificate(pod, before)
  expect(after.leaf.checkPrivateKey(after.key)).toBe(true)
  expect(after.leaf.publicKey.equals(before.leaf.publicKey)).toBe(false)
})

test('a login that has ended is made again', async () => {
  const pod = await start('again', shortLived, 'passing')
  const before = await read(pod)
  expect((await nextCertificate(pod, before)).leaf.serialNumber).not.toBe(before.leaf.serialNumber)
})

describe('what Vault refuses is told with what to check, and changes nothing for others', () => {
  beforeAll(async () => {
    await vault.allow('for-others', 'others')
    await vault.allow('other-audience', namespace, { audience: 'somebody' })
    await vault.allow('without-policy', namespace, { token_policies: 'default' })
    const auth = (role: string, changes = {}): object => ({ auth: { role, ...changes } })
    await configure(
      { name: 'corp' },
      { name: 'no-such-role', ...auth('no-such-role') },
      { name: 'for-others', ...auth('for-others') },
      { name: 'other-audience', ...auth('other-audience') },
      { name: 'no-such-audience', ...auth('vaulted_default', { audience: 'elsewhere' }) },
      { name: 'without-policy', ...auth('without-policy') },
      { name: 'no-such-pki-role', pki: { role: 'nobody' } },
      { name: 'no-such-mount', pki: { mount: 'nowhere', role: 'pods' } },
    )
    await driver.logged(
      ({ message, issuers }) =>
        message === 'the issuers of this driver are configured' && (issuers as readonly string[]).length === 8,
      0,
    )
  })

  test.each([
    ['no-such-role', 'invalid role name "no-such-role"', 'check that the role exists'],
    ['for-others', 'namespace not authorized', 'bound_service_account_namespaces'],
    ['other-audience', '(status 403)', 'audience=vault'],
    ['no-such-audience', 'tokenRequests: [{audience: "elsewhere"}]', 'the CSIDriver object'],
    ['without-policy', 'permission denied', 'update on pki/sign/pods'],
    // Vault does not say whether there is such a role to whom no policy lets use it.
    ['no-such-pki-role', 'permission denied', 'update on pki/sign/nobody'],
    ['no-such-mount', '(status 403)', 'update on nowhere/sign/pods'],
    ['nobody', 'knows no issuer Vault nobody', 'add it to'],
  ])('%s', async (issuer, what, check) => {
    const pod = await startInVain(`refused-${issuer}`, { 'csi.cert-manager.io/issuer-name': issuer })
    expect(await told(pod, what)).toContain(check)
  })

  test('a name that the role does not allow is denied', async () => {
    const pod = await startInVain('refused-name', { 'csi.cert-manager.io/dns-names': 'www.example.com' })
    const text = await told(pod, 'subject alternate name www.example.com not allowed by this role')
    expect(text).toContain('allowed_domains')
  })
})

test('an account that is deleted gets no further certificate, and its pod keeps the one it has', async () => {
  const pod = await start('orphan', shortLived, 'passing')
  const before = await read(pod)
  await kubectl(controlPlane, ['delete', 'serviceaccount', 'passing', '-n', namespace])
  const text = await told(pod, 'does not let service account vaulted/passing log in')
  expect(text).toContain('check that the account exists')
  expect((await read(pod)).leaf.serialNumber).toBe(before.leaf.serialNumber)
})

describe('a Vault that is away', () => {
  test('sealed, it is told, the certificate stays, and unsealed it renews', async () => {
    const pod = await start('sealed', shortLived)
    const before = await read(pod)
    await vault.seal()
    expect(await told(pod, 'Vault is sealed')).toContain('unseal it')
    expect((await read(pod)).leaf.serialNumber).toBe(before.leaf.serialNumber)
    await vault.unseal()
    await nextCertificate(pod, before)
  })

  test('restarted, it is told, the certificate stays, and it renews', async () => {
    const pod = await start('restarted', shortLived)
    const before = await read(pod)
    await vault.stop()
    await told(pod, 'cannot be reached')
    expect((await read(pod)).leaf.serialNumber).toBe(before.leaf.serialNumber)
    await vault.restart()
    await nextCertificate(pod, before)
  })
})

test('a bad edit of the configuration is told with its place, and what was good stays in use', async () => {
  const seen = driver.log.length
  const good = await readFile(configuration, 'utf8')
  await writeFile(configuration, good.replace('"role": "pods"', '"rule": "pods"'))
  const refused = await driver.logged(({ message }) => message.includes('the last good ones stay'), seen)
  expect(JSON.stringify(refused['problems'])).toMatch(
    /issuers\.yaml:\d+:\d+: issuers\[0\]\.pki\.rule: .*did you mean role/,
  )
  await start('despite')
  await writeFile(configuration, good)
  await driver.logged(({ message }) => message === 'the issuers of this driver are configured', seen)
})

describe.each([
  ['is stored', 'before rename /pending/request.json 2', 2],
  ['is put in place', 'after rename /pending/request.json 2', 1],
])('killed after Vault has signed, before the answer %s', (_before, step, signatures) => {
  test('the pod gets its certificate', async () => {
    const before = await issuedCertificates()
    await driver.stop()
    const preload = `--require=${join(import.meta.dirname, 'kill-at.cjs')}`
    await driver.start({ NODE_OPTIONS: preload, PODPASS_TEST_KILL_AT: step })
    const pod = await startInVain('killed', {})
    await driver.ended()
    await driver.start()
    await kubectl(controlPlane, ['wait', 'pod', pod.name, '-n', namespace, '--for=condition=Ready', '--timeout=150s'])
    const { leaf, key } = await read(pod)
    expect(leaf.checkPrivateKey(key)).toBe(true)
    expect((await issuedCertificates()) - before).toBe(signatures)
  })
})

test('a hundred volumes at once each get a certificate and a login of their own, and leave nothing', async () => {
  const before = await tokens()
  await withVolumes(100, async (serials) => {
    expect(new Set(serials).size).toBe(100)
    expect(await tokens()).toBe(before + 100)
  })
  await until('all tokens to be revoked', async () => (await tokens()) === before)
})

test('volumes that are too many for a rate limit of Vault come later, and none is lost', async () => {
  const quota = 'sys/quotas/rate-limit/few'
  await vault.post('sys/quotas/config', { enable_rate_limit_response_headers: true })
  await vault.post(quota, { path: 'pki', rate: 2, interval: '2s' })
  try {
    const tries = await Promise.allSettled([1, 2, 3].map(() => vault.post('pki/sign/pods', {})))
    expect(JSON.stringify(tries.map((tried) => tried.status === 'rejected' && String(tried.reason)))).toMatch(
      /429 POST pki\/sign\/pods.*rate limit quota exceeded/,
    )
    await withVolumes(10, async (serials) => expect(new Set(serials).size).toBe(10))
  } finally {
    await vault.delete(quota)
  }
})

/** Publishes volumes over the driver's socket, all at once, and unpublishes them again. @param look - takes their serial numbers */
async function withVolumes(count: number, look: (serials: readonly string[]) => Promise<void>): Promise<void> {
  const token = await kubectl(controlPlane, ['create', 'token', 'default', '-n', namespace, '--audience=vault'])
  const volumes = Array.from({ length: count }, (_, number) => volumeOf(number, token.trim()))
  const client = new UnixClient(nodePath(node, driverPaths.socket))
  try {
    for (const { targetPath } of volumes) await mkdir(nodePath(node, dirname(targetPath)), { recursive: true })
    await Promise.all(volumes.map((volume) => client.call(Node.method.nodePublishVolume, volume, 120_000)))
    const certificates = volumes.map(({ targetPath }) => readFile(nodePath(node, join(targetPath, 'tls.crt'))))
    await look((await Promise.all(certificates)).map((certificate) => new X509Certificate(certificate).serialNumber))
  } finally {
    const gone = volumes.map(({ volumeId, targetPath }) =>
      client.call(Node.method.nodeUnpublishVolume, { volumeId, targetPath }),
    )
    await Promise.all(gone)
    client.close()
  }
}

test('podpass try plays a manifest with certificates of a Vault, by a token that is given', async () => {
  const folder = await mkdtemp(join(controlPlane.directory, 'try-'))
  const [token, ca] = [join(folder, 'token'), join(folder, 'ca.pem')]
  await writeFile(token, `${vault.rootToken}\n`, { mode: 0o600 })
  await writeFile(ca, vault.ca)
  const project = join(import.meta.dirname, '../..')
  const flags = [
    '--issuer=vault',
    `--vault-addr=${vault.address}`,
    `--vault-token-file=${token}`,
    `--vault-cacert=${ca}`,
  ]
  const manifest = join(project, 'examples/my-csi-app.yaml')
  const command = ['try', '--json', '--no-renewal', ...flags, '--vault-role=pods', manifest]
  const report = JSON.parse(await run(process.execPath, [join(project, 'dist/podpass.cjs'), ...command])) as TryReport
  expect(report.ok).toBe(true)
  expect(report.volumes?.map(({ certificate }) => certificate.issuer)).toEqual([
    'CN=Test intermediate',
    'CN=Test intermediate',
  ])
})

/** What the kubelet sends for a volume of a pod; nobody here looks whether there is such a pod. */
function volumeOf(number: number, token: string) {
  const uid = randomUUID()
  const expirationTimestamp = new Date(Date.now() + 3600_000).toISOString()
  return {
    volumeId: `csi-${createHash('sha256').update(`${uid}tls`).digest('hex')}`,
    targetPath: join(dirname(driverPaths.dataRoot), 'hundred', uid, 'mount'),
    volumeCapability: { accessType: { case: 'mount', value: {} }, accessMode: { mode: 1 } },
    volumeContext: {
      ...attributes,
      'csi.storage.k8s.io/pod.name': `pod-${number}`,
      'csi.storage.k8s.io/pod.namespace': namespace,
      'csi.storage.k8s.io/pod.uid': uid,
      'csi.storage.k8s.io/serviceAccount.name': 'default',
      'csi.storage.k8s.io/ephemeral': 'true',
    },
    secrets: { 'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify({ vault: { token, expirationTimestamp } }) },
    readonly: true,
  } as const
}
