import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConfigurationError } from './errors.ts'
import { inClusterConfig } from './in-cluster.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podpass-in-cluster-'))
})

afterEach(() => rm(directory, { recursive: true }))

const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }

async function mountServiceAccount(...names: readonly string[]): Promise<void> {
  for (const name of names) await writeFile(join(directory, name), `${name} content\n`)
}

test('a pod reaches the API server with the files of its service account', async () => {
  await mountServiceAccount('token', 'ca.crt', 'namespace')
  expect(await inClusterConfig(env, directory)).toEqual({
    server: 'https://10.96.0.1:443',
    ca: { from: 'file', path: join(directory, 'ca.crt') },
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'token-file', path: join(directory, 'token') },
    impersonation: undefined,
    proxy: undefined,
    namespace: 'namespace content',
  })
})

test('an IPv6 address stands in brackets, and a missing namespace is default', async () => {
  await mountServiceAccount('token', 'ca.crt')
  const config = await inClusterConfig({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, directory)
  expect(config.server).toBe('https://[fd00::1]:443')
  expect(config.namespace).toBe('default')
})

test('outside of a pod, or without a token, it says what is missing', async () => {
  await expect(inClusterConfig({}, directory)).rejects.toThrow(ConfigurationError)
  await expect(inClusterConfig(env, directory)).rejects.toThrow(
    /token cannot be read; is automountServiceAccountToken off\?/,
  )
})
