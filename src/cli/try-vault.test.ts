import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { playedVault, type VaultFlags } from './try-vault.ts'
import { UsageError } from './usage-error.ts'

let folder: string
let flags: VaultFlags

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-try-vault-'))
  const vaultTokenFile = join(folder, 'token')
  await writeFile(vaultTokenFile, 'secret\n')
  flags = { issuer: 'vault', vaultTokenFile, vaultAddr: 'https://vault.example', vaultMount: 'pki', vaultRole: 'pods' }
})

afterEach(() => rm(folder, { recursive: true }))

test('without --issuer vault, the embedded CA signs', async () => {
  expect(await playedVault({ ...flags, issuer: 'embedded' }, systemClock)).toBeUndefined()
})

test('a Vault is told by its address and by what signs, and never by its token', async () => {
  const played = await playedVault(flags, systemClock)
  expect(played?.description).toBe('Vault https://vault.example, pki/sign/pods')
})

describe('what is wrong is told by its flag', () => {
  test.each([
    ['--vault-token-file, a file with a token', { vaultTokenFile: undefined }],
    ['--vault-token-file: ENOENT', { vaultTokenFile: '/nowhere/token' }],
    ['--vault-cacert: ENOENT', { vaultCacert: '/nowhere/ca.pem' }],
    ['--vault-addr is missing; --vault-role is missing', { vaultAddr: undefined, vaultRole: undefined }],
    ['--vault-addr must be an https:// address', { vaultAddr: 'http://vault.example' }],
    ['--vault-mount must be a path in Vault', { vaultMount: 'p k i' }],
    ['--vault-role refers to "POD_NAME"', { vaultRole: '${POD_NAME}' }],
  ])('%s', async (message, changes) => {
    const played = playedVault({ ...flags, ...changes } as VaultFlags, systemClock)
    await expect(played).rejects.toThrow(UsageError)
    await expect(played).rejects.toThrow(message)
  })

  test('a token file that holds something else', async () => {
    await writeFile(join(folder, 'token'), 'a secret\n')
    const played = playedVault(flags, systemClock)
    await expect(played).rejects.toThrow('holds no token')
    await expect(played).rejects.not.toThrow('secret')
  })
})
