import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ConnectionConfig } from '../kubernetes/connection-config.ts'
import { connectionConfig, type ConnectionFlags, connectionOptions } from './connection.ts'

let folder: string
let kubeconfig: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-connection-'))
  kubeconfig = join(folder, 'config')
  const content = {
    'current-context': 'here',
    clusters: [
      { name: 'c', cluster: { server: 'https://c:6443' } },
      { name: 'd', cluster: { server: 'https://d:6443', 'proxy-url': 'http://of-the-file:3128' } },
    ],
    users: [
      { name: 'u', user: { token: 'of-u', as: 'jane' } },
      { name: 'v', user: { token: 'of-v' } },
    ],
    contexts: [
      { name: 'here', context: { cluster: 'c', user: 'u' } },
      { name: 'there', context: { cluster: 'd', user: 'v' } },
    ],
  }
  await writeFile(kubeconfig, JSON.stringify(content))
})

afterEach(() => rm(folder, { recursive: true }))

async function configOf(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ConnectionConfig> {
  const command = new Command().action(() => {}).exitOverride()
  for (const option of connectionOptions()) command.addOption(option)
  command.parse([`--kubeconfig=${kubeconfig}`, ...args], { from: 'user' })
  return connectionConfig(command.opts<ConnectionFlags>(), env)
}

test('the kubeconfig counts, and each flag goes before its part of it', async () => {
  expect(await configOf([])).toMatchObject({ server: 'https://c:6443', impersonation: { user: 'jane' } })
  expect(await configOf(['--context=there'])).toMatchObject({ server: 'https://d:6443', impersonation: undefined })
  expect(await configOf(['--cluster=d', '--user=v'])).toMatchObject({
    server: 'https://d:6443',
    impersonation: undefined,
  })
  expect(await configOf(['--server=https://e', '--token=t', '--tls-server-name=n'])).toMatchObject({
    server: 'https://e',
    authentication: { by: 'token', token: 't' },
    serverName: 'n',
  })
})

test('who to act as is taken from kubectl’s flags', async () => {
  const extra = ['--as-user-extra=scopes=a', '--as-user-extra=scopes=b=c', '--as-user-extra=other=']
  const config = await configOf(['--as=joe', '--as-uid=1', '--as-group=x', '--as-group=y', ...extra])
  expect(config.impersonation).toEqual({
    user: 'joe',
    uid: '1',
    groups: ['x', 'y'],
    extra: { scopes: ['a', 'b=c'], other: [''] },
  })
  for (const flag of ['--as-uid=1', '--as-group=x', '--as-user-extra=a=b']) {
    await expect(configOf(['--user=v', flag])).rejects.toThrow('need --as, the user to impersonate')
  }
})

test('the proxy is that of the kubeconfig, else that of the environment for the server that counts', async () => {
  const env = { HTTPS_PROXY: 'http://of-the-environment:3128', NO_PROXY: 'c' }
  const proxyOf = async (...args: readonly string[]): Promise<string | undefined> =>
    (await configOf(args, env)).proxy?.hostname
  expect(await proxyOf()).toBeUndefined()
  expect(await proxyOf('--server=https://e')).toBe('of-the-environment')
  expect(await proxyOf('--context=there')).toBe('of-the-file')
})
