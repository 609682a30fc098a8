import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** What Go's crypto/x509 sees in a request. */
export interface GoAnswer {
  /** Why it does not take it; nothing else is set then. */
  readonly error?: string
  readonly subject: readonly (readonly { readonly type: string; readonly value: string }[])[]
  readonly dns: readonly string[] | null
  /** Hexadecimal. */
  readonly ip: readonly string[]
  readonly uri: readonly string[]
  readonly email: readonly string[] | null
  readonly extensions: readonly { readonly id: string; readonly critical: boolean }[]
  readonly bits: readonly number[]
  readonly purposes: readonly string[]
  readonly isCA: boolean
  /** Such as `ECDSA P-256`. */
  readonly key: string
  /** SHA-256 of the SubjectPublicKeyInfo, hexadecimal. */
  readonly keyHash: string
}

/** Reads requests; PEM or DER. */
export type GoReader = (requests: readonly Uint8Array[]) => readonly GoAnswer[]

/**
 * Builds the Go program that reads requests. It needs no module but its own.
 *
 * @param directory - for the program
 * @returns undefined where there is no Go, or one that is too old
 */
export function buildGoReader(directory: string): GoReader | undefined {
  const program = join(directory, 'go-request')
  const { error, status, stderr } = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: join(import.meta.dirname, 'go-request'),
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
    encoding: 'utf8',
  })
  if (error !== undefined || /requires go >=/.test(stderr)) return undefined
  if (status !== 0) throw new Error(`the Go program does not build: ${stderr}`)
  return (requests) => {
    const input = requests.map((bytes) => `${bytes.toBase64()}\n`).join('')
    const output = execFileSync(program, { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
    return output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as GoAnswer)
  }
}
