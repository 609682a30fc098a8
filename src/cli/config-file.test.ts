import { Command } from 'commander'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { applyConfigFile } from './config-file.ts'
import { addDriverOptions, type DriverFlags } from './driver-flags.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-config-'))
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

/** The driver's flags, from a command line and a file. */
async function flagsOf(file: string, args: readonly string[] = []): Promise<DriverFlags> {
  const path = join(folder, 'config.yaml')
  await writeFile(path, file)
  const command = addDriverOptions(new Command('driver').action(() => {}))
  command.parse(args, { from: 'user' })
  await applyConfigFile(command, path)
  return command.opts<DriverFlags>()
}

/** The example with the # before each key removed. */
async function uncommented(): Promise<string> {
  const text = await readFile(join(import.meta.dirname, '../../examples/driver-config.yaml'), 'utf8')
  return text.replaceAll(/^#(?=[a-z]| {2}- )/gm, '')
}

test('the example names every flag that help shows, and nothing else, each once', async () => {
  const keys = [...(await uncommented()).matchAll(/^([a-z-]+):/gm)].map(([, key = '']) => key)
  const { options } = addDriverOptions(new Command('driver'))
  const shown = options.filter(({ hidden }) => !hidden).map((option) => option.name())
  expect(keys.toSorted()).toEqual(shown.filter((name) => name !== 'config').toSorted())
})

test('the example can be used as it is, and with each key set; where a flag has a default, the example says it', async () => {
  const { options } = addDriverOptions(new Command('driver'))
  const path = join(import.meta.dirname, '../../examples/driver-config.yaml')
  const standard = await flagsOf('')
  expect(await flagsOf(await readFile(path, 'utf8'))).toEqual(standard)
  const set: Record<string, unknown> = { ...(await flagsOf(await uncommented())) }
  for (const option of options) {
    const isList = Array.isArray(option.defaultValue)
    if (option.hidden || option.defaultValue === undefined || isList) continue
    expect([option.name(), set[option.attributeName()]]).toEqual([option.name(), option.defaultValue])
  }
  expect(set['podReadinessGate']).toEqual(['pod-ip:any'])
})

test('a flag goes before the environment, and that before the file', async () => {
  const file = 'node-id: of-the-file\nendpoint: /file.sock\ndriver-name: file.example\npublish-timeout: 5s\n'
  vi.stubEnv('NODE_NAME', 'of-the-environment')
  vi.stubEnv('CSI_ENDPOINT', '/environment.sock')
  expect(await flagsOf(file, ['--node-id', 'of-the-line'])).toMatchObject({
    nodeId: 'of-the-line',
    endpoint: '/environment.sock',
    driverName: 'file.example',
    publishTimeout: 5000,
  })
})

test('a file whose aliases lead nowhere is refused', async () => {
  await expect(flagsOf('node-id: *nobody\n')).rejects.toThrow(/--config .*config.yaml: .*nobody/)
})

test('a list takes the place of the default, and a single value stands for a list of one', async () => {
  const { podReadinessGate } = await flagsOf('pod-readiness-gate: [pod-ip:any, "pod-annotation:a"]')
  expect(podReadinessGate).toEqual(['pod-ip:any', 'pod-annotation:a'])
  expect((await flagsOf('pod-readiness-gate: pod-ip:any')).podReadinessGate).toEqual(['pod-ip:any'])
})

test('everything that is wrong is told at once, with its key and what is allowed', async () => {
  const path = join(folder, 'config.yaml')
  const file =
    'node-idd: a\nkey-pool: -1\nrequire-san: maybe\npod-readiness-gate: [nonsense]\nlog-level: {}\nconfig: a\n'
  await expect(flagsOf(file)).rejects.toMatchObject({
    code: 'CONFIG_FILE',
    message: [
      `--config ${path}: node-idd: There is no such flag; did you mean node-id?`,
      `--config ${path}: key-pool: It must be a whole number from 0.`,
      `--config ${path}: require-san: It must be true or false.`,
      `--config ${path}: pod-readiness-gate: readiness gate "nonsense" is not valid: must be pod-ip:any|ipv4|ipv6, ` +
        'pod-condition:TYPE[=True|False|Unknown] or pod-annotation:KEY',
      `--config ${path}: log-level: It must be a text, a number or a boolean.`,
      `--config ${path}: config: There is no such flag.`,
    ].join('\n'),
  })
})

test.each([
  ['- a\n', /It must be an object of flags/],
  ['a: [\n', /config\.yaml: /],
  ['42\n', /It must be an object of flags/],
])('a file that is no object of flags is refused: %j', async (file, message) => {
  await expect(flagsOf(file)).rejects.toThrow(message)
})

test('a file that is not there is named', async () => {
  const command = addDriverOptions(new Command('driver'))
  await expect(applyConfigFile(command, '/nowhere/config.yaml')).rejects.toThrow(
    /^--config \/nowhere\/config.yaml: ENOENT/,
  )
})
