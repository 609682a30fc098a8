import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '../runtime/log.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { Credentials, identityChanged } from './credentials.ts'
import { CredentialError } from './errors.ts'
import { ManualClock } from './fixtures/manual-clock.ts'

let directory: string
let clock: ManualClock

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podpass-credentials-'))
  clock = new ManualClock()
})

afterEach(() => rm(directory, { recursive: true }))

function credentials(config: Partial<ConnectionConfig>): Credentials {
  const whole: ConnectionConfig = {
    server: 'https://api',
    ca: undefined,
    serverName: undefined,
    insecure: false,
    clientCertificate: undefined,
    authentication: { by: 'nothing' },
    impersonation: undefined,
    proxy: undefined,
    namespace: 'default',
    ...config,
  }
  return new Credentials(whole, { clock, log: silentLog, reloadInterval: 60_000 })
}

/** Replaces a file as the kubelet does, in one step. */
async function replace(name: string, content: string): Promise<string> {
  const path = join(directory, name)
  await writeFile(`${path}.new`, content)
  await rename(`${path}.new`, path)
  return path
}

async function tokenFile(): Promise<Credentials> {
  return credentials({ authentication: { by: 'token-file', path: await replace('token', 'first\n') } })
}

test('a token file is read once a minute at most', async () => {
  const own = await tokenFile()
  expect(await own.token()).toBe('first')
  await replace('token', 'second')
  await clock.advance(59_999)
  expect(await own.token()).toBe('first')
  await clock.advance(1)
  expect(await own.token()).toBe('second')
})

test('a wall clock that goes back does not keep an old token in use', async () => {
  const own = await tokenFile()
  await own.token()
  await replace('token', 'second')
  clock.set(clock.now() - 3_600_000)
  expect(await own.token()).toBe('second')
})

test('a token that the server refused is read again at once', async () => {
  const own = await tokenFile()
  await own.token()
  await replace('token', 'second')
  own.forget('another')
  expect(await own.token()).toBe('first')
  own.forget('first')
  expect(await own.token()).toBe('second')
})

test('a token file that vanishes leaves the last token in use', async () => {
  const own = await tokenFile()
  await own.token()
  await rm(join(directory, 'token'))
  await clock.advance(60_000)
  expect(await own.token()).toBe('first')
})

test('a token file that is empty or missing from the start is an error that names it', async () => {
  const path = await replace('token', '\n')
  const own = credentials({ authentication: { by: 'token-file', path } })
  await expect(own.token()).rejects.toThrow(CredentialError)
  await expect(own.token()).rejects.toThrow(`token file ${path} cannot be read: the file is empty`)
})

test('CA and client certificate are read each time they are asked for', async () => {
  const ca = await replace('ca.crt', 'ca 1')
  const certificate = await replace('tls.crt', 'certificate 1')
  const key = await replace('tls.key', 'key 1')
  const own = credentials({
    ca: { from: 'file', path: ca },
    clientCertificate: { certificate: { from: 'file', path: certificate }, key: { from: 'file', path: key } },
  })
  const first = await own.tls()
  expect(first).toEqual({
    ca: Buffer.from('ca 1'),
    certificate: Buffer.from('certificate 1'),
    key: Buffer.from('key 1'),
  })
  expect(identityChanged(first, await own.tls())).toBe(false)
  for (const name of ['ca.crt', 'tls.crt', 'tls.key']) {
    const before = await own.tls()
    await replace(name, `${name} 2`)
    expect(identityChanged(before, await own.tls())).toBe(true)
  }
})

test('a certificate file that is missing is an error that names it', async () => {
  const own = credentials({ ca: { from: 'file', path: join(directory, 'ca.crt') } })
  await expect(own.tls()).rejects.toThrow(/ca\.crt cannot be read: ENOENT/)
})

/** A plugin that counts its runs in a file, gives the count as its token, and says when it expires. */
function counting(expirationTimestamp: string | undefined): Credentials {
  const script = `
    const fs = require('node:fs')
    const path = ${JSON.stringify(join(directory, 'runs'))}
    fs.appendFileSync(path, 'x')
    const token = String(fs.readFileSync(path).length)
    const status = { token, expirationTimestamp: ${JSON.stringify(expirationTimestamp)} }
    console.log(JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status }))`
  return credentials({
    authentication: {
      by: 'exec',
      plugin: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: process.execPath,
        args: ['-e', script],
        env: {},
        installHint: undefined,
        cluster: undefined,
      },
    },
  })
}

test('an exec plugin runs again when what it gave has expired, and not before', async () => {
  const own = counting(new Date(clock.now() + 300_000).toISOString())
  expect(await own.token()).toBe('1')
  await clock.advance(299_000)
  expect(await own.token()).toBe('1')
  await clock.advance(1_000)
  expect(await own.token()).toBe('2')
})

test('what an exec plugin gave without an expiry is used until the server refuses it', async () => {
  const own = counting(undefined)
  expect(await own.token()).toBe('1')
  await clock.advance(1e9)
  expect(await own.token()).toBe('1')
  own.forget('1')
  expect(await own.token()).toBe('2')
})

test('calls that need the plugin at the same time share one run', async () => {
  const own = counting(undefined)
  const tokens = await Promise.all([own.token(), own.token(), own.tls().then(() => own.token())])
  expect(tokens).toEqual(['1', '1', '1'])
  expect(await readFile(join(directory, 'runs'), 'utf8')).toBe('x')
})
