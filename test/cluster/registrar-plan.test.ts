import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { CommandFailedError, run } from './command.ts'
import { formerRegistrarNamespace } from './former-registrar.ts'
import { serviceAccountKubeconfig } from './kubeconfig.ts'
import { kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { createPod } from './pod.ts'
import { createAgentToken, psatCluster } from './psat.ts'
import { installRegistrar, startRegistrar } from './registrar-process.ts'
import { SpireAgent } from './spire-agent.ts'
import { SpireServer } from './spire.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster
const namespace = 'registrar-plan'
const disabled = 'registrar-plan-disabled'
const nodeId = `spiffe://example.org/spire-k8s-registrar/demo/node/${node.name}`

let server: SpireServer
let agent: SpireAgent
let kubeconfig: string
let directory: string
let configuration: string

beforeAll(async () => {
  server = await SpireServer.start({ clusters: { demo: psatCluster(controlPlane) } })
  const tokenFile = await createAgentToken(cluster)
  agent = await SpireAgent.start(server, { attestation: { by: 'pod token', cluster: 'demo', tokenFile } })
  await installRegistrar(controlPlane)
  await createNamespace(controlPlane, namespace)
  await createNamespace(controlPlane, disabled)
  directory = await mkdtemp(join(server.directory, 'plan-'))
  // Other tests of this cluster leave pods behind, so only those of a label count.
  configuration = `
    mode = "reconcile"
    trust_domain = "example.org"
    cluster = "demo"
    server_socket_path = "${server.socket}"
    leader_election = true
    pod_label = "plan-test"
    disabled_namespaces = ["${disabled}"]
    allowed_ids { "${namespace}" = ["/{namespace}/**"] }
  `
  await writeFile(join(directory, 'registrar.conf'), configuration)
  // Planning needs no more rights than the registrar has.
  const account = { namespace: formerRegistrarNamespace, name: 'podpass-registrar' }
  kubeconfig = (await serviceAccountKubeconfig(controlPlane, account)).kubeconfig
})

afterAll(async () => {
  await agent?.close()
  await server?.close()
  for (const name of [namespace, disabled]) {
    await kubectl(controlPlane, ['delete', 'pods', '--all', '-n', name, '--grace-period=0', '--force'])
  }
})

interface Ended {
  readonly code: number
  readonly out: string
}

async function registrar(...args: readonly string[]): Promise<Ended> {
  const program = join(import.meta.dirname, '../../dist/podpass.cjs')
  const config = ['--config', join(directory, 'registrar.conf')]
  try {
    return { code: 0, out: await run(process.execPath, [program, 'registrar', ...args, ...config]) }
  } catch (error) {
    if (!(error instanceof CommandFailedError) || error.stderr !== '') throw error
    return { code: error.exitCode ?? -1, out: error.stdout }
  }
}

const live = (...args: readonly string[]): Promise<Ended> => registrar(...args, '--kubeconfig', kubeconfig)

interface Report {
  readonly creates: readonly { readonly object: string; readonly id: string; readonly spiffeId: string }[]
}

interface Explanation {
  readonly verdict: string
  readonly findings: readonly { readonly about: string; readonly is: string; readonly text: string }[]
}

async function explain(pod: string): Promise<Explanation> {
  const { code, out } = await live('explain', pod, '-o', 'json')
  expect(code).toBe(0)
  return JSON.parse(out) as Explanation
}

test('what a plan lists is what the registrar then writes, and each pod is told how it stands', async () => {
  const label = (value: string): Readonly<Record<string, string>> => ({ 'plan-test': value })
  await createPod(cluster, { namespace, name: 'good', labels: label(`${namespace}-x`) })
  await createPod(cluster, { namespace, name: 'unlabelled' })
  await createPod(cluster, { namespace: disabled, name: 'elsewhere', labels: label('web') })

  // A label cannot hold a slash, so every ID of one is a single segment, which allowed_ids refuses here.
  expect(await explain(`${namespace}/good`)).toMatchObject({ verdict: 'refused' })
  configuration = configuration.replace('/{namespace}/**', '/{namespace}-*')
  await writeFile(join(directory, 'registrar.conf'), configuration)

  const before = await live('plan', '-o', 'json')
  expect(before.code).toBe(2)
  const { creates } = JSON.parse(before.out) as Report
  expect(creates.map(({ object, spiffeId }) => [object, spiffeId])).toEqual([
    [`Node ${node.name}`, nodeId],
    [`Pod ${namespace}/good`, `spiffe://example.org/${namespace}-x`],
  ])
  const pending = await explain(`${namespace}/good`)
  expect(pending.verdict).toBe('pending')
  expect(await server.entries()).toEqual([])

  const { daemon } = await startRegistrar(controlPlane, configuration)
  try {
    await until('the entries', async () => (await server.entries()).length === 2)
    expect((await server.entries()).map(({ id }) => id).toSorted()).toEqual(creates.map(({ id }) => id).toSorted())

    const after = await live('plan')
    expect(after.out).toContain('Nothing to do; 2 as they should be, 0 of others left alone.')
    expect(after.code).toBe(0)
    const good = await explain(`${namespace}/good`)
    expect(good.verdict).toBe('registered')
    expect(good.findings.filter(({ is }) => is !== 'good')).toEqual([])
    const told = good.findings.map(({ about, text }) => `${about}: ${text}`)
    expect(told).toContainEqual(expect.stringMatching(/^node: the agent spiffe:\S+\/k8s_psat\/demo\/\S+ is attested/))
    expect(told).toContainEqual(expect.stringMatching(/^registrar: \S+ leads for /))
  } finally {
    await daemon.close('SIGTERM')
  }

  // Without a cluster and a server, the same from what their own commands print.
  const objects = await kubectl(controlPlane, ['get', 'pods,nodes', '-A', '-o', 'json'])
  const entries = await server.command('entry show', ['-output', 'json'])
  await writeFile(join(directory, 'cluster.json'), objects)
  await writeFile(join(directory, 'entries.json'), entries)
  const files = ['--from', join(directory, 'cluster.json'), '--entries', join(directory, 'entries.json')]
  expect(await registrar('plan', ...files)).toMatchObject({ code: 0 })
})

test('a pod without an identity is told why', async () => {
  const told = async (pod: string): Promise<string> => {
    const { code, out } = await live('explain', pod)
    expect(code).toBe(0)
    return out
  }
  expect(await told(`${namespace}/unlabelled`)).toContain('because it has no label plan-test')
  expect(await told(`${disabled}/elsewhere`)).toContain(`because its namespace ${disabled} is disabled`)
  await kubectl(controlPlane, ['label', 'pod', 'good', '-n', namespace, 'plan-test=bank', '--overwrite'])
  const refused = await told(`${namespace}/good`)
  expect(refused).toContain('✗ label plan-test is "bank": the ID /bank is not one that allowed_ids allows')
  expect(refused).toContain('it keeps its last good entry')
  expect(await live('explain', `${namespace}/god`)).toMatchObject({ code: 1 })
})
