import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { type Log, silentLog } from '../runtime/log.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { noNames } from '../x509/general-names.ts'
import { buildSubject } from '../x509/name.ts'
import { newKey } from '../x509/test-pki.ts'
import type { IssuanceRequest } from './issuer.ts'
import { NamedIssuers } from './named-issuers.ts'
import { ScriptedVault } from './vault/fixtures/scripted-vault.ts'

let vault: ScriptedVault
let folder: string
let file: string
let registry: Registry
let issuers: NamedIssuers | undefined
let generation: number
/** What was logged, and who waits for the next line. */
let lines: string[]
let heard: (() => void) | undefined

beforeEach(async () => {
  vault = await ScriptedVault.start()
  folder = await mkdtemp(join(tmpdir(), 'podpass-issuers-'))
  file = join(folder, 'issuers.yaml')
  registry = new Registry()
  lines = []
  generation = 0
})

afterEach(async () => {
  await issuers?.close()
  await vault.close()
  await rm(folder, { recursive: true })
})

const say = (_fields: object, message: string): void => {
  lines.push(message)
  heard?.()
}
const log: Log = { ...silentLog, info: say, warn: say, error: say }

async function logged(text: string): Promise<void> {
  while (!lines.some((line) => line.includes(text))) await new Promise<void>((resolve) => (heard = resolve))
  lines = []
}

async function open(): Promise<NamedIssuers> {
  issuers = await NamedIssuers.open({ file, clock: systemClock, log, registry, tokenObstacle: () => undefined })
  return issuers
}

/** Replaces the file as the kubelet does that of a ConfigMap: a new folder, and one rename of the link to it. */
async function project(text: string): Promise<void> {
  const data = `..${++generation}`
  await mkdir(join(folder, data))
  await writeFile(join(folder, data, 'issuers.yaml'), text)
  await writeFile(join(folder, data, 'vault.pem'), vault.ca)
  await symlink(data, join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
  if (generation === 1)
    for (const name of ['issuers.yaml', 'vault.pem']) await symlink(`..data/${name}`, join(folder, name))
}

function issuer(name: string, role = 'pods'): string {
  return `  - { kind: Vault, name: ${name}, address: "${vault.address}", caFile: vault.pem, auth: { role: x }, pki: { role: ${role} } }\n`
}

function request(name: string): IssuanceRequest {
  return {
    id: '1',
    volumeId: 'volume',
    pod: { namespace: 'sandbox', name: 'web', uid: 'uid', serviceAccount: 'web' },
    issuer: { group: 'podpass.io', kind: 'Vault', name },
    csr: createCertificateRequest(newKey(), { subject: buildSubject({}), names: noNames, extensions: [] }),
    usages: ['digital signature'],
    isCA: false,
    duration: 3600_000,
    annotations: {},
  }
}

async function sign(name: string): Promise<string> {
  const submitted = request(name)
  const found = issuers?.issuerFor(submitted.issuer)
  const handle = await found?.submit(submitted, new AbortController().signal, { token: () => 'pod-token' })
  return handle?.name ?? ''
}

test('an issuer of the file signs, and one that is not in it is refused with where to add it', async () => {
  await project(`issuers:\n${issuer('corp')}`)
  await open()
  expect(await sign('corp')).toContain('to Vault corp')
  await expect(sign('other')).rejects.toThrow(
    `knows no issuer Vault other: add it to ${file}, where there are Vault corp`,
  )
  expect(await registry.metrics()).toContain('podpass_issuers_config_valid 1')
})

test('a ConfigMap that changes is taken over, and a login that still fits is kept', async () => {
  await project(`issuers:\n${issuer('corp')}`)
  await open()
  await sign('corp')
  lines = []
  await project(`issuers:\n${issuer('corp')}${issuer('second')}`)
  await logged('are configured')
  await sign('corp')
  await sign('second')
  expect(vault.callsOf('login')).toHaveLength(2)
})

test('an issuer whose settings change ends its logins, and the next request goes by the new ones', async () => {
  await project(`issuers:\n${issuer('corp')}`)
  await open()
  await sign('corp')
  lines = []
  await project(`issuers:\n${issuer('corp', 'services')}`)
  await logged('are configured')
  await sign('corp')
  expect(vault.callsOf('sign/services').map(({ token }) => token)).toEqual(['vault-token-2'])
  await issuers?.close()
  expect(vault.callsOf('revoke-self').map(({ token }) => token)).toEqual(['vault-token-1', 'vault-token-2'])
})

test('a bad edit is told and counted, the last good ones stay, and mending it needs no restart', async () => {
  await project(`issuers:\n${issuer('corp')}`)
  await open()
  lines = []
  await project(`issuers:\n${issuer('corp', '"a/b"')}`)
  await logged('the last good ones stay')
  expect(await sign('corp')).toContain('to Vault corp')
  await expect(sign('other')).rejects.toThrow(/issuers\.yaml:2:\d+: issuers\[0\]\.pki\.role: may hold/)
  expect(await registry.metrics()).toMatch(/podpass_issuers_config_valid 0[^]*outcome="refused"} 1/)
  await project(`issuers:\n${issuer('corp')}`)
  await logged('are configured')
  expect(await registry.metrics()).toContain('podpass_issuers_config_valid 1')
})

test('a file that cannot be used at the start is told, and mending it needs no restart', async () => {
  await writeFile(file, 'issuers: 3\n')
  await open()
  expect(lines).toEqual(['the configuration of issuers cannot be used; there are none until it is mended'])
  await expect(sign('corp')).rejects.toThrow('the file cannot be used as it is')
  await writeFile(join(folder, 'vault.pem'), vault.ca)
  await writeFile(file, `issuers:\n${issuer('corp')}`)
  await logged('are configured')
  expect(await sign('corp')).toContain('to Vault corp')
})

test('a CA in another folder is watched too', async () => {
  const other = join(folder, 'other')
  await mkdir(other)
  await writeFile(join(other, 'vault.pem'), 'nothing')
  await writeFile(file, `issuers:\n${issuer('corp').replace('vault.pem', 'other/vault.pem')}`)
  await open()
  lines = []
  await writeFile(join(other, 'vault.pem'), vault.ca)
  await logged('are configured')
  expect(await sign('corp')).toContain('to Vault corp')
})

test('writing the same again changes nothing', async () => {
  const text = `issuers:\n${issuer('corp')}`
  await project(text)
  await open()
  lines = []
  await project(text)
  // The next real change is told once, so nothing was told for the one before.
  await project(`issuers:\n${issuer('corp')}${issuer('second')}`)
  await logged('are configured')
  expect(await registry.metrics()).toContain('outcome="applied"} 2')
})
