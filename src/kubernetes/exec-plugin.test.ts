import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ExecPlugin } from './connection-config.ts'
import { CredentialError } from './errors.ts'
import { parseExecCredential, runExecPlugin } from './exec-plugin.ts'

const apiVersion = 'client.authentication.k8s.io/v1'

/** A plugin that is a line of JavaScript. */
function plugin(script: string, more: Partial<ExecPlugin> = {}): ExecPlugin {
  return {
    apiVersion,
    command: process.execPath,
    args: ['-e', script],
    env: {},
    installHint: undefined,
    cluster: undefined,
    ...more,
  }
}

function credential(status: unknown): string {
  return JSON.stringify({ apiVersion, kind: 'ExecCredential', status })
}

test('a plugin gets its arguments, environment and an ExecCredential to fill', async () => {
  const script = `
    const { spec, kind } = JSON.parse(process.env.KUBERNETES_EXEC_INFO)
    const token = [kind, spec.interactive, spec.cluster.server, process.env.PROFILE, process.argv[1]].join(' ')
    console.log(JSON.stringify({ apiVersion: '${apiVersion}', kind, status: { token } }))`
  const run = plugin(script, {
    args: ['-e', script, 'argument'],
    env: { PROFILE: 'dev' },
    cluster: { server: 'https://api' },
  })
  expect((await runExecPlugin(run)).token).toBe('ExecCredential false https://api dev argument')
})

test('a plugin that fails is named, with the hint of how to get it', async () => {
  await expect(runExecPlugin(plugin('process.exit(3)'))).rejects.toThrow(/exec plugin .* ended with exit code 3$/)
  const missing = plugin('', { command: 'podpass-no-such-plugin', installHint: 'see example.com\n' })
  await expect(runExecPlugin(missing)).rejects.toThrow(
    /^exec plugin podpass-no-such-plugin cannot be run: .*ENOENT; see example.com$/,
  )
})

test('a plugin that prints without end is ended', async () => {
  await expect(runExecPlugin(plugin("setInterval(() => process.stdout.write('x'.repeat(65536)), 0)"))).rejects.toThrow(
    'was ended by SIGKILL',
  )
})

test('a token, a certificate and an expiry are read', () => {
  const status = {
    token: 't',
    clientCertificateData: 'CERT',
    clientKeyData: 'KEY',
    expirationTimestamp: '2026-01-01T00:00:00Z',
  }
  expect(parseExecCredential(credential(status), plugin(''))).toEqual({
    token: 't',
    certificate: Buffer.from('CERT'),
    key: Buffer.from('KEY'),
    expires: Date.UTC(2026, 0, 1),
  })
  expect(parseExecCredential(credential({ token: 't' }), plugin('')).expires).toBeUndefined()
})

test('an answer that cannot be used says what is expected', () => {
  const refusal = (output: string): string => {
    try {
      parseExecCredential(output, plugin('', { command: 'login' }))
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  expect(refusal('oops')).toBe(
    'exec plugin login: expected an ExecCredential in JSON on standard output, got something else',
  )
  expect(refusal(JSON.stringify({ kind: 'ExecCredential', apiVersion: 'v2' }))).toMatch(
    /expected kind ExecCredential of .*v1, got/,
  )
  expect(refusal(credential({}))).toMatch(/expected a token or a client certificate, got neither/)
  expect(refusal(credential({ clientKeyData: 'k' }))).toMatch(/together, got one of them/)
  expect(refusal(credential({ token: 5 }))).toMatch(/status.token: expected a string/)
  expect(refusal(credential({ token: 't', expirationTimestamp: 'soon' }))).toMatch(/expirationTimestamp: expected/)
})

test('whatever a plugin prints, it is a credential or refused, and not repeated', () => {
  const secret = 's3cret-s3cret'
  const value = fc.oneof(fc.constant(secret), fc.string(), fc.integer(), fc.constant(null))
  const status = fc.dictionary(
    fc.constantFrom('token', 'clientCertificateData', 'clientKeyData', 'expirationTimestamp'),
    value,
  )
  fc.assert(
    fc.property(fc.oneof(status.map(credential), fc.json(), fc.string(), fc.constant(secret)), (output) => {
      const error = outcome(output)
      expect(error === undefined || error instanceof CredentialError).toBe(true)
      expect(String(error)).not.toContain(secret)
    }),
  )
})

function outcome(output: string): unknown {
  try {
    parseExecCredential(output, plugin(''))
    return undefined
  } catch (error) {
    return error
  }
}
