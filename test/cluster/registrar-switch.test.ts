import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { configMaps, leases } from '../../src/kubernetes/resource.ts'
import type { Selector } from '../../src/spire/entry.ts'
import { ControlPlane, type ControlPlaneAccess } from './control-plane.ts'
import type { Daemon } from './daemon.ts'
import type { WorkloadIdentity } from './delegated-identity.ts'
import {
  formerRegistrarNamespace,
  formerSpiffeIdDefinition,
  installSpiffeIds,
  startFormerRegistrar,
} from './former-registrar.ts'
import { kubectl } from './kubectl.ts'
import { createAgentToken, psatCluster } from './psat.ts'
import { type RegisteredEntry, registeredEntries } from './registered-entry.ts'
import { installRegistrar, type RegistrarProcess, startRegistrar } from './registrar-process.ts'
import { node, pod, service } from './side-by-side/objects.ts'
import { World } from './side-by-side/world.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

// SPIRE's registrar 1.5.6 hands over to Podpass, which starts with the same file, and back.

const federation = 'spiffe.io/federatesWith'
const lock = { namespace: formerRegistrarNamespace, name: 'spire-k8s-registrar-leader-election' }
/** An entry's id that the server made: those of Podpass have another form. */
const serversOwn = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Where client-go kept a lock before there were Leases. */
const recordAnnotation = 'control-plane.alpha.kubernetes.io/leader'

const ground = new AsyncDisposableStack()
const running = new Set<Daemon>()
let controlPlane: ControlPlaneAccess
let client: KubernetesClient
let world: World
let tokenFile: string

beforeAll(async () => {
  controlPlane = ground.use(await ControlPlane.start()).access
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  world = new World(controlPlane, client)
  ground.defer(() => world.close())
  await installRegistrar(controlPlane)
  await kubectl(controlPlane, ['apply', '-f', join(import.meta.dirname, '../../deploy/registrar/rbac-crd.yaml')])
  await installSpiffeIds(controlPlane, await formerSpiffeIdDefinition())
  await world.apply(node('n1'), node('n2'))
  tokenFile = await createAgentToken({ controlPlane, node: { name: 'n1' } })
})

afterEach(async () => {
  await stopAll()
  // The old registrar does not give it back, and the next one would wait for its end.
  await kubectl(controlPlane, ['delete', 'lease', lock.name, '-n', lock.namespace, '--ignore-not-found'])
})

afterAll(() => ground.disposeAsync())

async function stopAll(): Promise<void> {
  await Promise.all([...running].map((daemon) => stop(daemon)))
}

async function stop(daemon: Daemon): Promise<void> {
  running.delete(daemon)
  await daemon.close('SIGTERM')
}

describe.each([
  { mode: 'reconcile', root: '/spire-k8s-registrar/demo/node', file: 'metrics_addr = "0"\nadd_pod_dns_names = true' },
  { mode: 'crd', root: '/k8s-workload-registrar/demo/node', file: 'metrics_bind_addr = "0"' },
])('in the mode $mode', ({ mode, root, file }) => {
  const namespace = `switch-${mode}`
  let server: SpireServer
  let agent: SpireAgent

  beforeAll(async () => {
    server = ground.use(await SpireServer.start({ clusters: { demo: psatCluster(controlPlane) } }))
    await server.federateWith('partner.test')
    agent = ground.use(await SpireAgent.start(server, { attestation: { by: 'pod token', cluster: 'demo', tokenFile } }))
    await world.createNamespaces([namespace])
    await world.apply(
      service(namespace, 'web', { app: 'web' }),
      pod(namespace, 'web-0', { ip: '10.4.0.1', labels: { app: 'web' } }),
      pod(namespace, 'web-1', { ip: '10.4.0.2', labels: { app: 'web' }, node: 'n2' }),
      pod(namespace, 'alone'),
    )
    await world.servicesLead([namespace])
  })

  afterAll(async () => {
    const everything = ['--all', '-n', namespace, '--force', '--grace-period=0']
    await kubectl(controlPlane, ['delete', 'pods,services', ...everything])
  })

  function configuration(leaderElection: boolean): string {
    const common = `server_socket_path = "${server.socket}"\ntrust_domain = "example.org"\ncluster = "demo"`
    return `mode = "${mode}"\n${common}\n${file}\nleader_election = ${leaderElection}\n`
  }

  async function startFormer(leaderElection: boolean): Promise<Daemon> {
    const former = await startFormerRegistrar(controlPlane, configuration(leaderElection))
    running.add(former)
    return former
  }

  async function start(leaderElection: boolean, flags: readonly string[] = []): Promise<RegistrarProcess> {
    const registrar = await startRegistrar(controlPlane, configuration(leaderElection), flags)
    running.add(registrar.daemon)
    return registrar
  }

  async function selectorsOf(name: string): Promise<readonly Selector[]> {
    const uid = await kubectl(controlPlane, ['get', 'pod', name, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])
    const values =
      mode === 'crd' ? [`pod-uid:${uid}`, `ns:${namespace}`, 'node-name:n1'] : [`ns:${namespace}`, `pod-name:${name}`]
    return values.map((value) => ({ type: 'k8s', value }))
  }

  /** The entry of a pod under the registrar's root; more than one is an error. */
  async function entryOf(
    name: string,
    matches: (entry: RegisteredEntry) => boolean = () => true,
  ): Promise<RegisteredEntry> {
    const selectors = (await selectorsOf(name)).filter(({ value }) => !value.startsWith('node-name:'))
    return await until(`the entry of ${name}`, async () => {
      const found = (await registeredEntries(server)).filter(
        (entry) =>
          entry.parent_id.path.startsWith(`${root}/`) &&
          selectors.every(({ value }) => entry.selectors.some((selector) => selector.value === value)),
      )
      expect(found.length).toBeLessThanOrEqual(1)
      return found.find(matches)
    })
  }

  /** Creates a pod and waits for its entry: whoever makes it has seen everything before. */
  async function entryOfNew(name: string): Promise<RegisteredEntry> {
    await world.apply(pod(namespace, name))
    return await entryOf(name)
  }

  /** By id, all entries in every field: also when they were made, and how often they were written since. */
  async function entries(): Promise<ReadonlyMap<string, RegisteredEntry>> {
    return new Map((await registeredEntries(server)).map((entry) => [entry.id, inOrder(entry)]))
  }

  async function expectUntouched(before: ReadonlyMap<string, RegisteredEntry>): Promise<void> {
    const after = await entries()
    for (const [id, entry] of before) expect(after.get(id)).toEqual(entry)
  }

  test('without leader election it refuses to go on, names the flag, and goes on with it', async () => {
    const former = await startFormer(false)
    for (const name of ['web-0', 'web-1']) await entryOf(name, isNamedByItsService)
    await entryOf('alone')
    await entryOfNew('first')
    const before = await entries()
    const refusal = await start(false).then(
      async ({ daemon }) => {
        await daemon.ended
        return await readFile(daemon.log, 'utf8')
      },
      (error: unknown) => String(error),
    )
    expect(refusal).toContain('Stop it, then start this one with --takeover, or set leader_election = true in both')
    expect(await entries()).toEqual(before)
    await stop(former)

    await start(false, ['--takeover'])
    expect((await entryOfNew('taken')).id).not.toMatch(serversOwn)
    await expectUntouched(before)
  })

  test('the old registrar goes on with the entries of Podpass, too', async () => {
    const before = await entries()
    await startFormer(true)
    expect((await entryOfNew('back')).id).toMatch(serversOwn)
    const after = await entries()
    // In mode crd it writes the names of services into SpiffeIDs anew, and so into these entries.
    for (const { id, created_at, spiffe_id } of before.values()) {
      expect(after.get(id)).toMatchObject({ id, created_at, spiffe_id })
    }
  })

  test('it waits while the old registrar holds the lock, and then changes its entries in place: no pod is ever without an identity', async () => {
    const former = await startFormer(true)
    await entryOfNew('before')
    for (const name of ['web-0', 'web-1']) await entryOf(name, isNamedByItsService)
    const workload = await selectorsOf('web-0')
    const seen: WorkloadIdentity[][] = []
    await agent.identityOf(workload)
    const watching = collect(workload, seen)

    const foreign = await createForeign()
    const { probes } = await start(true)
    await until('Podpass to know the cluster', async () => (await fetch(`${probes}/readyz`)).ok)
    const holder = (await client.get(leases, lock)).spec?.holderIdentity
    expect((await entryOfNew('meanwhile')).id).toMatch(serversOwn)
    expect((await client.get(leases, lock)).spec?.holderIdentity).toBe(holder)
    const before = await entries()
    await stop(former)
    await createAdministrator()

    expect((await entryOfNew('after')).id).not.toMatch(serversOwn)
    expect((await client.get(leases, lock)).spec?.holderIdentity).not.toBe(holder)
    await expectUntouched(before)

    const old = await entryOf('web-0')
    await world.mark(namespace, 'web-0', { annotations: { [federation]: 'partner.test' } })
    const changed = await entryOf('web-0', ({ federates_with }) => federates_with.length > 0)
    expect({ ...inOrder(changed), revision_number: '' }).toEqual({
      ...inOrder(old),
      federates_with: ['partner.test'],
      revision_number: '',
    })
    await watching
    expect(seen.length).toBeGreaterThan(1)
    expect(seen.every((identities) => identities.length === 1)).toBe(true)
    const after = await entries()
    for (const { id } of foreign) expect(after.get(id)).toEqual(before.get(id))
    expect([...after.values()].filter(({ admin }) => admin)).toHaveLength(1)
  })

  test('a lock that an older registrar keeps in a ConfigMap is waited for', async () => {
    await keepLock('registrar-0_1')
    try {
      await start(true)
      await until('Podpass to hold the Lease', async () => (await client.get(leases, lock)).spec?.holderIdentity)
      const known = await entries()
      await world.apply(pod(namespace, 'locked-out'))
      for (let renewals = 0; renewals < 3; renewals++) {
        await keepLock('registrar-0_1')
        expect(await entries()).toEqual(known)
      }
      await keepLock('')
      expect((await entryOf('locked-out')).id).not.toMatch(serversOwn)
      const { metadata } = await client.get(configMaps, lock)
      const record = JSON.parse(metadata.annotations?.[recordAnnotation] ?? '{}') as object
      expect(record).toEqual({
        holderIdentity: (await client.get(leases, lock)).spec?.holderIdentity,
        leaseDurationSeconds: 15,
        acquireTime: expect.stringMatching(/^[-0-9]{10}T[:0-9]{8}Z$/),
        renewTime: expect.stringMatching(/^[-0-9]{10}T[:0-9]{8}Z$/),
        leaderTransitions: 4,
      })
    } finally {
      await stopAll()
      await kubectl(controlPlane, ['delete', 'configmap', lock.name, '-n', lock.namespace])
    }
  })

  /** Follows what a workload gets until it federates. */
  async function collect(workload: readonly Selector[], seen: WorkloadIdentity[][]): Promise<void> {
    for await (const identities of agent.identitiesOf(workload, Date.now() + 150_000)) {
      seen.push([...identities])
      if (identities.some(({ federatesWith }) => federatesWith.includes('partner.test'))) return
    }
  }

  /** Entries that look like the registrar's and are not. */
  async function createForeign(): Promise<readonly { readonly id: string }[]> {
    const selector = ['k8s:ns:elsewhere', 'k8s:pod-name:alone']
    return await Promise.all([
      server.createEntry({ spiffeId: server.id('/theirs'), parentId: server.id('/elsewhere'), selector }),
      server.createEntry({ spiffeId: server.id('/beside'), parentId: server.id(`${root}-x/n1`), selector }),
    ])
  }

  /** The entry that lets a registrar in, on a node of its own making. */
  async function createAdministrator(): Promise<void> {
    const selector = ['k8s:ns:spire', 'k8s:sa:spire-k8s-registrar']
    await server.createEntry({
      spiffeId: server.id('/registrar'),
      parentId: server.id(`${root}/n1`),
      selector,
      admin: true,
    })
  }

  function isNamedByItsService({ dns_names }: RegisteredEntry): boolean {
    return dns_names.includes(`web.${namespace}.svc`)
  }
})

/** Writes the lock as client-go did. @param holder - empty to give it back */
async function keepLock(holder: string): Promise<void> {
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  const record = {
    holderIdentity: holder,
    leaseDurationSeconds: 15,
    acquireTime: time,
    renewTime: time,
    leaderTransitions: 3,
  }
  await client.apply(
    configMaps,
    { metadata: { ...lock, annotations: { [recordAnnotation]: JSON.stringify(record) } } },
    { fieldManager: 'former-registrar', force: true },
  )
}

/** Lists that have no order are in order. */
function inOrder(entry: RegisteredEntry): RegisteredEntry {
  return { ...entry, selectors: entry.selectors.toSorted((a, b) => (a.value < b.value ? -1 : 1)) }
}
