import { readFile } from 'node:fs/promises'
import { Option } from 'commander'
import * as v from 'valibot'
import { VaultConnection } from '../issuer/vault/connection.ts'
import { givenToken } from '../issuer/vault/sessions.ts'
import { vaultSchema } from '../issuer/vault/settings.ts'
import { VaultIssuer } from '../issuer/vault/vault-issuer.ts'
import type { Clock } from '../runtime/clock.ts'
import type { PlayedIssuer } from '../try/stage.ts'
import { UsageError } from './usage-error.ts'

/** What `podpass try` takes about a Vault. The variables are those of the vault command. */
export interface VaultFlags {
  readonly issuer: 'embedded' | 'vault'
  readonly vaultAddr?: string
  readonly vaultTokenFile?: string
  readonly vaultCacert?: string
  readonly vaultNamespace?: string
  readonly vaultMount: string
  readonly vaultRole?: string
}

/** The flags of {@link VaultFlags}. */
export function vaultOptions(): Option[] {
  return [
    new Option('--issuer <kind>', 'who signs, whatever issuer the volumes name')
      .choices(['embedded', 'vault'])
      .default('embedded'),
    new Option('--vault-addr <url>', 'address of a Vault or an OpenBao').env('VAULT_ADDR'),
    new Option('--vault-token-file <file>', 'file with a token that may sign there; it is not revoked'),
    new Option('--vault-cacert <file>', 'CA of its certificate').env('VAULT_CACERT'),
    new Option('--vault-namespace <name>', 'namespace there').env('VAULT_NAMESPACE'),
    new Option('--vault-mount <path>', 'where its PKI engine is mounted').default('pki'),
    new Option('--vault-role <name>', 'role that signs; it may hold ${POD_NAMESPACE} and ${SERVICE_ACCOUNT_NAME}'),
  ]
}

/** The flag of each setting. */
const flagOf: Readonly<Record<string, string>> = {
  address: '--vault-addr',
  ca: '--vault-cacert',
  namespace: '--vault-namespace',
  'pki.mount': '--vault-mount',
  'pki.role': '--vault-role',
}

/**
 * The Vault that the flags name.
 *
 * @returns undefined where the embedded CA signs
 * @throws {UsageError} with everything that is wrong; never quoting the token
 */
export async function playedVault(flags: VaultFlags, clock: Clock): Promise<PlayedIssuer | undefined> {
  if (flags.issuer !== 'vault') return undefined
  const { vaultAddr, vaultTokenFile, vaultCacert, vaultNamespace, vaultMount, vaultRole } = flags
  if (vaultTokenFile === undefined) throw new UsageError('--issuer vault needs --vault-token-file, a file with a token')
  const token = (await read('--vault-token-file', vaultTokenFile)).trim()
  if (token === '' || /\s/.test(token)) throw new UsageError(`--vault-token-file: ${vaultTokenFile} holds no token`)
  const ca = vaultCacert === undefined ? undefined : await read('--vault-cacert', vaultCacert)
  const given = {
    kind: 'Vault',
    name: 'try',
    address: vaultAddr,
    ...(ca === undefined ? {} : { ca }),
    ...(vaultNamespace === undefined || vaultNamespace === '' ? {} : { namespace: vaultNamespace }),
    // Nobody logs in: the token is given.
    auth: { role: 'none' },
    pki: { mount: vaultMount, role: vaultRole },
  }
  const parsed = v.safeParse(vaultSchema, given)
  if (!parsed.success) {
    const problems = parsed.issues.map((issue) => {
      const flag = flagOf[v.getDotPath(issue) ?? ''] ?? '--issuer'
      return `${flag} ${issue.received === 'undefined' ? 'is missing' : issue.message}`
    })
    throw new UsageError(`--issuer vault: ${problems.join('; ')}`)
  }
  const settings = parsed.output
  const connection = new VaultConnection({ ...settings, clock })
  const issuer = new VaultIssuer({ settings, connection, sessions: givenToken(token) })
  return { issuer, description: `Vault ${settings.address}, ${settings.pki.mount}/sign/${vaultRole ?? ''}` }
}

function read(flag: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new UsageError(`${flag}: ${error.message}`, { cause: error })
  })
}
