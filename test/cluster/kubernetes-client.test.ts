import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { KubernetesClient, PatchType } from '../../src/kubernetes/client.ts'
import type { ClientOptions } from '../../src/kubernetes/client-options.ts'
import type { ConnectionConfig } from '../../src/kubernetes/connection-config.ts'
import { EventRecorder, podReference } from '../../src/kubernetes/events.ts'
import { ConnectProxy } from '../../src/kubernetes/fixtures/connect-proxy.ts'
import { StallingProxy } from '../../src/kubernetes/fixtures/stalling-proxy.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import type { ConfigMap, KubernetesObject } from '../../src/kubernetes/object.ts'
import { configMaps, events, pods, type Resource } from '../../src/kubernetes/resource.ts'
import type { WatchEvent } from '../../src/kubernetes/watch.ts'
import { createAuthority, issue } from './certificate-authority.ts'
import { createToken, serviceAccountKubeconfig, userKubeconfig, writeKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { until } from './until.ts'

/** Says who a request comes from, to whoever sends it. */
interface SelfSubjectReview extends KubernetesObject {
  readonly status?: {
    readonly userInfo: {
      readonly username: string
      readonly groups?: readonly string[]
      readonly extra?: Readonly<Record<string, readonly string[]>>
    }
  }
}

const selfSubjectReviews: Resource<SelfSubjectReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'selfsubjectreviews',
  kind: 'SelfSubjectReview',
  namespaced: false,
}

const { controlPlane } = inject('cluster')
let config: ConnectionConfig
let client: KubernetesClient
let directory: string
let quietWatch: Promise<readonly WatchEvent<ConfigMap>[]>
let namespace: string
const created: string[] = []
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  config = await loadKubeconfig({ path: controlPlane.adminKubeconfig })
  client = new KubernetesClient(config)
  directory = await mkdtemp(join(controlPlane.directory, 'client-'))
  const namespace = await createNamespace()
  const { resourceVersion } = await client.list(configMaps, { namespace })
  // Bookmarks come after a minute. The watch goes on beside the other tests.
  quietWatch = collect(client.watch(configMaps, { namespace, resourceVersion, timeoutSeconds: 75 }))
  quietWatch.catch(() => {})
})

beforeEach(async () => {
  namespace = await createNamespace()
})

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close()
})

afterAll(async () => {
  await client.close()
  await kubectl(controlPlane, ['delete', 'namespace', '--wait=false', ...created])
  await rm(directory, { recursive: true })
})

/** A namespace in which the controllers have finished their own work. */
async function createNamespace(): Promise<string> {
  const name = `client-${Math.random().toString(36).slice(2, 10)}`
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  created.push(name)
  await until('the root CA', () => client.get(configMaps, { namespace: name, name: 'kube-root-ca.crt' }))
  await until('the service account', () => kubectl(controlPlane, ['get', 'serviceaccount', 'default', '-n', name]))
  return name
}

function connect(config: ConnectionConfig, options: ClientOptions = {}): KubernetesClient {
  const connected = new KubernetesClient(config, options)
  opened.push(connected)
  return connected
}

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function whoAmI(asker: KubernetesClient, token?: string): Promise<string | undefined> {
  const options = token === undefined ? {} : { token }
  return (await asker.create(selfSubjectReviews, { metadata: {} }, options)).status?.userInfo.username
}

/** Replaces a file as the kubelet does, in one step. */
async function replace(path: string, content: string | Buffer): Promise<void> {
  await writeFile(`${path}.new`, content)
  await rename(`${path}.new`, path)
}

test('a large list comes in pages, every object once', async () => {
  const names = Array.from({ length: 1200 }, (_, index) => `c-${String(index).padStart(4, '0')}`)
  await Promise.all(names.map((name) => client.create(configMaps, { metadata: { namespace, name } })))
  const sizes: number[] = []
  for await (const { items } of client.pages(configMaps, { namespace, limit: 100 })) sizes.push(items.length)
  expect(sizes).toEqual([...Array.from({ length: 12 }, () => 100), 1])
  for (const limit of [100, 0]) {
    const { items, resourceVersion } = await client.list(configMaps, { namespace, limit })
    expect(items.map(({ metadata }) => metadata.name)).toEqual([...names, 'kube-root-ca.crt'])
    expect(resourceVersion).toMatch(/^\d+$/)
  }
  const metadata = await client.list(configMaps, { namespace, metadataOnly: true })
  expect(metadata.items).toHaveLength(1201)
  expect(metadata.items.at(-1)?.data).toBeUndefined()
  await kubectl(controlPlane, ['delete', 'configmaps', '--all', '-n', namespace, '--wait=false'])
})

test('refusals come with status, reason and details', async () => {
  const name = { namespace, name: 'a' }
  await expect(client.get(configMaps, name)).rejects.toMatchObject({
    status: 404,
    reason: 'NotFound',
    details: { name: 'a' },
  })
  const first = await client.create(configMaps, { metadata: name })
  await expect(client.create(configMaps, { metadata: name })).rejects.toMatchObject({
    status: 409,
    reason: 'AlreadyExists',
  })
  await client.update(configMaps, { ...first, data: { a: '1' } })
  await expect(client.update(configMaps, first)).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
  const elsewhere = { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } }
  await expect(client.delete(configMaps, name, elsewhere)).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
  await expect(client.create(configMaps, { metadata: { namespace, name: 'Not A Name' } })).rejects.toMatchObject({
    status: 422,
    reason: 'Invalid',
    details: { causes: [{ field: 'metadata.name' }] },
  })
  await expect(client.create(configMaps, { metadata: { namespace: 'no-such', name: 'a' } })).rejects.toMatchObject({
    status: 404,
    details: { kind: 'namespaces' },
  })
  await client.delete(configMaps, name, { preconditions: { uid: first.metadata.uid ?? '' } })
  await expect(client.get(configMaps, name)).rejects.toMatchObject({ status: 404 })
})

test('a user without rights is told which are missing', async () => {
  const nobody = connect(await loadKubeconfig({ path: await userKubeconfig(controlPlane, 'nobody-much') }))
  expect(await whoAmI(nobody)).toBe('nobody-much')
  await expect(nobody.list(configMaps, { namespace })).rejects.toThrow(
    `was answered with 403 Forbidden: configmaps is forbidden: User "nobody-much" cannot list resource "configmaps" in API group "" in the namespace "${namespace}"`,
  )
  await expect(collect(nobody.watch(configMaps, { namespace }))).rejects.toMatchObject({ status: 403 })
})

test('every kind of patch does what it is for', async () => {
  const name = { namespace, name: 'a' }
  await client.create(configMaps, { metadata: name, data: { kept: '1', gone: '1' } })
  const operations = [{ op: 'replace', path: '/data/kept', value: '2' }]
  expect((await client.patch(configMaps, name, PatchType.json, operations)).data).toEqual({ kept: '2', gone: '1' })
  expect((await client.patch(configMaps, name, PatchType.merge, { data: { gone: null } })).data).toEqual({ kept: '2' })
  const labels = { a: 'b' }
  expect((await client.patch(configMaps, name, PatchType.strategic, { metadata: { labels } })).metadata.labels).toEqual(
    labels,
  )
})

test('server-side apply owns what it names, and takes it away when it no longer does', async () => {
  const metadata = { namespace, name: 'a' }
  const mine = { fieldManager: 'mine' }
  await client.apply(configMaps, { metadata, data: { shared: '1', mine: '1' } }, mine)
  const other = client.apply(configMaps, { metadata, data: { shared: '2' } }, { fieldManager: 'other' })
  await expect(other).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
  await client.apply(configMaps, { metadata, data: { shared: '2' } }, { fieldManager: 'other', force: true })
  const { data } = await client.apply(configMaps, { metadata, data: {} }, mine)
  expect(data).toEqual({ shared: '2' })
})

test('a dry run stores nothing', async () => {
  const name = { namespace, name: 'a' }
  expect((await client.create(configMaps, { metadata: name }, { dryRun: true })).metadata.uid).toBeDefined()
  await expect(client.get(configMaps, name)).rejects.toMatchObject({ status: 404 })
})

test('a request with a token of its own is made by its owner, though the client has a certificate', async () => {
  const token = await createToken(controlPlane, { namespace, name: 'default' })
  expect(config.clientCertificate).toBeDefined()
  expect(await whoAmI(client)).toBe('admin')
  expect(await whoAmI(client, token)).toBe(`system:serviceaccount:${namespace}:default`)
  expect(await whoAmI(client)).toBe('admin')
  await expect(whoAmI(client, `${token}x`)).rejects.toMatchObject({ status: 401 })
})

test('the API server decides who may be impersonated, and requests are made in that name', async () => {
  const robot = await loadKubeconfig({ path: await userKubeconfig(controlPlane, 'robot') })
  const group = 'rbac.authorization.k8s.io'
  const rules = [
    { apiGroups: [''], resources: ['users'], verbs: ['impersonate'], resourceNames: ['jane'] },
    { apiGroups: [''], resources: ['groups'], verbs: ['impersonate'], resourceNames: [`${namespace}-editors`] },
    { apiGroups: ['authentication.k8s.io'], resources: ['userextras/scopes'], verbs: ['impersonate'] },
  ]
  const editing = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create'] }]
  const bind = (role: string, kind: string, subject: string): object => ({
    apiVersion: `${group}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: role },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: group, kind, name: subject }],
  })
  const [impersonating, editors] = [`${namespace}-impersonator`, `${namespace}-editor`]
  await apply(
    controlPlane,
    { apiVersion: `${group}/v1`, kind: 'ClusterRole', metadata: { name: impersonating }, rules },
    { apiVersion: `${group}/v1`, kind: 'ClusterRole', metadata: { name: editors }, rules: editing },
    bind(impersonating, 'User', 'robot'),
    bind(editors, 'Group', `${namespace}-editors`),
  )
  const jane = { user: 'jane', uid: undefined, groups: [], extra: {} }
  const as = (more: object): KubernetesClient => connect({ ...robot, impersonation: { ...jane, ...more } })
  const scoped = as({ groups: [`${namespace}-editors`], extra: { scopes: ['a', 'b'] } })
  await until('the right to impersonate', () => whoAmI(scoped).then((name) => name === 'jane'))
  const { status } = await scoped.create(selfSubjectReviews, { metadata: {} })
  expect(status?.userInfo).toMatchObject({
    groups: expect.arrayContaining([`${namespace}-editors`]) as unknown,
    extra: { scopes: ['a', 'b'] },
  })
  // The rights are those of jane and her group, not of the robot.
  const metadata = { namespace, name: 'by-jane' }
  await until('the right to edit', () => scoped.create(configMaps, { metadata }).then(() => true))
  await expect(as({}).create(configMaps, { metadata })).rejects.toMatchObject({ status: 403 })
  await expect(whoAmI(as({ user: 'root' }))).rejects.toMatchObject({ status: 403 })
  await expect(whoAmI(as({ groups: ['system:masters'] }))).rejects.toMatchObject({ status: 403 })
  const token = await createToken(controlPlane, { namespace, name: 'default' })
  expect(await whoAmI(scoped, token)).toBe(`system:serviceaccount:${namespace}:default`)
  const unusual = connect({ ...config, impersonation: { ...jane, user: 'jané ☕', extra: { 'a.com/É%': ['ü'] } } })
  const { status: told } = await unusual.create(selfSubjectReviews, { metadata: {} })
  expect(told?.userInfo).toMatchObject({ username: 'jané ☕', extra: { 'a.com/É%': ['ü'] } })
  await kubectl(controlPlane, ['delete', 'clusterrole,clusterrolebinding', impersonating, editors])
})

test('calls and watches go through a proxy', async () => {
  const proxy = await ConnectProxy.start()
  opened.push(proxy)
  const own = connect({ ...config, proxy: proxy.url })
  expect(await whoAmI(own)).toBe('admin')
  const { resourceVersion } = await own.list(configMaps, { namespace })
  const controller = new AbortController()
  const seen = own.watch(configMaps, { namespace, resourceVersion, signal: controller.signal })
  const first = seen.next()
  await own.create(configMaps, { metadata: { namespace, name: 'seen' } })
  expect((await first).value).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'seen' } } })
  controller.abort()
  await expect(seen.next()).rejects.toThrow(/abort/)
  expect(proxy.asked).toHaveLength(1)
})

test('a token that is no longer valid is replaced by the one that is in its file now', async () => {
  const account = { namespace, name: 'short-lived' }
  await kubectl(controlPlane, ['create', 'serviceaccount', account.name, '-n', namespace])
  const files = await serviceAccountKubeconfig(controlPlane, account)
  const own = connect(await loadKubeconfig({ path: files.kubeconfig }))
  const username = `system:serviceaccount:${namespace}:short-lived`
  expect(await whoAmI(own)).toBe(username)
  // The token carries the account's uid, so it ends with the account, whatever has its name afterwards.
  await kubectl(controlPlane, ['delete', 'serviceaccount', account.name, '-n', namespace])
  await kubectl(controlPlane, ['create', 'serviceaccount', account.name, '-n', namespace])
  // The server remembers for some seconds whom it has authenticated.
  await until('the old token to end', () =>
    whoAmI(own).then(
      () => false,
      (error: { status?: number }) => error.status === 401,
    ),
  )
  await replace(files.tokenFile, await createToken(controlPlane, account))
  expect(await whoAmI(own)).toBe(username)
})

test('a client certificate that is replaced in its file is used from then on, without a call that fails', async () => {
  const authority = { certificate: controlPlane.certificateAuthority, key: controlPlane.certificateAuthorityKey }
  const first = await issue(authority, directory, 'first', { commonName: 'first-user' })
  const second = await issue(authority, directory, 'second', { commonName: 'second-user' })
  const kubeconfig = join(directory, 'rotating.kubeconfig')
  const files = { 'client-certificate': join(directory, 'rotating.crt'), 'client-key': join(directory, 'rotating.key') }
  const put = async (pair: typeof first): Promise<void> => {
    await replace(files['client-certificate'], await readFile(pair.certificate))
    await replace(files['client-key'], await readFile(pair.key))
  }
  await put(first)
  await writeKubeconfig(kubeconfig, controlPlane.server, controlPlane.certificateAuthority, files)
  const own = connect(await loadKubeconfig({ path: kubeconfig }), { reloadInterval: 100 })
  expect(await whoAmI(own)).toBe('first-user')
  await put(second)
  const failures: unknown[] = []
  const ask = () => whoAmI(own).catch((error: unknown) => void failures.push(error))
  await expect.poll(ask, { timeout: 30_000 }).toBe('second-user')
  expect(failures).toEqual([])
})

test('a CA that is replaced in its file decides from then on', async () => {
  const path = join(directory, 'rotating-ca.crt')
  const real = await readFile(controlPlane.certificateAuthority)
  const other = await readFile((await createAuthority(directory, 'other-ca')).certificate)
  await replace(path, other)
  const own = connect({ ...config, ca: { from: 'file', path } }, { reloadInterval: 100 })
  await expect(whoAmI(own)).rejects.toMatchObject({ code: 'KUBERNETES_CONNECTION', outcome: 'not-executed' })
  await replace(path, Buffer.concat([other, real]))
  expect(await whoAmI(own)).toBe('admin')
})

test('a connection that went silent ends its calls, and the next ones go by another', async () => {
  const proxy = await StallingProxy.start(Number(new URL(controlPlane.server).port))
  opened.push(proxy)
  const server = `https://127.0.0.1:${proxy.port}`
  const own = connect({ ...config, server }, { pingInterval: 200, pingTimeout: 2_000 })
  expect(await whoAmI(own)).toBe('admin')
  proxy.stall()
  await expect(own.create(configMaps, { metadata: { namespace, name: 'a' } })).rejects.toMatchObject({
    code: 'KUBERNETES_CONNECTION',
    outcome: 'unknown',
  })
  expect(await whoAmI(own)).toBe('admin')
  expect(proxy.connections).toBe(2)
})

test('an exec plugin of a kubeconfig says who the client is, and is asked again when that has expired', async () => {
  const tokens = join(directory, 'exec-token')
  const plugin = join(directory, 'login')
  await writeFile(
    plugin,
    `#!/bin/sh
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s","expirationTimestamp":"%s"}}' \\
  "$(cat "$1")" "$(date -u -d '+1 second' +%Y-%m-%dT%H:%M:%SZ)"\n`,
    { mode: 0o755 },
  )
  const kubeconfig = join(directory, 'exec.kubeconfig')
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: './login',
    args: [tokens],
    interactiveMode: 'Never',
  }
  const { server, certificateAuthority } = controlPlane
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server, 'certificate-authority': certificateAuthority } }],
      users: [{ name: 'u', user: { exec } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  )
  await kubectl(controlPlane, ['create', 'serviceaccount', 'other', '-n', namespace])
  await writeFile(tokens, await createToken(controlPlane, { namespace, name: 'default' }))
  const own = connect(await loadKubeconfig({ path: kubeconfig }))
  expect(await whoAmI(own)).toBe(`system:serviceaccount:${namespace}:default`)
  await writeFile(tokens, await createToken(controlPlane, { namespace, name: 'other' }))
  await expect.poll(() => whoAmI(own), { timeout: 30_000 }).toBe(`system:serviceaccount:${namespace}:other`)
})

test('events about a pod are counted, not repeated, and kubectl shows them', async () => {
  const pod = {
    metadata: { namespace, name: 'web-0' },
    spec: { containers: [{ name: 'main', image: 'none' }], nodeName: 'no-such-node' },
  }
  const { metadata } = await client.create(pods, pod)
  const recorder = new EventRecorder({ client, component: 'podpass-test', instance: 'here' })
  const about = podReference({ namespace, name: 'web-0', uid: metadata.uid ?? '' })
  const text = { type: 'Warning', reason: 'RequestDenied', message: 'the request was denied: no' } as const
  const find = async () => (await client.list(events, { namespace, fieldSelector: 'reason=RequestDenied' })).items
  recorder.record(about, text)
  await expect.poll(async () => (await find()).length).toBe(1)
  for (let more = 0; more < 4; more += 1) recorder.record(about, text)
  await recorder.close()
  expect(await find()).toMatchObject([
    { count: 5, type: 'Warning', message: text.message, involvedObject: { name: 'web-0' } },
  ])
  const described = await kubectl(controlPlane, ['describe', 'pod', 'web-0', '-n', namespace])
  expect(described).toMatch(/Warning\s+RequestDenied\s+.*\(x5 over .*\)\s+podpass-test\s+the request was denied: no/)
})

test('without the right to write events there is one warning, and then silence', async () => {
  const warnings: string[] = []
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (_fields: object, text: string) => void warnings.push(text),
    child: () => log,
  }
  const nobody = connect(await loadKubeconfig({ path: await userKubeconfig(controlPlane, 'nobody-much') }))
  const recorder = new EventRecorder({ client: nobody, component: 'podpass-test', instance: 'here', log })
  const about = podReference({ namespace, name: 'web-0', uid: 'u' })
  for (const message of ['one', 'two']) recorder.record(about, { type: 'Normal', reason: 'Test', message })
  await expect.poll(() => warnings.length).toBe(1)
  recorder.record(about, { type: 'Normal', reason: 'Test', message: 'three' })
  await recorder.close()
  expect(warnings).toEqual(['events cannot be written, rights are missing; this is said once'])
})

test('a watch in which nothing happens gets bookmarks, and ends without an error', async () => {
  const seen = await quietWatch
  expect(seen.length).toBeGreaterThan(0)
  expect(new Set(seen.map(({ type }) => type))).toEqual(new Set(['BOOKMARK']))
  expect(seen[0]?.object.metadata.resourceVersion).toMatch(/^\d+$/)
})
