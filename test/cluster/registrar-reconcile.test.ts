import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest'
import type { Entry, Selector } from '../../src/spire/entry.ts'
import type { Daemon } from './daemon.ts'
import { formerRegistrarNamespace, startFormerRegistrar } from './former-registrar.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { createPod, deletePod, runPod } from './pod.ts'
import { createAgentToken, psatCluster } from './psat.ts'
import { installRegistrar, type RegistrarProcess, startRegistrar } from './registrar-process.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'registrar-workloads'
const nodeId = `spiffe://example.org/spire-k8s-registrar/demo/node/${node.name}`

let server: SpireServer
let agent: SpireAgent
const running: Daemon[] = []

beforeAll(async () => {
  server = await SpireServer.start({ clusters: { demo: psatCluster(controlPlane) } })
  const tokenFile = await createAgentToken(cluster)
  agent = await SpireAgent.start(server, { attestation: { by: 'pod token', cluster: 'demo', tokenFile } })
  await installRegistrar(controlPlane)
  await createNamespace(controlPlane, namespace)
})

afterEach(async () => {
  await Promise.all(running.splice(0).map((daemon) => daemon.close('SIGTERM')))
  for (const { id } of await server.entries()) await server.deleteEntry(id)
  await kubectl(controlPlane, ['delete', 'pods', '--all', '-n', namespace, '--grace-period=0', '--force'])
})

afterAll(async () => {
  await agent?.close()
  await server?.close()
})

function configuration(more = ''): string {
  return `
    mode = "reconcile"
    trust_domain = "example.org"
    cluster = "demo"
    server_socket_path = "${server.socket}"
    leader_election = true
    ${more}
  `
}

async function start(more = '', flags: readonly string[] = []): Promise<RegistrarProcess> {
  const registrar = await startRegistrar(controlPlane, configuration(more), flags)
  running.push(registrar.daemon)
  return registrar
}

const k8s = (...values: readonly string[]): readonly Selector[] => values.map((value) => ({ type: 'k8s', value }))

async function entryOf(pod: string): Promise<Entry | undefined> {
  const found = (await server.entries()).filter(({ selectors }) =>
    selectors.some(({ value }) => value === `pod-name:${pod}`),
  )
  expect(found.length).toBeLessThanOrEqual(1)
  return found[0]
}

test('a pod and its node get their entries, and the pod an identity with its DNS names, which all end with it', async () => {
  const { probes } = await start('add_pod_dns_names = true\npod_annotation = "example.org/id"')
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { clusterIP: 'None', selector: { app: 'web-0' }, ports: [{ port: 80 }] },
  })
  const annotations = { 'example.org/id': 'production/web' }
  const pod = await runPod(cluster, { namespace, name: 'web-0', annotations })

  const named = await agent.identityOf(k8s(`ns:${namespace}`, 'pod-name:web-0'), ({ dnsNames }) =>
    dnsNames.includes(`web.${namespace}.svc`),
  )

  expect(named.spiffeId).toBe('spiffe://example.org/production/web')
  expect(named.dnsNames).toContain(`web-0.web.${namespace}.svc.cluster.local`)
  expect(await entryOf('web-0')).toMatchObject({
    parentId: nodeId,
    selectors: k8s(`ns:${namespace}`, 'pod-name:web-0'),
  })
  expect(await (await fetch(`${probes}/readyz`)).text()).toBe('ok\n')
  expect(await (await fetch(`${probes}/metrics`)).text()).toContain('podpass_registrar_entries 2')
  await deletePod(controlPlane, pod)
  await until('the entry to go', async () => (await entryOf('web-0')) === undefined)
})

test('an entry stays while a pod ends, and until its containers have ended', async () => {
  await start()
  const command = ['sh', '-c', 'trap "sleep 5; exit 0" TERM; while true; do sleep 0.1; done']
  await runPod(cluster, { namespace, name: 'slow', command })
  await until('the entry', async () => await entryOf('slow'))
  await kubectl(controlPlane, ['delete', 'pod', 'slow', '-n', namespace, '--wait=false'])
  await until('the deletion to begin', async () => {
    const time = await kubectl(controlPlane, [
      'get',
      'pod',
      'slow',
      '-n',
      namespace,
      '-o',
      'jsonpath={.metadata.deletionTimestamp}',
    ])
    return time !== ''
  })
  expect(await entryOf('slow')).toBeDefined()
  await until('the entry to go', async () => (await entryOf('slow')) === undefined)
})

test('what the former registrar wrote is gone on with, not one entry is made again, and only one of both writes', async () => {
  const former = await startFormerRegistrar(controlPlane, `${configuration()}\nmetrics_addr = "0"`)
  running.push(former)
  await createPod(cluster, { namespace, name: 'early' })
  const early = await until('the entry', async () => await entryOf('early'))
  const before = await server.entries()

  await start()
  await createPod(cluster, { namespace, name: 'meanwhile' })
  const meanwhile = await until('the entry', async () => await entryOf('meanwhile'))
  // A server makes ids of another form.
  expect(meanwhile.id).toMatch(/^[0-9a-f-]{36}$/)
  await former.close('SIGTERM')

  await createPod(cluster, { namespace, name: 'late' })
  const late = await until('the entry', async () => await entryOf('late'), { timeout: 60_000 })
  expect(late.id).toContain('.demo.')
  const after = new Map((await server.entries()).map((entry) => [entry.id, entry]))
  for (const entry of [...before, early, meanwhile]) expect(after.get(entry.id)).toEqual(entry)
  expect(after.size).toBe(before.length + 2)
})

test('without leader election it does not go on with the entries of another registrar, unless it is told to', async () => {
  await server.createEntry({
    spiffeId: nodeId,
    parentId: 'spiffe://example.org/spire/server',
    selector: [`k8s_psat:agent_node_name:${node.name}`, 'k8s_psat:cluster:demo'],
  })
  const plain = configuration().replace('leader_election = true', '')
  await expect(
    startRegistrar(controlPlane, plain).then(async ({ daemon }) => {
      await Promise.race([daemon.failure(), until('it to end', () => false, { timeout: 30_000 })])
    }),
  ).rejects.toThrow('--takeover')
  const registrar = await startRegistrar(controlPlane, plain, ['--takeover'])
  running.push(registrar.daemon)
  await createPod(cluster, { namespace, name: 'web' })
  expect((await until('the entry', async () => await entryOf('web'))).parentId).toBe(nodeId)
})

test('entries of others are left alone, and what others did to its own is repaired', async () => {
  const foreign = await server.createEntry({
    spiffeId: server.id('/theirs'),
    parentId: server.id('/elsewhere'),
    selector: [`k8s:ns:${namespace}`, 'k8s:pod-name:web'],
  })
  await start('verify_interval = "1s"')
  await createPod(cluster, { namespace, name: 'web' })
  const own = await until('the entry', async () =>
    (await server.entries()).find(({ spiffeId }) => spiffeId === server.id(`/ns/${namespace}/sa/default`)),
  )
  await server.deleteEntry(own.id)
  const again = await until('the entry again', async () =>
    (await server.entries()).find(({ spiffeId }) => spiffeId === server.id(`/ns/${namespace}/sa/default`)),
  )
  expect(again.id).not.toBe(own.id)
  await kubectl(controlPlane, ['delete', 'pod', 'web', '-n', namespace, '--grace-period=0', '--force'])
  await until('the entry to go', async () => !(await server.entries()).some(({ id }) => id === again.id))
  expect((await server.entries()).find(({ id }) => id === foreign.id)).toEqual(foreign)
})

test('a second registrar stands by, and goes on when the first one is killed', async () => {
  const first = await start()
  await createPod(cluster, { namespace, name: 'one' })
  await until('the entry', async () => await entryOf('one'))
  const second = await start()
  await until('the second to know the cluster', async () => (await fetch(`${second.probes}/readyz`)).ok)
  await first.daemon.close('SIGKILL')
  await createPod(cluster, { namespace, name: 'two' })
  await until('the entry', async () => await entryOf('two'))
  const lease = await kubectl(controlPlane, [
    'get',
    'lease',
    'spire-k8s-registrar-leader-election',
    '-n',
    formerRegistrarNamespace,
    '-o',
    'jsonpath={.spec.leaseTransitions}',
  ])
  expect(Number(lease)).toBeGreaterThan(0)
})

test('a server that is away is waited for', async () => {
  const { probes } = await start()
  await server.stop()
  try {
    await createPod(cluster, { namespace, name: 'web' })
    await until('trouble to be told', async () =>
      (await (await fetch(`${probes}/readyz`)).text()).includes('SPIRE server'),
    )
  } finally {
    await server.restart()
  }
  await until('the entry', async () => await entryOf('web'))
  expect((await fetch(`${probes}/readyz`)).status).toBe(200)
})
