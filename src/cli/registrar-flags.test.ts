import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createProgram } from './program.ts'
import { withRole } from './program-role.ts'
import { registrarCommand } from './registrar.ts'
import { type RegistrarFlags, registrarSettings } from './registrar-flags.ts'
import { UsageError } from './usage-error.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registrar-flags-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

beforeEach(() => {
  vi.stubEnv('KUBECONFIG', undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
})

/** What the command is run with. */
async function flagsOf(...args: readonly string[]): Promise<RegistrarFlags> {
  const taken: RegistrarFlags[] = []
  const command = registrarCommand(async (flags) => {
    taken.push(flags)
  })
  await createProgram([command]).parseAsync(withRole(args), { from: 'user' })
  const [flags] = taken
  if (flags === undefined) throw new Error('it was not run')
  return flags
}

async function file(text: string): Promise<string> {
  const path = join(folder, 'registrar.conf')
  const minimal = 'mode = "reconcile" trust_domain = "example.org" cluster = "c" server_socket_path = "/api.sock"\n'
  await writeFile(path, minimal + text)
  return path
}

test("the old registrar's file is looked for where that one did", async () => {
  expect(await flagsOf('registrar')).toMatchObject({
    config: 'k8s-workload-registrar.conf',
    takeover: false,
    confirmDeletes: false,
  })
})

test.each([
  [['registrar', '--config', 'a.conf']],
  [['registrar', '-config', 'a.conf']],
  [['registrar', '-config=a.conf']],
  [['registrar', '--takeover=false', '-config=a.conf']],
  [['-config', 'a.conf']],
  [['-config=a.conf']],
])('%j names the file', async (args) => {
  expect(await flagsOf(...args)).toMatchObject({ config: 'a.conf', takeover: false })
})

test('-version is --version, and other flags alone are still the driver’s', () => {
  expect(withRole(['registrar', '-version'])).toEqual(['registrar', '--version'])
  expect(withRole(['--config', 'a.yaml'])).toEqual(['driver', '--config', 'a.yaml'])
  expect(withRole(['-v=5'])).toEqual(['driver', '-v=5'])
  expect(withRole(['approver', '-config'])).toEqual(['approver', '-config'])
  expect(withRole([])).toEqual([])
})

test('flags win over the file', async () => {
  const path = await file('metrics_addr = ":1" log_level = "warn" kubeconfig = "/file" quite_other = 1')
  const standard = await flagsOf('registrar', '--config', path)
  expect(await registrarSettings(standard)).toMatchObject({
    config: { metricsAddress: ':1' },
    connection: { kubeconfig: '/file' },
    logLevel: 'warn',
    warnings: ['At 2:61: there is no key "quite_other"'],
  })
  const flags = await flagsOf(
    'registrar',
    '--config',
    path,
    '--metrics-bind-address',
    '0',
    '-v',
    'debug',
    '--kubeconfig',
    '/flag',
  )
  expect(await registrarSettings(flags)).toMatchObject({
    config: { metricsAddress: '0' },
    connection: { kubeconfig: '/flag' },
    logLevel: 'debug',
  })
})

test('a file that cannot be used is a mistake of who starts it, with everything that is wrong', async () => {
  const settings = registrarSettings(
    await flagsOf('registrar', '--config', await file('termination = "x" addr = 1 metrics_addr = "y"')),
  )
  await expect(settings).rejects.toThrow(UsageError)
  await expect(settings).rejects.toThrow(/termination must be .*\n.*metrics_addr must be/)
})

test('a template that would fail for every pod is such a mistake, told before anything is asked', async () => {
  const path = await file('')
  const text = 'mode = "crd" trust_domain = "example.org" cluster = "c" server_socket_path = "/api.sock"'
  await writeFile(path, `${text} identity_template = "ns/{{.Pod.Nam}}"`)
  const settings = registrarSettings(await flagsOf('registrar', '--config', path))
  await expect(settings).rejects.toThrow(UsageError)
  await expect(settings).rejects.toThrow(/identity template: line 1: .* Nam /)
})
