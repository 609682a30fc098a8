import { spawn } from 'node:child_process'
import type { ExecPlugin } from './connection-config.ts'
import { CredentialError } from './errors.ts'

/** What an exec plugin gave: a token, or a certificate with its key (PEM), or all of it. */
export interface ExecCredential {
  readonly token: string | undefined
  readonly certificate: Buffer | undefined
  readonly key: Buffer | undefined
  /** Epoch milliseconds; undefined where the plugin set no end: then until the server refuses it. */
  readonly expires: number | undefined
}

/** Milliseconds. */
const patience = 60_000
/** Characters. Credentials are a few kilobytes. */
const longestAnswer = 1 << 20

/**
 * Runs a credential plugin (Kubernetes documentation "client-go credential plugins", KEP-541). It has no terminal to ask a user
 * with; what it writes to standard error goes to ours.
 *
 * @throws {CredentialError} naming the command and what went wrong, never what it printed
 */
export async function runExecPlugin(plugin: ExecPlugin): Promise<ExecCredential> {
  const output = await run(plugin)
  return parseExecCredential(output, plugin)
}

/**
 * Reads the ExecCredential that a plugin printed.
 *
 * @throws {CredentialError}
 */
export function parseExecCredential(output: string, plugin: ExecPlugin): ExecCredential {
  const refuse = (why: string): CredentialError => new CredentialError(`exec plugin ${plugin.command}: ${why}`)
  let answer: unknown
  try {
    answer = JSON.parse(output)
  } catch {
    throw refuse('expected an ExecCredential in JSON on standard output, got something else')
  }
  const { kind, apiVersion, status } = fieldsOf(answer)
  if (kind !== 'ExecCredential' || apiVersion !== plugin.apiVersion) {
    throw refuse(`expected kind ExecCredential of ${plugin.apiVersion}, got ${String(kind)} of ${String(apiVersion)}`)
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = fieldsOf(status)
  for (const [field, value] of Object.entries({ token, clientCertificateData, clientKeyData, expirationTimestamp })) {
    if (value !== undefined && typeof value !== 'string') throw refuse(`status.${field}: expected a string`)
  }
  const certificate = bytes(clientCertificateData)
  const key = bytes(clientKeyData)
  if ((certificate === undefined) !== (key === undefined)) {
    throw refuse('status: expected clientCertificateData and clientKeyData together, got one of them')
  }
  if (!token && certificate === undefined) {
    throw refuse('status: expected a token or a client certificate, got neither')
  }
  return {
    token: typeof token === 'string' && token !== '' ? token : undefined,
    certificate,
    key,
    expires: expiry(expirationTimestamp, refuse),
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function bytes(value: unknown): Buffer | undefined {
  return typeof value === 'string' && value !== '' ? Buffer.from(value) : undefined
}

function expiry(value: unknown, refuse: (why: string) => CredentialError): number | undefined {
  if (typeof value !== 'string') return undefined
  const time = Date.parse(value)
  if (Number.isNaN(time)) throw refuse('status.expirationTimestamp: expected an RFC 3339 time')
  return time
}

function run(plugin: ExecPlugin): Promise<string> {
  const info = JSON.stringify({
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.cluster === undefined ? {} : { cluster: plugin.cluster }) },
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      const hint = plugin.installHint === undefined ? '' : `; ${plugin.installHint.trim()}`
      reject(new CredentialError(`exec plugin ${plugin.command} ${why}${hint}`, { cause }))
    }
    const child = spawn(plugin.command, plugin.args, {
      env: { ...process.env, ...plugin.env, KUBERNETES_EXEC_INFO: info },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: patience,
      killSignal: 'SIGKILL',
    })
    let output = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      output += text
      if (output.length > longestAnswer) child.kill('SIGKILL')
    })
    child.once('error', (error) => fail(`cannot be run: ${error.message}`, error))
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else fail(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`)
    })
  })
}
