import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { EventRecorder } from '../../src/kubernetes/events.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { events } from '../../src/kubernetes/resource.ts'
import type { CrdConfig } from '../../src/registrar/config/registrar-config.ts'
import { spiffeIdAdmission, spiffeIdAdmissionPath } from '../../src/registrar/crd/spiffe-id-admission.ts'
import { type SpiffeIdObject, spiffeIds } from '../../src/registrar/crd/spiffe-id-resource.ts'
import { crdConfig } from '../../src/registrar/crd/fixtures/spiffe-ids.ts'
import { LiveRegistrar } from '../../src/registrar/live/live-registrar.ts'
import { SpiffeIdObjects } from '../../src/registrar/live/spiffe-id-objects.ts'
import { createSyncMetrics } from '../../src/registrar/sync/sync-metrics.ts'
import { WebhookServer } from '../../src/registrar/webhook/webhook-server.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { bundleService } from '../../src/spire/bundle-service.ts'
import { entryService } from '../../src/spire/entry-service.ts'
import type { Entry } from '../../src/spire/entry.ts'
import { ServerClient } from '../../src/spire/server-client.ts'
import { createAuthority, issue } from './certificate-authority.ts'
import { ControlPlane, type ControlPlaneAccess } from './control-plane.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

// The mode crd against a real API server, with the rights of its own manifests, and a real SPIRE server.

const namespace = 'crd-shop'
const root = 'spiffe://example.org/k8s-workload-registrar/demo/node'
const serverId = 'spiffe://example.org/spire/server'
const manifests = join(import.meta.dirname, '../../deploy/registrar')

let plane: ControlPlane
let controlPlane: ControlPlaneAccess
let server: SpireServer
let client: KubernetesClient
let registrar: RunningRegistrar

/** A registrar as its Deployment runs it: with its own service account, and no other rights. */
class RunningRegistrar {
  readonly registrar: LiveRegistrar<SpiffeIdObjects>
  readonly #ground: AsyncDisposableStack
  readonly #stopping: AbortController
  readonly #work: Promise<void>

  private constructor(registrar: LiveRegistrar<SpiffeIdObjects>, ground: AsyncDisposableStack) {
    this.registrar = registrar
    this.#ground = ground
    this.#stopping = new AbortController()
    this.#work = registrar.lead(this.#stopping.signal)
    // A test that fails must not wait for it.
    this.#work.catch(() => {})
  }

  static async start(changes: Partial<CrdConfig> = {}, mayTakeOver = false): Promise<RunningRegistrar> {
    await using ground = new AsyncDisposableStack()
    const account = { namespace: 'spire', name: 'podpass-registrar' }
    const { kubeconfig } = await serviceAccountKubeconfig(controlPlane, account)
    const own = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
    ground.defer(() => own.close())
    const spire = new ServerClient({
      endpoint: { by: 'socket', path: server.socket },
      trustDomain: 'example.org',
      clock: systemClock,
    })
    ground.defer(() => spire.close())
    const recorder = new EventRecorder({ client: own, component: 'podpass-registrar', instance: 'test' })
    ground.defer(() => recorder.close())
    const common = { config: crdConfig(changes), clock: systemClock, log: silentLog }
    const registrar = new LiveRegistrar({
      ...common,
      follow: (surroundings) =>
        new SpiffeIdObjects({
          ...common,
          ...surroundings,
          client: own,
          namespace: 'spire',
          ownId: undefined,
          events: recorder,
        }),
      entries: entryService(spire),
      bundles: bundleService(spire),
      mayTakeOver,
      areDeletesConfirmed: false,
      metrics: createSyncMetrics(new Registry()),
    })
    ground.defer(() => registrar.close())
    return new RunningRegistrar(registrar, ground.move())
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the test stops it'))
    await this.#work
    await this.#ground.disposeAsync()
  }
}

beforeAll(async () => {
  plane = await ControlPlane.start()
  controlPlane = plane.access
  server = await SpireServer.start()
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  const files = ['crd.yaml', 'rbac.yaml', 'rbac-crd.yaml'].flatMap((name) => ['-f', join(manifests, name)])
  await kubectl(controlPlane, ['apply', ...files])
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/spiffeids.spiffeid.spiffe.io'])
  await createNamespace(controlPlane, namespace)
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
  registrar = await RunningRegistrar.start()
})

afterAll(async () => {
  await registrar?.stop()
  await client?.close()
  await server?.close()
  await plane?.close()
})

function pod(name: string, annotations: Readonly<Record<string, string>> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, annotations, labels: { app: name } },
    spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'none' }] },
  }
}

function spiffeId(name: string, spec: object): object {
  return { apiVersion: 'spiffeid.spiffe.io/v1beta1', kind: 'SpiffeID', metadata: { namespace, name }, spec }
}

const manual = (id: string, changes: object = {}): object => ({
  spiffeId: `spiffe://example.org/${id}`,
  parentId: `${root}/n1`,
  selector: { namespace, podName: id },
  ...changes,
})

async function entryOf(id: string, matches: (entry: Entry) => boolean = () => true): Promise<Entry> {
  const spiffeId = `spiffe://example.org/${id}`
  return await until(
    `the entry of ${spiffeId}`,
    async () => (await server.entries()).find((entry) => entry.spiffeId === spiffeId && matches(entry)),
    { timeout: 90_000 },
  )
}

/** Waits until an ID has no entry, and tells whether that has come. */
async function hasNoEntry(id: string): Promise<boolean> {
  const spiffeId = `spiffe://example.org/${id}`
  return await until(`${spiffeId} to have no entry`, async () =>
    (await server.entries()).every((entry) => entry.spiffeId !== spiffeId),
  )
}

async function ready(name: string, status: 'True' | 'False', reason?: string): Promise<SpiffeIdObject> {
  return await until(`SpiffeID ${name} to be Ready=${status}`, async () => {
    const object = await client.get(spiffeIds, { namespace, name })
    const condition = object.status?.conditions?.find(({ type }) => type === 'Ready')
    const isSo = condition?.status === status && (reason === undefined || condition.reason === reason)
    return isSo && object.status?.observedGeneration === object.metadata.generation && object
  })
}

async function deletePod(name: string): Promise<void> {
  await kubectl(controlPlane, ['delete', 'pod', name, '-n', namespace, '--force', '--grace-period=0'])
}

test('a pod and its node get SpiffeIDs, and these get entries, as with the former registrar', async () => {
  await apply(controlPlane, pod('web-0'))
  const entry = await entryOf(`ns/${namespace}/sa/default`, ({ dnsNames }) => dnsNames.includes('web-0'))
  const { metadata, spec, status } = await ready('web-0', 'True')
  const { uid } = JSON.parse(
    await kubectl(controlPlane, ['get', 'pod', 'web-0', '-n', namespace, '-o', 'jsonpath={.metadata}']),
  ) as { uid: string }
  expect(metadata.labels).toEqual({ podUid: uid })
  expect(metadata.finalizers).toEqual(['finalizers.spiffeid.spiffe.io'])
  expect(spec).toEqual({
    spiffeId: entry.spiffeId,
    parentId: `${root}/n1`,
    selector: { podUid: uid, namespace, nodeName: 'n1' },
    dnsNames: ['web-0'],
  })
  expect(status?.entryId).toBe(entry.id)
  expect(entry.parentId).toBe(`${root}/n1`)
  expect(entry.selectors.map(({ type, value }) => `${type}:${value}`).toSorted()).toEqual(
    [`k8s:node-name:n1`, `k8s:ns:${namespace}`, `k8s:pod-uid:${uid}`].toSorted(),
  )
  const alias = await entryOf('k8s-workload-registrar/demo/node/n1')
  expect(alias.parentId).toBe(serverId)
  expect(await kubectl(controlPlane, ['get', 'spiffeids', '-n', 'spire', 'n1', '-o', 'name'])).toContain('n1')
})

test("a service's name comes with its endpoints, and goes with them", async () => {
  await apply(controlPlane, pod('named'))
  const uid = await kubectl(controlPlane, ['get', 'pod', 'named', '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', namespace, name: 'named', uid } }],
    ports: [],
  }
  await apply(controlPlane, slice)
  const id = `ns/${namespace}/sa/default`
  const has = (names: string) => (entry: Entry) => entry.dnsNames.join(' ') === names
  const named = await entryOf(id, has(`named web.${namespace}.svc`))
  await kubectl(controlPlane, ['delete', 'endpointslice', 'web-1', '-n', namespace])
  expect((await entryOf(id, has('named'))).id).toBe(named.id)
})

test('a change of the federation annotation is a change of the entry; a bundle that is missing is told', async () => {
  await server.federateWith('partner.test')
  await apply(controlPlane, pod('federated', { 'spiffe.io/federatesWith': 'partner.test, missing.test' }))
  const id = `ns/${namespace}/sa/default`
  const of = (names: readonly string[]) => (entry: Entry) =>
    entry.dnsNames.includes('federated') && entry.federatesWith.join() === names.join()
  // Its identity does not wait: the server is asked for its bundles once a minute at most.
  const { status, spec } = await ready('federated', 'True')
  expect(spec).toMatchObject({ federatesWith: ['partner.test', 'missing.test'] })
  expect((await entryOf(id, of(['partner.test']))).id).toBe(status?.entryId)
  const told = await client.get(spiffeIds, { namespace, name: 'federated' })
  expect(told.status?.conditions?.[0]?.message).toContain('missing.test')
  await apply(controlPlane, pod('federated', { 'spiffe.io/federatesWith': '' }))
  expect((await entryOf(id, of([]))).id).toBe(status?.entryId)
})

test('a pod that goes takes its SpiffeID and its entry with it', async () => {
  await apply(controlPlane, pod('short'))
  const { status } = await ready('short', 'True')
  await deletePod('short')
  await kubectl(controlPlane, ['wait', 'spiffeid/short', '-n', namespace, '--for=delete', '--timeout=60s'])
  // The finalizer held the SpiffeID until then.
  expect((await server.entries()).map(({ id }) => id)).not.toContain(status?.entryId)
})

test('a SpiffeID that a person makes is an entry, and follows its changes', async () => {
  await apply(controlPlane, spiffeId('by-hand', manual('by-hand', { dnsNames: ['a.test'] })))
  const { id } = await entryOf('by-hand')
  await ready('by-hand', 'True')
  await apply(controlPlane, spiffeId('by-hand', manual('by-hand', { dnsNames: ['b.test'] })))
  // In place: at no time is there none.
  expect((await entryOf('by-hand', ({ dnsNames }) => dnsNames[0] === 'b.test')).id).toBe(id)
  await kubectl(controlPlane, ['delete', 'spiffeid', 'by-hand', '-n', namespace, '--timeout=60s'])
  expect(await hasNoEntry('by-hand')).toBe(true)
})

test.each<[string, object, string, string]>([
  ['foreign', { spiffeId: 'spiffe://example.orgevil/x' }, 'InvalidId', 'example.orgevil'],
  ['spire', { spiffeId: 'spiffe://example.org/spire/agent/x' }, 'IdNotAllowed', "SPIRE's own IDs"],
  ['other-namespace', { selector: { namespace: 'kube-system' } }, 'NamespaceMismatch', 'must match namespace'],
  ['node', { selector: { cluster: 'demo' } }, 'NodeSelectorsNotAllowed', 'can only be used by'],
  ['server-parent', { parentId: serverId }, 'ParentNotAllowed', 'no alias of nodes'],
  ['ca', { downstream: true }, 'DownstreamNotAllowed', 'allow_downstream_namespaces'],
  ['dns', { dnsNames: ['a b'] }, 'InvalidDnsName', 'invalid DNS name "a b"'],
])('a SpiffeID that breaks a rule (%s) makes no entry and says why', async (name, changes, reason, words) => {
  await apply(controlPlane, spiffeId(`bad-${name}`, manual(`bad-${name}`, changes)))
  const { status } = await ready(`bad-${name}`, 'False', reason)
  expect(status?.conditions?.[0]?.message).toContain(words)
  expect(status?.entryId).toBeUndefined()
  const { items } = await client.list(events, { namespace, fieldSelector: `involvedObject.name=bad-${name}` })
  expect(items.map((event) => event.reason)).toEqual([reason])
  await kubectl(controlPlane, ['delete', 'spiffeid', `bad-${name}`, '-n', namespace, '--timeout=60s'])
})

test('the last good entry stays where a change breaks a rule', async () => {
  await apply(controlPlane, spiffeId('edited', manual('edited')))
  const { id } = await entryOf('edited')
  await ready('edited', 'True')
  await apply(controlPlane, spiffeId('edited', manual('edited', { downstream: true })))
  const { status } = await ready('edited', 'False', 'DownstreamNotAllowed')
  expect(status?.entryId).toBe(id)
  expect(await entryOf('edited')).toMatchObject({ id, downstream: false })
})

test('of two SpiffeIDs that ask for the same the older one has it, and the other one after it', async () => {
  await apply(controlPlane, spiffeId('first', manual('twin')))
  await ready('first', 'True')
  await apply(controlPlane, spiffeId('second', manual('twin')))
  await ready('second', 'False', 'Duplicate')
  await kubectl(controlPlane, ['delete', 'spiffeid', 'first', '-n', namespace, '--timeout=60s'])
  const { status } = await ready('second', 'True')
  expect((await entryOf('twin')).id).toBe(status?.entryId)
})

test('an entry that somebody else made is not touched, and the SpiffeID that asks for it says so', async () => {
  const foreign = await server.createEntry({
    spiffeId: server.id('/theirs'),
    parentId: `${root}/n1`,
    selector: [`k8s:ns:${namespace}`, 'k8s:pod-name:theirs'],
  })
  await apply(controlPlane, spiffeId('theirs', manual('theirs')))
  const { status } = await ready('theirs', 'False', 'Conflict')
  expect(status?.conditions?.[0]?.message).toContain(foreign.id)
  await kubectl(controlPlane, ['delete', 'spiffeid', 'theirs', '-n', namespace, '--timeout=60s'])
  expect(await entryOf('theirs')).toMatchObject({ id: foreign.id })
})

test("a SpiffeID of a pod's name that a person made is not overwritten, and the pod's events say so", async () => {
  await apply(controlPlane, spiffeId('taken', manual('taken')))
  await ready('taken', 'True')
  await apply(controlPlane, pod('taken'))
  const message = await until('an event of the pod', async () => {
    const { items } = await client.list(events, {
      namespace,
      fieldSelector: 'involvedObject.kind=Pod,reason=SpiffeIDConflict',
    })
    return items[0]?.message
  })
  expect(message).toContain('which was not made for it')
  const { spec } = await client.get(spiffeIds, { namespace, name: 'taken' })
  expect(spec).toEqual(manual('taken'))
})

test('an entry that is deleted behind its back comes again by the next change, under another id', async () => {
  await apply(controlPlane, spiffeId('robbed', manual('robbed')))
  const { id } = await entryOf('robbed')
  await ready('robbed', 'True')
  await server.deleteEntry(id)
  await apply(controlPlane, spiffeId('robbed', manual('robbed', { dnsNames: ['robbed.test'] })))
  expect((await entryOf('robbed')).id).not.toBe(id)
})

test('a registrar that starts again changes nothing, and deletes what has gone in the meantime', async () => {
  await apply(controlPlane, spiffeId('gone', manual('gone')))
  await ready('gone', 'True')
  await registrar.stop()
  await kubectl(controlPlane, ['delete', 'spiffeid', 'gone', '-n', namespace, '--wait=false'])
  const before = await server.entries()
  registrar = await RunningRegistrar.start()
  expect(await hasNoEntry('gone')).toBe(true)
  await kubectl(controlPlane, ['wait', 'spiffeid/gone', '-n', namespace, '--for=delete', '--timeout=60s'])
  const kept = before.filter(({ spiffeId }) => spiffeId !== 'spiffe://example.org/gone')
  const after = await server.entries()
  for (const { id, revision } of kept) expect(after).toContainEqual(expect.objectContaining({ id, revision }))
})

test('a node that is made anew gets its alias anew', async () => {
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n2' } })
  const before = await entryOf('k8s-workload-registrar/demo/node/n2')
  await kubectl(controlPlane, ['delete', 'node', 'n2'])
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n2' } })
  const uid = await kubectl(controlPlane, ['get', 'node', 'n2', '-o', 'jsonpath={.metadata.uid}'])
  const after = await entryOf('k8s-workload-registrar/demo/node/n2', ({ selectors }) =>
    selectors.some(({ value }) => value === `agent_node_uid:${uid}`),
  )
  expect(after.selectors).not.toEqual(before.selectors)
})

test('the API server asks the webhook, and refuses what it refuses', async () => {
  const authority = await createAuthority(controlPlane.directory, 'webhook-ca')
  const pair = await issue(authority, controlPlane.directory, 'webhook', {
    commonName: 'webhook',
    alternativeNames: ['IP:127.0.0.1'],
  })
  const [certificate, key, ca] = await Promise.all(
    [pair.certificate, pair.key, authority.certificate].map((file) => readFile(file, 'utf8')),
  )
  const webhook = await WebhookServer.start({
    host: '127.0.0.1',
    port: 0,
    material: { certificate: certificate ?? '', key: key ?? '', clientCas: undefined },
    handlers: new Map([[spiffeIdAdmissionPath, spiffeIdAdmission(registrar.registrar.objects.source)]]),
    clock: systemClock,
    log: silentLog,
  })
  try {
    await apply(controlPlane, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'spiffeids' },
      webhooks: [
        {
          name: 'spiffeids.podpass.test',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
          clientConfig: {
            url: `https://127.0.0.1:${webhook.port}${spiffeIdAdmissionPath}`,
            caBundle: Buffer.from(ca ?? '').toString('base64'),
          },
          rules: [
            {
              apiGroups: ['spiffeid.spiffe.io'],
              apiVersions: ['v1beta1'],
              operations: ['CREATE', 'UPDATE', 'DELETE'],
              resources: ['spiffeids'],
            },
          ],
        },
      ],
    })
    const refused = await until('the API server to ask the webhook', async () => {
      const bad = spiffeId('refused', manual('refused', { selector: { namespace: 'kube-system' } }))
      return await apply(controlPlane, bad).then(
        () => false,
        (error: unknown) => String(error),
      )
    })
    expect(refused).toContain('denied the request: spec.Selector.Namespace must match namespace of resource')
    await kubectl(controlPlane, [
      'delete',
      'spiffeid',
      'refused',
      '-n',
      namespace,
      '--ignore-not-found',
      '--timeout=60s',
    ])
    await apply(controlPlane, spiffeId('admitted', manual('admitted')))
    await ready('admitted', 'True')
    await apply(controlPlane, pod('admitted-pod'))
    await ready('admitted-pod', 'True')
    await kubectl(controlPlane, ['delete', 'spiffeid', 'admitted', '-n', namespace, '--timeout=60s'])
  } finally {
    await kubectl(controlPlane, ['delete', 'validatingwebhookconfiguration', 'spiffeids', '--ignore-not-found'])
    await webhook.close()
  }
})

test('while SPIRE is away nothing hangs for ever: the finalizer goes after a minute, and the entry when SPIRE is back', async () => {
  await apply(controlPlane, spiffeId('stuck', manual('stuck')))
  await ready('stuck', 'True')
  await server.stop()
  try {
    await kubectl(controlPlane, ['delete', 'spiffeid', 'stuck', '-n', namespace, '--timeout=120s'])
  } finally {
    await server.restart()
  }
  expect(await hasNoEntry('stuck')).toBe(true)
})
