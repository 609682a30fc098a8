import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { claimPort } from './claim.ts'
import { CommandFailedError, run } from './command.ts'
import { DriverProcess, driverName, driverPaths, installDriver } from './driver-process.ts'
import { apply, kubectl } from './kubectl.ts'
import { type MountedCertificate, readMountedCertificate } from './mounted-certificate.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, restartKubelet } from './node.ts'
import { createPod, deletePod, runPod, volumeIdOf } from './pod.ts'
import { until } from './until.ts'

// After a full run, with everything that a driver does and everything that can go wrong with it, nobody but the pods has a secret.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const [namespace, powerless] = ['secrets', 'secrets-powerless']
const password = 'correct-horse-battery-staple'
/** How every token of a service account begins: a JWT, whose header in base64 begins so. */
const tokenStart = 'eyJhbGciOi'
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
}
const keystores = {
  ...attributes,
  'csi.cert-manager.io/pkcs12-enable': 'true',
  'csi.cert-manager.io/jks-enable': 'true',
}

const parts = new AsyncDisposableStack()
let metrics: string
let driver: DriverProcess

beforeAll(async () => {
  for (const name of [namespace, powerless]) {
    await createNamespace(controlPlane, name)
    await createCaIssuer(controlPlane, name, 'ca-issuer')
  }
  const rbac = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'create-requests' }
  const metadata = { namespace, name: 'create-requests' }
  await apply(
    controlPlane,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['create'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: rbac,
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace }],
    },
  )
  const stringData = { 'pkcs12-password': password, 'jks-password': password }
  for (const name of [namespace, powerless]) {
    await kubectl(controlPlane, [
      'create',
      'secret',
      'generic',
      'keystore',
      '-n',
      name,
      ...Object.entries(stringData).map(([key, value]) => `--from-literal=${key}=${value}`),
    ])
  }
  await installDriver(controlPlane)
  // In the volume context, not as CSI secrets: the older way, and the one that leaks more easily.
  await patchCsiDriver({ tokenRequests: [{ audience: '', expirationSeconds: 600 }], requiresRepublish: true })
  const { port, claim } = await claimPort()
  parts.use(claim)
  metrics = `http://127.0.0.1:${port}/metrics`
  driver = await DriverProcess.start(cluster, [
    '--use-token-request',
    '--volume-stats',
    '--publish-timeout=3s',
    `--metrics-bind-address=127.0.0.1:${port}`,
  ])
})

afterAll(async () => {
  await driver?.stop()
  await patchCsiDriver({ tokenRequests: null, requiresRepublish: null })
  await parts.disposeAsync()
})

async function patchCsiDriver(spec: object): Promise<void> {
  await kubectl(controlPlane, ['patch', 'csidriver', driverName, '--type=merge', '-p', JSON.stringify({ spec })])
}

async function eventsOf(name: string, pod: string): Promise<string> {
  const selector = `involvedObject.name=${pod}`
  const path = 'jsonpath={.items[*].message}'
  return kubectl(controlPlane, ['get', 'events', '-n', name, '--field-selector', selector, '-o', path])
}

/** The first full line of a key in PEM: 48 bytes of its DER, which nobody else has. */
function secretLine({ keyPem }: MountedCertificate): string {
  const line = keyPem.split('\n')[3] ?? ''
  expect(line).toMatch(/^[A-Za-z0-9+/]{64}$/)
  return line
}

/** The files below some folders that hold one of some texts. */
async function holders(exec: typeof run, texts: readonly string[], ...folders: readonly string[]): Promise<string[]> {
  const patterns = texts.map((text) => `--regexp=${text}`)
  try {
    const found = await exec('grep', ['-rlaF', '-D', 'skip', ...patterns, ...folders])
    return found.trim().split('\n')
  } catch (error) {
    // What grep passed over because it went away meanwhile is no trouble; 1 is "nothing found".
    if (error instanceof CommandFailedError && error.exitCode !== null && error.stdout === '') return []
    throw error
  }
}

/** The names of the texts that hold another. */
function holding(texts: Readonly<Record<string, string>>, searched: string): readonly string[] {
  return Object.keys(texts).filter((name) => texts[name]?.includes(searched))
}

/** Everything that the API server stores: all of etcd, keys and values (etcd's JSON gateway). */
async function storedByApiServer(): Promise<string> {
  const everything = Buffer.from([0]).toString('base64')
  const response = await fetch(`${controlPlane.etcdEndpoint}/v3/kv/range`, {
    method: 'POST',
    body: JSON.stringify({ key: everything, range_end: everything }),
  })
  const { kvs } = (await response.json()) as {
    readonly kvs: readonly { readonly key: string; readonly value: string }[]
  }
  const decode = (text: string): string => Buffer.from(text, 'base64').toString('latin1')
  return kvs
    .map(({ key, value }) => [decode(key), decode(value)] as const)
    .filter(([key]) => !key.startsWith('/registry/secrets/'))
    .map((pair) => pair.join('\n'))
    .join('\n')
}

test('no token, private key or keystore password is in a file, a log, an event, a metric or an object of the API', async () => {
  const secrets: string[] = []
  const volumes = { tls: { driver: driverName, attributes: keystores, secret: 'keystore' } }
  const pod = await runPod(cluster, { namespace, name: 'served', volumes })
  const first = await readMountedCertificate(controlPlane, pod, '/tls')
  secrets.push(secretLine(first))
  // Its renewal, with the first key gone, and restarts of everybody.
  await driver.ask('renew', volumeIdOf(pod, 'tls'))
  const second = await until('the renewed certificate', async () => {
    const now = await readMountedCertificate(controlPlane, pod, '/tls')
    return now.leaf.serialNumber !== first.leaf.serialNumber && now
  })
  secrets.push(secretLine(second))
  await driver.kill9()
  await driver.start()
  await restartKubelet(node)
  // All that is refused: attributes, rights, an issuer that does not answer.
  const refused = {
    misspelt: { ...keystores, 'csi.cert-manager.io/pkcs12-pasword': password, 'csi.cert-manager.io/duration': '5d' },
    ignored: { ...attributes, 'csi.cert-manager.io/jks-password': password },
    unanswered: { ...keystores, 'csi.cert-manager.io/issuer-name': 'of-nobody' },
  }
  const refusedPods = await Promise.all(
    Object.entries(refused).map(([name, wrong]) =>
      createPod(cluster, {
        namespace,
        name,
        volumes: { tls: { driver: driverName, attributes: wrong, secret: 'keystore' } },
      }),
    ),
  )
  const forbidden = await createPod(cluster, { namespace: powerless, name: 'forbidden', volumes })
  await until('everybody to be told', async () => {
    const told = await Promise.all([
      ...refusedPods.map(({ name }) => eventsOf(namespace, name)),
      eventsOf(powerless, forbidden.name),
    ])
    const words = [
      'csi.cert-manager.io/duration',
      'is without effect',
      'of-nobody',
      'check the rights of service account',
    ]
    return words.every((word, index) => told[index]?.includes(word))
  })
  const table = await driver.ask('inspect', '--json')
  const exposed = await (await fetch(metrics)).text()
  const stored = await storedByApiServer()
  // So that what is looked for is there to be found, where it belongs.
  const onNode: typeof run = (command, args) => execOnNode(node, command, ...args)
  expect(await holders(onNode, [secretLine(second)], driverPaths.dataRoot)).not.toEqual([])
  expect(await holders(onNode, [password], driverPaths.dataRoot)).not.toEqual([])
  expect(await holders(onNode, [tokenStart], driverPaths.dataRoot)).toEqual([])

  for (const gone of [pod, ...refusedPods, forbidden]) await deletePod(controlPlane, gone)

  // Seen from outside of the node's mount namespace, its folders are the disk below the mounts.
  const folders = [node.directory, controlPlane.directory]
  const files = await holders(run, [...secrets, password, tokenStart], ...folders)
  // The account of each driver that ran, as the kubelet projects it into a DaemonSet's pod.
  expect(files.filter((file) => !/\/service-account-[^/]+\/token$/.test(file))).toEqual([])
  expect(await holders(onNode, [...secrets, password, tokenStart], driverPaths.dataRoot)).toEqual([])

  // Compared by name, so that a failure prints none of it.
  const read = {
    log: await readFile(join(controlPlane.directory, 'log/driver'), 'utf8'),
    events: await kubectl(controlPlane, ['get', 'events,certificaterequests', '-A', '-o', 'yaml']),
    inspect: table,
    metrics: exposed,
  }
  // The passwords that authors wrote into their pods are the API server's to keep.
  const kept = { stored, storedAfter: await storedByApiServer() }
  expect(holding(read, 'call refused')).toEqual(['log'])
  expect(holding(kept, 'csi.cert-manager.io/pkcs12-enable')).toEqual(['stored'])
  expect(holding({ ...read, ...kept }, 'is without effect')).toEqual(['log', 'events', 'stored', 'storedAfter'])
  expect(holding(read, password)).toEqual([])
  for (const secret of [...secrets, tokenStart]) expect(holding({ ...read, ...kept }, secret)).toEqual([])
  expect(await readdir(join(node.directory, 'log'))).toContain('kubelet')
})
