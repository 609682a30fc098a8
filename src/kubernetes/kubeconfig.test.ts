import * as fc from 'fast-check'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigurationError } from './errors.ts'
import { loadKubeconfig } from './kubeconfig.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podpass-kubeconfig-'))
})

afterAll(() => rm(directory, { recursive: true }))

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const pemData = Buffer.from(pem).toString('base64')
const secret = 'c0ffee-s3cret'

let files = 0

async function write(content: unknown, name = `config-${(files += 1)}`): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

interface Parts {
  readonly cluster?: object
  readonly user?: object
  readonly context?: object
}

function kubeconfig({ cluster = {}, user = {}, context = {} }: Parts = {}): object {
  return {
    'current-context': 'here',
    clusters: [{ name: 'c', cluster: { server: 'https://api.example:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', ...context } }],
  }
}

async function load(parts: Parts) {
  return await loadKubeconfig({ path: await write(kubeconfig(parts)) })
}

/** The text of the error that loading ends with. */
async function refusal(parts: Parts): Promise<string> {
  const error: unknown = await load(parts).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(ConfigurationError)
  const { message } = error as ConfigurationError
  expect(message).not.toContain(secret)
  return message.replace(/^.*config-\d+: /, '')
}

test('server, CA, client certificate and namespace are read from their data', async () => {
  const config = await load({
    cluster: { 'certificate-authority-data': pemData, 'tls-server-name': 'kubernetes' },
    user: { 'client-certificate-data': pemData, 'client-key-data': pemData },
    context: { namespace: 'sandbox' },
  })
  const material = { from: 'data', data: Buffer.from(pem) }
  expect(config).toEqual({
    server: 'https://api.example:6443',
    ca: material,
    serverName: 'kubernetes',
    insecure: false,
    clientCertificate: { certificate: material, key: material },
    authentication: { by: 'nothing' },
    namespace: 'sandbox',
  })
})

test('paths are relative to the file they stand in', async () => {
  const config = await load({
    cluster: { 'certificate-authority': 'pki/ca.crt' },
    user: { tokenFile: '/run/token', 'client-certificate': 'a.crt', 'client-key': './a.key' },
  })
  expect(config.ca).toEqual({ from: 'file', path: join(directory, 'pki/ca.crt') })
  expect(config.authentication).toEqual({ by: 'token-file', path: '/run/token' })
  expect(config.clientCertificate?.key).toEqual({ from: 'file', path: join(directory, 'a.key') })
})

test('data counts before a file, and a token file before a token', async () => {
  const config = await load({
    cluster: { 'certificate-authority': 'ca.crt', 'certificate-authority-data': pemData },
    user: { token: secret, tokenFile: 'token' },
  })
  expect(config.ca?.from).toBe('data')
  expect(config.authentication.by).toBe('token-file')
})

test('empty and null fields count as absent', async () => {
  const config = await load({
    cluster: { 'certificate-authority': '', 'tls-server-name': null },
    user: { token: '' },
    context: { namespace: null },
  })
  expect(config).toMatchObject({ ca: undefined, authentication: { by: 'nothing' }, namespace: 'default' })
})

test('an exec plugin keeps its arguments, environment and hint, and gets the cluster where it asks for it', async () => {
  const config = await load({
    cluster: {
      'certificate-authority-data': pemData,
      extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'a' } }],
    },
    user: {
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: './login',
        args: ['token'],
        env: [{ name: 'PROFILE', value: 'dev' }],
        installHint: 'get it at example.com',
        provideClusterInfo: true,
        interactiveMode: 'Never',
      },
    },
  })
  expect(config.authentication).toEqual({
    by: 'exec',
    plugin: {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: join(directory, 'login'),
      args: ['token'],
      env: { PROFILE: 'dev' },
      installHint: 'get it at example.com',
      cluster: {
        server: 'https://api.example:6443',
        'certificate-authority-data': pemData,
        config: { audience: 'a' },
      },
    },
  })
})

test('a user who impersonates says whom, and a cluster behind a proxy where that is', async () => {
  const extra = { scopes: ['view', 'edit'] }
  const config = await load({
    cluster: { 'proxy-url': `http://me:${secret}@proxy:3128`, 'disable-compression': true },
    user: { token: secret, as: 'jane', 'as-uid': 'u-1', 'as-groups': ['developers'], 'as-user-extra': extra },
  })
  expect(config.impersonation).toEqual({ user: 'jane', uid: 'u-1', groups: ['developers'], extra })
  expect(config.proxy?.host).toBe('proxy:3128')
  expect(config.authentication.by).toBe('token')
  const alone = await load({ user: { as: 'jane', 'as-groups': null, 'as-user-extra': null } })
  expect(alone.impersonation).toEqual({ user: 'jane', uid: undefined, groups: [], extra: {} })
})

test('an exec plugin that asks for its cluster gets the proxy too', async () => {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'a', provideClusterInfo: true }
  const config = await load({ cluster: { 'proxy-url': 'http://proxy:3128' }, user: { exec } })
  expect(config.authentication).toMatchObject({ plugin: { cluster: { 'proxy-url': 'http://proxy:3128' } } })
})

test('another cluster and another user than those of the context can be named', async () => {
  const others = kubeconfig() as { clusters: object[]; users: object[] }
  others.clusters.push({ name: 'd', cluster: { server: 'https://d' } })
  others.users.push({ name: 'v', user: { tokenFile: '/v' } })
  const path = await write(others)
  expect(await loadKubeconfig({ path, cluster: 'd', user: 'v' })).toMatchObject({
    server: 'https://d',
    authentication: { by: 'token-file', path: '/v' },
  })
  await expect(loadKubeconfig({ path, user: 'w' })).rejects.toThrow('user: there is no users entry "w"')
})

test('a command without a slash is looked up in PATH', async () => {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1beta1', command: 'aws', args: null, env: null }
  const config = await load({ user: { exec } })
  expect(config.authentication).toMatchObject({ plugin: { command: 'aws', args: [], env: {}, cluster: undefined } })
})

test('a context without a user is anonymous', async () => {
  const path = await write({ ...kubeconfig(), contexts: [{ name: 'here', context: { cluster: 'c' } }] })
  expect((await loadKubeconfig({ path })).authentication).toEqual({ by: 'nothing' })
})

test('of several files the first one with a name counts, and missing files of a list are passed over', async () => {
  const first = await write({ contexts: [{ name: 'here', context: { cluster: 'c', namespace: 'first' } }] })
  await mkdir(join(directory, 'sub'), { recursive: true })
  const second = await write(kubeconfig({ cluster: { 'certificate-authority': 'ca.crt' } }), 'sub/config')
  const paths = [join(directory, 'missing'), first, second].join(delimiter)
  const config = await loadKubeconfig({ paths })
  expect(config.namespace).toBe('first')
  expect(config.ca).toEqual({ from: 'file', path: join(directory, 'sub/ca.crt') })
})

test('another context than the current one can be named', async () => {
  const path = await write({
    ...kubeconfig(),
    contexts: [{ name: 'other', context: { cluster: 'c', namespace: 'elsewhere' } }],
  })
  expect((await loadKubeconfig({ path, context: 'other' })).namespace).toBe('elsewhere')
  await expect(loadKubeconfig({ path })).rejects.toThrow('contexts: there is no here')
})

test('a file that is missing, though it was named, is an error', async () => {
  await expect(loadKubeconfig({ path: join(directory, 'missing') })).rejects.toThrow(/missing cannot be read: ENOENT/)
  await expect(loadKubeconfig({ paths: join(directory, 'missing') })).rejects.toThrow(/no kubeconfig file found/)
})

test('a file without a current context is an error', async () => {
  await expect(loadKubeconfig({ path: await write('') })).rejects.toThrow('current-context is not set')
})

test('errors name entry and field and what is expected, not what stands there', async () => {
  expect(await refusal({ cluster: { server: [secret] } })).toBe('clusters[c].cluster.server: expected string')
  expect(await refusal({ cluster: { server: 'http://api.example' } })).toBe(
    'clusters[c].cluster.server: expected an https URL',
  )
  expect(await refusal({ user: { token: 5 } })).toBe('users[u].user.token: expected string')
  expect(await refusal({ user: { exec: { command: 'a', apiVersion: secret } } })).toMatch(
    /^users\[u\]\.user\.exec\.apiVersion: expected .*v1beta1/,
  )
  expect(await refusal({ user: { 'client-key-data': secret } })).toBe(
    'users[u].user.client-key-data: expected base64 of PEM',
  )
  expect(await refusal({ user: { 'client-certificate': 'a.crt' } })).toBe(
    'users[u].user.client-key: expected a key for the client-certificate',
  )
  expect(await refusal({ context: { cluster: 'd' } })).toBe(
    'contexts[here].context.cluster: there is no clusters entry "d"',
  )
})

test('what would be passed over in silence by others is refused', async () => {
  expect(await refusal({ cluster: { 'proxy-url': `socks5://${secret}@proxy` } })).toBe(
    'clusters[c].cluster.proxy-url: SOCKS proxies are not supported, only http and https ones',
  )
  expect(await refusal({ cluster: { 'proxy-url': secret } })).toBe(
    'clusters[c].cluster.proxy-url: expected http://host:port or https://host:port',
  )
  expect(await refusal({ user: { username: 'a', password: secret } })).toMatch(/username: basic authentication/)
  for (const part of [{ 'as-uid': '1' }, { 'as-groups': ['a'] }, { 'as-user-extra': { a: ['b'] } }]) {
    expect(await refusal({ user: part })).toBe(
      'users[u].user.as: expected a user beside as-uid, as-groups and as-user-extra',
    )
  }
  expect(await refusal({ user: { as: `${secret}\n` } })).toMatch(/user.as: impersonation: user: expected a text/)
  expect(await refusal({ user: { 'auth-provider': { name: 'oidc' } } })).toMatch(/auth-provider: .*exec plugin/)
  expect(
    await refusal({ cluster: { 'insecure-skip-tls-verify': true, 'certificate-authority-data': pemData } }),
  ).toMatch(/insecure-skip-tls-verify: expected no certificate-authority/)
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'a', interactiveMode: 'Always' }
  expect(await refusal({ user: { exec } })).toMatch(/exec.interactiveMode: .*terminal/)
})

test('a file that is not YAML is refused with its line and without its text', async () => {
  const path = await write(`users:\n- name: u\n  user: {token: "${secret}\n`)
  const error: unknown = await loadKubeconfig({ path }).catch((error: unknown) => error)
  expect(String(error)).toMatch(/config-\d+: line \d+ is not YAML/)
  expect(String(error)).not.toContain(secret)

  const dangling = await loadKubeconfig({ path: await write(`users: *${secret}\n`) }).catch((error: unknown) => error)
  expect(dangling).toBeInstanceOf(ConfigurationError)
  expect(String(dangling)).toMatch(/config-\d+ is not YAML: its aliases lead nowhere/)
  expect(String(dangling)).not.toContain(secret)
})

test('whatever the file holds, it is read or refused as a configuration, and its text is not repeated', async () => {
  const anything = fc.oneof(fc.json(), fc.string(), fc.constant(secret), fc.array(fc.constant(secret)), fc.object())
  const parts = fc.record(
    {
      cluster: fc.dictionary(fc.constantFrom('server', 'certificate-authority-data', 'extensions'), anything),
      user: fc.dictionary(fc.constantFrom('token', 'exec', 'client-key-data', 'tokenFile', 'env'), anything),
      context: fc.dictionary(fc.constantFrom('namespace', 'user'), anything),
    },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(parts.map(kubeconfig), anything), async (content) => {
      const path = await write(content, 'any')
      const error: unknown = await loadKubeconfig({ path }).then(
        () => new ConfigurationError('none'),
        (error: unknown) => error,
      )
      expect(error).toBeInstanceOf(ConfigurationError)
      // A reference to an entry that is missing is named; nothing else of the file is.
      expect(String(error).replace(/there is no .*$/s, '')).not.toContain(secret)
    }),
    { numRuns: 200 },
  )
})
