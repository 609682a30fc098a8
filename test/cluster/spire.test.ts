import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Entry, Selector } from '../../src/spire/entry.ts'
import {
  formerSpiffeIdDefinition,
  installSpiffeIds,
  removeSpiffeIds,
  startFormerRegistrar,
} from './former-registrar.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { deletePod, runPod } from './pod.ts'
import { createAgentToken, psatCluster } from './psat.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'spire-workloads'

let server: SpireServer
/** Attested as the cluster's node. */
let agent: SpireAgent

beforeAll(async () => {
  server = await SpireServer.start({ clusters: { demo: psatCluster(controlPlane) } })
  const tokenFile = await createAgentToken(cluster)
  agent = await SpireAgent.start(server, { attestation: { by: 'pod token', cluster: 'demo', tokenFile } })
  await createNamespace(controlPlane, namespace)
})

afterAll(async () => {
  await agent?.close()
  await server?.close()
})

const k8s = (...values: readonly string[]): readonly Selector[] => values.map((value) => ({ type: 'k8s', value }))

/** The server's entries for an identity, once there is one. */
function entriesOf(spiffeId: string): Promise<readonly Entry[]> {
  return until(`an entry of ${spiffeId}`, async () => {
    const found = (await server.entries()).filter((entry) => entry.spiffeId === spiffeId)
    return found.length > 0 && found
  })
}

test('an entry leads to an identity with its SPIFFE ID, its names and its federated trust domains', async () => {
  await server.federateWith('other.test')
  const entry = await server.createEntry({
    id: 'by-hand.1',
    spiffeId: server.id('/ns/shop/sa/web'),
    parentId: agent.id,
    selector: ['k8s:ns:shop', 'k8s:pod-name:web-0'],
    dnsNames: ['web-0', 'web-0.web.shop.svc'],
    federatesWith: ['other.test'],
  })
  expect(entry).toMatchObject({ id: 'by-hand.1', revision: 0n, downstream: false, admin: false })

  const identity = await agent.identityOf(k8s('ns:shop', 'pod-name:web-0', 'sa:web'))

  expect(identity).toMatchObject({
    spiffeId: 'spiffe://example.org/ns/shop/sa/web',
    dnsNames: ['web-0', 'web-0.web.shop.svc'],
    federatesWith: ['other.test'],
  })
  expect(identity.certificate.subject).toContain('CN=web-0')
})

test('a server that was killed has its entries, and its agents go on with it', async () => {
  await using own = await SpireServer.start({ trustDomain: 'own.test' })
  await using ownAgent = await SpireAgent.start(own, { attestation: { by: 'join token', alias: own.id('/node') } })
  const before = { spiffeId: own.id('/before'), parentId: own.id('/node'), selector: ['k8s:ns:before'] }
  await own.createEntry(before)
  await ownAgent.identityOf(k8s('ns:before'))

  await own.stop('SIGKILL')
  await own.restart()

  await own.createEntry({ ...before, spiffeId: own.id('/after'), selector: ['k8s:ns:after'] })
  expect((await ownAgent.identityOf(k8s('ns:after'))).spiffeId).toBe('spiffe://own.test/after')
  await ownAgent.restart()
  expect((await ownAgent.identityOf(k8s('ns:before'))).spiffeId).toBe('spiffe://own.test/before')
  expect((await own.entries()).map((entry) => entry.spiffeId)).toContain('spiffe://own.test/before')
})

test('a server that is closed leaves no directory', async () => {
  const own = await SpireServer.start()
  await own.close()
  await expect(access(own.directory)).rejects.toThrow('ENOENT')
})

test('the former registrar, in mode reconcile, gives a pod and its node their entries, and the pod an identity', async () => {
  await using registrar = await startFormerRegistrar(
    controlPlane,
    `
    mode = "reconcile"
    trust_domain = "example.org"
    cluster = "demo"
    server_socket_path = "${server.socket}"
    pod_label = "identity"
    add_pod_dns_names = true
    leader_election = true
    metrics_addr = "0"
    `,
  )
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { clusterIP: 'None', selector: { app: 'reconciled' }, ports: [{ port: 80 }] },
  })
  const pod = await runPod(cluster, { namespace, name: 'reconciled', labels: { identity: 'reconciled-web' } })

  const selectors = k8s(`ns:${namespace}`, 'pod-name:reconciled')
  const named = await agent.identityOf(selectors, ({ dnsNames }) => dnsNames.includes(`web.${namespace}.svc`))
  expect(named.spiffeId).toBe('spiffe://example.org/reconciled-web')
  expect(named.dnsNames).toContain(`reconciled.web.${namespace}.svc.cluster.local`)
  const parentId = `spiffe://example.org/spire-k8s-registrar/demo/node/${node.name}`
  expect(await entriesOf('spiffe://example.org/reconciled-web')).toMatchObject([{ parentId, selectors }])
  expect(await entriesOf(parentId)).toMatchObject([{ parentId: 'spiffe://example.org/spire/server' }])
  const lease = await kubectl(controlPlane, ['get', 'lease', 'spire-k8s-registrar-leader-election', '-n', 'spire'])
  expect(lease).toContain('spire-k8s-registrar-leader-election')

  await deletePod(controlPlane, pod)
  await until('the entry to go', async () => {
    const entries = await server.entries()
    return !entries.some((entry) => entry.spiffeId === 'spiffe://example.org/reconciled-web')
  })
  await registrar.close('SIGTERM')
})

const ownDefinition = join(import.meta.dirname, '../../deploy/registrar/crd.yaml')

test.each<readonly [string, () => Promise<string>]>([
  ['its own', formerSpiffeIdDefinition],
  ["Podpass's", async () => ownDefinition],
])(
  'the former registrar, in mode crd, makes a SpiffeID of %s kind of a pod, and of that an identity',
  async (_, definition) => {
    await installSpiffeIds(controlPlane, await definition())
    await using registrar = await startFormerRegistrar(
      controlPlane,
      `
    mode = "crd"
    trust_domain = "example.org"
    cluster = "demo"
    server_socket_path = "${server.socket}"
    identity_template = "region/{{.Context.Region}}/sa/{{.Pod.ServiceAccount}}"
    context { Region = "north" }
    metrics_bind_addr = "0"
    `,
    )
    const pod = await runPod(cluster, { namespace, name: 'defined' })

    const selectors = k8s(`pod-uid:${pod.uid}`, `ns:${namespace}`, `node-name:${node.name}`)
    expect(await agent.identityOf(selectors)).toMatchObject({
      spiffeId: 'spiffe://example.org/region/north/sa/default',
      dnsNames: ['defined'],
    })
    const spiffeId = JSON.parse(await kubectl(controlPlane, ['get', 'spiffeid/defined', '-n', namespace, '-o', 'json']))
    const [entry] = await entriesOf('spiffe://example.org/region/north/sa/default')
    expect(spiffeId).toMatchObject({
      spec: { parentId: entry?.parentId, selector: { podUid: pod.uid } },
      status: { entryId: entry?.id },
    })

    await deletePod(controlPlane, pod)
    await kubectl(controlPlane, ['wait', '--for=delete', 'spiffeid/defined', '-n', namespace, '--timeout=60s'])
    await removeSpiffeIds(controlPlane)
    await until('the entries of all SpiffeIDs to go', async () => {
      const entries = await server.entries()
      return !entries.some(({ spiffeId }) => spiffeId.includes('/region/north/'))
    })
    await registrar.close('SIGTERM')
  },
)
