import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { openRegistrar, type Registrar } from '../../src/registrar/live/open-registrar.ts'
import { createSyncMetrics } from '../../src/registrar/sync/sync-metrics.ts'
import { webhookConfig } from '../../src/registrar/webhook/fixtures/webhook-config.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import type { Entry } from '../../src/spire/entry.ts'
import { ServerClient } from '../../src/spire/server-client.ts'
import { createAuthority, issue } from './certificate-authority.ts'
import { claimPort } from './claim.ts'
import { ControlPlane, type ControlPlaneAccess } from './control-plane.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

// The mode webhook: a real API server asks it about pods, with the rights of its own manifests, and a real SPIRE server.

const namespace = 'webhook-shop'
const alias = 'spiffe://example.org/k8s-workload-registrar/demo/node'
const ground = new AsyncDisposableStack()
const stopping = new AbortController()

let controlPlane: ControlPlaneAccess
let server: SpireServer
let registrar: Registrar
let work: Promise<void>

beforeAll(async () => {
  controlPlane = ground.use(await startPlane()).access
  server = await SpireServer.start()
  ground.defer(() => server.close())
  await kubectl(controlPlane, ['apply', '-f', join(import.meta.dirname, '../../deploy/registrar/rbac.yaml')])
  await createNamespace(controlPlane, namespace)
  const directory = await mkdtemp(join(controlPlane.directory, 'webhook-'))
  const authority = await createAuthority(directory, 'webhook-ca')
  const subject = { commonName: 'webhook', alternativeNames: ['IP:127.0.0.1'] }
  const pair = await issue(authority, directory, 'webhook', subject)
  const path = (name: string): string => join(directory, name)
  await copyFile(pair.certificate, path('cert.pem'))
  await copyFile(pair.key, path('key.pem'))

  const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, { namespace: 'spire', name: 'podpass-registrar' })
  const client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
  ground.defer(() => client.close())
  const endpoint = { by: 'socket', path: server.socket } as const
  const spire = new ServerClient({ endpoint, trustDomain: 'example.org', clock: systemClock })
  ground.defer(() => spire.close())
  const { port, claim } = await claimPort()
  ground.use(claim)
  const webhook = {
    address: `127.0.0.1:${port}`,
    certificatePath: path('cert.pem'),
    keyPath: path('key.pem'),
    // The API server shows no certificate of its own accord: that takes a file of its administrator's.
    clientCaPath: undefined,
    failClosed: false,
  }
  registrar = await openRegistrar({
    client,
    server: spire,
    config: webhookConfig({ webhook }),
    namespace: 'spire',
    ownId: undefined,
    mayTakeOver: false,
    areDeletesConfirmed: false,
    events: { record: () => {} },
    metrics: createSyncMetrics(new Registry()),
    clock: systemClock,
    log: silentLog,
  })
  ground.defer(() => registrar.close())
  work = registrar.lead(stopping.signal)
  await apply(controlPlane, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'k8s-workload-registrar-webhook' },
    webhooks: [
      {
        name: 'registrar.podpass.test',
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        clientConfig: {
          url: `https://127.0.0.1:${port}/validate`,
          caBundle: (await readFile(authority.certificate)).toString('base64'),
        },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'DELETE'], resources: ['pods'] }],
      },
    ],
  })
  // Until the API server has seen it, pods come by the watch alone, and it is told nowhere.
  await entryOf('k8s-workload-registrar/demo/node')
})

afterAll(async () => {
  stopping.abort(new Error('the test is over'))
  await work
  await ground.disposeAsync()
})

async function startPlane(): Promise<{ readonly access: ControlPlaneAccess } & AsyncDisposable> {
  const plane = await ControlPlane.start()
  return { access: plane.access, [Symbol.asyncDispose]: () => plane.close() }
}

function pod(name: string, serviceAccountName = 'default'): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name },
    spec: { serviceAccountName, containers: [{ name: 'main', image: 'none' }] },
  }
}

async function entryOf(path: string, matches: (entry: Entry) => boolean = () => true): Promise<Entry> {
  const id = `spiffe://example.org/${path}`
  return await until(`the entry of ${id}`, async () =>
    (await server.entries()).find((entry) => entry.spiffeId === id && matches(entry)),
  )
}

function isOf(name: string): (entry: Entry) => boolean {
  return ({ selectors }) => selectors.some(({ value }) => value === `pod-name:${name}`)
}

async function hasEntry(name: string): Promise<boolean> {
  return (await server.entries()).some(isOf(name))
}

test('the alias of the cluster is there from the start', async () => {
  expect(await entryOf('k8s-workload-registrar/demo/node')).toMatchObject({
    parentId: 'spiffe://example.org/spire/server',
    selectors: [{ type: 'k8s_psat', value: 'cluster:demo' }],
  })
})

test('a pod has its entry when its creation is answered, before anybody has scheduled it', async () => {
  await until('the API server to ask the webhook', async () => {
    await kubectl(controlPlane, ['delete', 'pod', 'probe', '-n', namespace, '--ignore-not-found', '--force'])
    await apply(controlPlane, pod('probe'))
    return await hasEntry('probe')
  })
  await apply(controlPlane, pod('web-0'))
  expect((await server.entries()).find(isOf('web-0'))).toMatchObject({
    spiffeId: `spiffe://example.org/ns/${namespace}/sa/default`,
    parentId: alias,
    dnsNames: [],
  })
})

test('a dry run makes nothing', async () => {
  await kubectl(controlPlane, ['apply', '--dry-run=server', '-f', '-'], JSON.stringify(pod('dry')))
  // What comes after it is there; it is not.
  await apply(controlPlane, pod('after-dry'))
  await entryOf(`ns/${namespace}/sa/default`, isOf('after-dry'))
  expect(await hasEntry('dry')).toBe(false)
})

test('a pod that is deleted loses its entry by the watch, and its successor of the same name has one', async () => {
  await apply(controlPlane, pod('set-0'))
  await entryOf(`ns/${namespace}/sa/default`, isOf('set-0'))
  await kubectl(controlPlane, ['delete', 'pod', 'set-0', '-n', namespace, '--force', '--grace-period=0'])
  await apply(controlPlane, pod('set-0'))
  await entryOf(`ns/${namespace}/sa/default`, isOf('set-0'))
  await kubectl(controlPlane, ['delete', 'pod', 'set-0', '-n', namespace, '--force', '--grace-period=0'])
  expect(await until('its entry to be gone', async () => !(await hasEntry('set-0')))).toBe(true)
})

test('while SPIRE is away pods are created and deleted, with a warning, and get their entries when it is back', async () => {
  await server.stop()
  try {
    expect(await createWithWarnings('away')).toContain('no SPIRE identity yet')
    await kubectl(controlPlane, ['delete', 'pod', 'web-0', '-n', namespace, '--force', '--grace-period=0'])
  } finally {
    await server.restart()
  }
  await entryOf(`ns/${namespace}/sa/default`, isOf('away'))
  expect(await until('the entry of the other to be gone', async () => !(await hasEntry('web-0')))).toBe(true)
})

/** @returns the warnings of the API server, which kubectl writes to its standard error */
async function createWithWarnings(name: string): Promise<string> {
  const file = join(controlPlane.directory, `${name}.json`)
  await writeFile(file, JSON.stringify(pod(name)))
  const args = ['--kubeconfig', controlPlane.adminKubeconfig, 'create', '-f', file]
  const { stderr } = await promisify(execFile)(controlPlane.kubectl, args)
  return stderr
}
