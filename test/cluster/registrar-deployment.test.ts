import { X509Certificate } from 'node:crypto'
import { readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Entry } from '../../src/spire/entry.ts'
import { createAuthority, issue, type KeyPair } from './certificate-authority.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { execOnNode, importImage } from './node.ts'
import { placePod, podsWith } from './place-pod.ts'
import { deletePod, type Pod } from './pod.ts'
import { podpassImage } from './program-image.ts'
import { ServiceAddress } from './service-address.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

// The manifests of deploy/registrar as whoever installs them applies them: pods of the Deployment that ships, with the tokens that the
// kubelet gives them and the rights of their account, an SVID from SPIRE's agent, and an API server that reaches them by their Service.

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const manifests = join(import.meta.dirname, '../../deploy/registrar')
const shop = 'registrar-shop'
const agentSockets = '/run/spire/agent-sockets'
/** The name that the configurations call the SPIRE server by leads here; 192.0.2.0/24 is for documentation (RFC 5737). */
const spireAddress = { address: '192.0.2.10', port: 8081 }
const aliases = 'spiffe://example.org/k8s-workload-registrar/production/node'

const ground = new AsyncDisposableStack()
const addresses: ServiceAddress[] = []
let server: SpireServer

beforeAll(async () => {
  await importImage(node, await podpassImage('docker.io/library/podpass:0.1.0'))
  for (const file of ['rbac.yaml', 'rbac-crd.yaml', 'crd.yaml']) await applyManifest(file)
  await createNamespace(controlPlane, shop)
  await kubectl(controlPlane, ['wait', '--for=condition=Established', 'crd/spiffeids.spiffeid.spiffe.io'])
  // Where SPIRE publishes its CA besides.
  await apply(controlPlane, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'spire', name: 'spire-bundle' },
  })
  server = await SpireServer.start({ webhooks: controlPlane.adminKubeconfig })
  ground.defer(() => server.close())
  const agent = await SpireAgent.start(server)
  ground.defer(() => agent.close())
  await server.createEntry({
    spiffeId: 'spiffe://example.org/podpass-registrar',
    parentId: agent.id,
    selector: ['unix:uid:65532'],
    admin: true,
  })
  // The node sees the agent's directory, since its mounts are this machine's and some of its own.
  await symlink('api.sock', join(dirname(agent.socket), 'spire-agent.sock'))
  await execOnNode(node, 'mkdir', '-p', agentSockets)
  await execOnNode(node, 'mount', '--bind', dirname(agent.socket), agentSockets)
  ground.defer(async () => void (await execOnNode(node, 'umount', agentSockets)))
})

afterEach(async () => {
  for (const address of addresses.splice(0)) await address.close()
})

afterAll(async () => {
  await kubectl(controlPlane, ['delete', 'namespace', shop, '--ignore-not-found', '--wait=false'])
  await ground.disposeAsync()
})

async function applyManifest(file: string): Promise<void> {
  await kubectl(controlPlane, ['apply', '-f', join(manifests, file)])
}

async function deleteManifest(file: string): Promise<void> {
  await kubectl(controlPlane, ['delete', '-f', join(manifests, file), '--ignore-not-found', '--timeout=60s'])
}

function replicas(): Promise<readonly Pod[]> {
  return podsWith(cluster, 'spire', 'app.kubernetes.io/name=podpass-registrar')
}

/** Does for a replica what a cluster does for its pods. */
async function place(pod: Pod): Promise<void> {
  addresses.push(await placePod(cluster, pod))
  addresses.push(await ServiceAddress.lead(controlPlane, pod, spireAddress, server.address))
}

/** Runs the Deployment with these manifests around it, until all replicas are ready. */
async function deploy(...files: readonly string[]): Promise<AsyncDisposable> {
  for (const file of files) await applyManifest(file)
  const deployment = await readFile(join(manifests, 'deployment.yaml'), 'utf8')
  // No name server is asked here.
  const alias = `hostAliases: [{ ip: ${spireAddress.address}, hostnames: [spire-server.spire.svc] }]`
  const account = 'serviceAccountName: podpass-registrar'
  expect(deployment).toContain(account)
  await kubectl(controlPlane, ['apply', '-f', '-'], deployment.replace(account, `${account}\n      ${alias}`))
  const pods = await until('two replicas', async () => {
    const found = await replicas()
    return found.length === 2 && found
  })
  await Promise.all(pods.map(place))
  const rollout = ['rollout', 'status', 'deployment/podpass-registrar', '-n', 'spire', '--timeout=120s']
  await kubectl(controlPlane, rollout).catch(async (error: unknown) => {
    throw new Error(await state(), { cause: error })
  })
  return {
    async [Symbol.asyncDispose]() {
      await deleteManifest('deployment.yaml')
      for (const file of files) await deleteManifest(file)
      await until('the replicas to be gone', async () => (await replicas()).length === 0)
    },
  }
}

/** The pod that leads, as its Lease says. */
async function leader(): Promise<Pod> {
  const name = 'spire-k8s-registrar-leader-election'
  const holder = ['get', 'lease', name, '-n', 'spire', '-o', 'jsonpath={.spec.holderIdentity}']
  return until('a leader', async () => {
    const [pod = ''] = (await kubectl(controlPlane, holder)).split('_')
    return (await replicas()).find((one) => one.name === pod)
  })
}

/** The leader goes; the other one goes on, and a third one comes. */
async function replaceLeader(): Promise<void> {
  const former = await leader()
  await deletePod(controlPlane, former)
  const successor = await leader()
  expect(successor.uid).not.toBe(former.uid)
  const fresh = await until('another replica', async () =>
    (await replicas()).find(({ uid }) => uid !== former.uid && uid !== successor.uid),
  )
  await place(fresh)
}

/** What every replica has written so far. */
async function logs(): Promise<readonly string[]> {
  const pods = await replicas()
  return (await Promise.all(pods.map(({ name }) => kubectl(controlPlane, ['logs', '-n', 'spire', name])))).flatMap(
    (text) => text.split('\n'),
  )
}

/** A pod that nobody runs. */
function workload(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: shop, name },
    spec: { nodeName: 'no-such-node', containers: [{ name: 'main', image: 'none' }] },
  }
}

/** The entry that asks for a pod: by its UID in the mode crd, by its name in the others. */
async function entryOf(name: string): Promise<Entry> {
  const uid = await kubectl(controlPlane, ['get', 'pod', name, '-n', shop, '-o', 'jsonpath={.metadata.uid}'])
  const marks = new Set([`pod-name:${name}`, `pod-uid:${uid}`])
  const look = async (): Promise<Entry | undefined> =>
    (await server.entries()).find(({ selectors }) => selectors.some(({ value }) => marks.has(value)))
  return until(`the entry of pod ${name}`, look).catch(async (error: unknown) => {
    throw new Error((await logs()).slice(-40).join('\n'), { cause: error })
  })
}

async function isGone({ id }: Entry): Promise<boolean> {
  return until('the entry to go', async () => (await server.entries()).every((entry) => entry.id !== id))
}

async function bundleOf(webhook: string): Promise<string> {
  const path = 'jsonpath={.webhooks[0].clientConfig.caBundle}'
  const encoded = await kubectl(controlPlane, ['get', 'validatingwebhookconfiguration', webhook, '-o', path])
  return Buffer.from(encoded, 'base64').toString()
}

const refusedForRights = /forbidden|cannot \w+ resource|\b403\b/i

test('reconcile: what ships runs, keeps entries, and goes on when the leader goes, with no right missing', async () => {
  await using _ = await deploy('config-reconcile.yaml')
  await apply(controlPlane, workload('steady'))
  const entry = await entryOf('steady')
  expect(entry).toMatchObject({ spiffeId: `spiffe://example.org/ns/${shop}/sa/default` })
  await replaceLeader()
  await kubectl(controlPlane, ['delete', 'pod', 'steady', '-n', shop, '--force', '--grace-period=0'])
  expect(await isGone(entry)).toBe(true)
  expect((await logs()).filter((line) => refusedForRights.test(line))).toEqual([])
})

describe('crd', () => {
  test('what ships runs: SpiffeIDs are made and checked by a webhook that SPIRE certifies, with no right missing', async () => {
    await using _ = await deploy('config-crd.yaml', 'spiffeid-webhook.yaml')
    await apply(controlPlane, workload('web'))
    const entry = await entryOf('web')
    expect(entry).toMatchObject({ parentId: `${aliases}/no-such-node`, dnsNames: ['web'] })
    // SPIRE has written its CA into the webhook; with it the API server trusts the registrar's certificate.
    const bundle = await until("SPIRE's CA in the webhook", () => bundleOf('podpass-registrar-spiffeids'))
    expect(new X509Certificate(bundle).ca).toBe(true)
    const refused = await until('the API server to ask the webhook', async () => {
      const stolen = {
        apiVersion: 'spiffeid.spiffe.io/v1beta1',
        kind: 'SpiffeID',
        metadata: { namespace: shop, name: 'stolen' },
        spec: {
          spiffeId: 'spiffe://example.org/ns/bank/sa/teller',
          parentId: `${aliases}/${node.name}`,
          selector: { namespace: 'bank' },
        },
      }
      return await apply(controlPlane, stolen).then(
        // It was not asked yet.
        () => kubectl(controlPlane, ['delete', 'spiffeid', 'stolen', '-n', shop]).then(() => false),
        (error: unknown) => String(error),
      )
    })
    expect(refused).toContain('denied the request: spec.Selector.Namespace must match namespace of resource')
    await replaceLeader()
    await kubectl(controlPlane, ['delete', 'pod', 'web', '-n', shop, '--force', '--grace-period=0'])
    expect(await isGone(entry)).toBe(true)
    expect((await logs()).filter((line) => refusedForRights.test(line))).toEqual([])
    // As long as somebody takes the finalizers off.
    await kubectl(controlPlane, ['delete', 'crd/spiffeids.spiffeid.spiffe.io', '--timeout=90s'])
  })
})

describe('webhook', () => {
  async function applySecret(authority: KeyPair, pair: KeyPair): Promise<void> {
    const [certificate, key, ca] = await Promise.all(
      [pair.certificate, pair.key, controlPlane.certificateAuthority].map((file) => readFile(file, 'utf8')),
    )
    await apply(controlPlane, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: 'spire', name: 'podpass-registrar-webhook' },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': ca },
    })
    const bundle = (await readFile(authority.certificate)).toString('base64')
    await patchWebhook([{ op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: bundle }])
  }

  async function patchWebhook(operations: readonly object[]): Promise<void> {
    const webhook = ['validatingwebhookconfiguration', 'k8s-workload-registrar-webhook']
    await kubectl(controlPlane, ['patch', ...webhook, '--type=json', `-p=${JSON.stringify(operations)}`])
  }

  test('what ships runs: the API server shows its certificate, pods have entries when they are created, new files are used at once', async () => {
    const directory = controlPlane.directory
    const subject = { commonName: 'webhook', alternativeNames: ['DNS:podpass-registrar.spire.svc'] }
    const former = await createAuthority(directory, 'registrar-webhook-ca')
    await applyManifest('webhook.yaml')
    await applySecret(former, await issue(former, directory, 'registrar-webhook', subject))
    await using _ = await deploy('config-webhook.yaml')
    ground.defer(() => deleteManifest('webhook.yaml'))
    await createWithAnswer('asked')
    // A certificate of another authority, in the same Secret: the kubelet changes the files, and nothing is started again.
    const next = await createAuthority(directory, 'registrar-webhook-next-ca')
    await applySecret(next, await issue(next, directory, 'registrar-webhook-next', subject))
    await createWithAnswer('asked-again')
    expect((await logs()).filter((line) => line.includes('serves with the new files')).length).toBeGreaterThan(0)
    expect((await logs()).filter((line) => refusedForRights.test(line))).toEqual([])
  })

  /** Creates a pod once nothing but the webhook's answer lets it in, and looks at its entry. */
  async function createWithAnswer(name: string): Promise<void> {
    const patch = [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' }]
    await patchWebhook(patch)
    // Until the kubelet has brought the files, and the API server the CA, it is refused. Either replica is asked: one that stands by lets
    // the pod in, and the leader makes the entry when the watch shows it.
    const created = (): Promise<boolean> => apply(controlPlane, workload(name)).then(() => true)
    await until('the API server to be answered', created, { timeout: 150_000 })
    const entry = await entryOf(name)
    expect(entry).toMatchObject({ parentId: aliases, spiffeId: `spiffe://example.org/ns/${shop}/sa/default` })
    await kubectl(controlPlane, ['delete', 'pod', name, '-n', shop, '--force', '--grace-period=0'])
    expect(await isGone(entry)).toBe(true)
  }
})

/** What is known of replicas that do not run. */
async function state(): Promise<string> {
  const label = ['-n', 'spire', '-l', 'app.kubernetes.io/name=podpass-registrar']
  const log = await kubectl(controlPlane, ['logs', ...label, '--tail=20']).catch(String)
  return `${await kubectl(controlPlane, ['describe', 'pods', ...label])}\n${log}`
}
