import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { serveControl } from '../driver/control.ts'
import { completionCommand } from './completion.ts'
import { driverCommand } from './driver.ts'
import { createProgram } from './program.ts'
import { tryCommand } from './try.ts'

let folder: string
const opened: { close(): unknown }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-cli-'))
})

afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close()
  await rm(folder, { recursive: true })
})

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs podpass as a user does, without what the environment says to a driver. */
function podpass(...args: readonly string[]): Promise<Ended> {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const env = { PATH, NODE_COMPILE_CACHE, KUBERNETES_SERVICE_HOST: '' }
  return new Promise((resolve) => {
    const main = join(import.meta.dirname, 'main.ts')
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const hint = '(podpass --help, or podpass COMMAND --help, tells more)\n'

test('the version is that of the package', async () => {
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string
  }
  expect(await podpass('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

test('help goes to standard output and is no error; nothing at all is one', async () => {
  const asked = await podpass('--help')
  expect(asked).toMatchObject({ code: 0, stderr: '' })
  expect(asked.stdout).toContain('Exit codes: 0 done, 1 failed, 2')
  expect(await podpass()).toEqual({ code: 2, stdout: '', stderr: asked.stdout })
})

// What a typing error tells: what was wrong, what may have been meant, where to look.
test.each([
  [['drive'], "error: unknown command 'drive'\n(Did you mean driver?)\n"],
  [['driver', 'inspct'], "error: unknown command 'inspct'\n(Did you mean inspect?)\n"],
  [['driver', 'xyzzy'], "error: unknown command 'xyzzy'\n"],
  [['driver', '--node-idd=a'], "error: unknown option '--node-idd=a'\n(Did you mean --node-id?)\n"],
  [['driver', '--node-id'], "error: option '--node-id <name>' argument missing\n"],
  [
    ['driver', '--endpoint=tcp://a:1'],
    "error: option '--endpoint <address>' argument 'tcp://a:1' is invalid. It must be a Unix socket, such as unix:///plugin/csi.sock.\n",
  ],
  [
    ['driver', '--default-duration=30'],
    "error: option '--default-duration <duration>' argument '30' is invalid. It must be a duration, such as 720h or 1m30s.\n",
  ],
  [
    ['driver', '--default-layout=old'],
    "error: option '--default-layout <layout>' argument 'old' is invalid. Allowed choices are default, legacy.\n",
  ],
  [
    ['driver', '--metrics-bind-address=9402'],
    "error: option '--metrics-bind-address <address>' argument '9402' is invalid. It must be host:port, :port, or 0 for nowhere.\n",
  ],
  [
    ['driver', '--as-user-extra=a'],
    "error: option '--as-user-extra <key=value>' argument 'a' is invalid. It must be key=value.\n",
  ],
  [['driver', 'renew'], "error: missing required argument 'volume'\n"],
  [
    ['driver', 'inspect', '-o', 'yaml'],
    "error: option '-o, --output <format>' argument 'yaml' is invalid. Allowed choices are table, json.\n",
  ],
  [['try'], "error: missing required argument 'file'\n"],
  [
    ['completion', 'tcsh'],
    "error: command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish.\n",
  ],
] as const)('podpass %j is refused with 2', async (args, stderr) => {
  expect(await podpass(...args)).toEqual({ code: 2, stdout: '', stderr: stderr + hint })
})

test('a driver that cannot be started says everything that it lacks', async () => {
  const { code, stderr } = await podpass('driver')
  expect(code).toBe(2)
  expect(stderr).toMatch(/^podpass: --node-id is missing: .*\n--endpoint is missing: .*\n$/)
})

test('a driver without an API server to reach ends with 1', async () => {
  const { code, stderr } = await podpass('driver', '--node-id=a', `--endpoint=${folder}/csi.sock`)
  expect([code, stderr]).toEqual([
    1,
    'podpass: not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set\n',
  ])
})

test('a driver whose metrics have no place to go ends, and leaves nothing running', async () => {
  const taken = createServer()
  opened.push(taken)
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const args = ['--node-id=a', `--endpoint=${folder}/csi.sock`, `--data-root=${folder}`, '--server=https://127.0.0.1:1']
  const { code, stderr } = await podpass('driver', ...args, `--metrics-bind-address=127.0.0.1:${port}`)
  expect(code).toBe(1)
  expect(stderr).toMatch(/podpass: listen EADDRINUSE/)
})

test('inspect and renew say that no driver answers, where none does', async () => {
  for (const args of [['inspect'], ['renew', 'csi-1']]) {
    expect(await podpass('driver', ...args, '--data-root', folder)).toMatchObject({
      code: 1,
      stderr: `podpass: no driver answers on ${folder}/control.sock: connect ENOENT ${folder}/control.sock\n`,
    })
  }
  const long = `/${'x'.repeat(100)}`
  expect(await podpass('driver', 'inspect', '--data-root', long)).toMatchObject({
    code: 1,
    stderr: `podpass: socket path ${long}/control.sock has 114 bytes, and Linux allows 107 here: choose a shorter folder\n`,
  })
})

test('renew takes the start of an id that fits one volume, and says which fit where more do', async () => {
  const renewed: string[] = []
  const ids = ['csi-aa1', 'csi-aa2', 'csi-b', 'csi-bb']
  const volumes = ids.map((volumeId) => ({
    volumeId,
    target: `/pods/${volumeId}`,
    directory: `/data/${volumeId}`,
    pod: { namespace: 'sandbox', name: volumeId, uid: volumeId, serviceAccount: 'default' },
    issuer: { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' },
    state: 'issued' as const,
    shown: true,
    detached: false,
    former: false,
    progress: undefined,
    request: undefined,
    issued: undefined,
    renewAt: undefined,
    lastError: undefined,
    lastErrorAt: undefined,
  }))
  opened.push(await serveControl(folder, { inspect: () => volumes, renew: (volumeId) => renewed.push(volumeId) > 0 }))
  const renew = (start: string): Promise<Ended> => podpass('driver', 'renew', start, '--data-root', folder)
  expect(await renew('csi-aa1')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^renewing sandbox\/csi-aa1 /) as unknown,
  })
  expect(await renew('csi-b')).toMatchObject({ code: 0 })
  expect(renewed).toEqual(['csi-aa1', 'csi-b'])
  expect(await renew('csi-a')).toMatchObject({
    code: 2,
    stderr:
      'podpass: 2 volumes have an id that starts with "csi-a":\n  csi-aa1 sandbox/csi-aa1\n  csi-aa2 sandbox/csi-aa2\n',
  })
  expect(await renew('web')).toMatchObject({
    code: 2,
    stderr: 'podpass: no volume of this node has an id that starts with "web"; podpass driver inspect lists them\n',
  })
})

/** Every command for people, with the words that lead to it. */
function commandsBelow(command: Command): readonly Command[] {
  const visible = command.createHelp().visibleCommands(command)
  return visible.flatMap((known) => (known.name() === 'help' ? [] : [known].concat(commandsBelow(known))))
}

test('the help of each command has a description, examples, and says of each flag what it is for', () => {
  const program = createProgram([driverCommand(), tryCommand(), completionCommand()])
  const names: string[] = []
  for (const command of commandsBelow(program)) {
    names.push(command.name())
    let text = ''
    command.configureOutput({ writeOut: (part) => (text += part) })
    command.outputHelp()
    expect(command.description()).not.toBe('')
    expect(text).toContain('\nExamples:\n')
    for (const option of command.createHelp().visibleOptions(command)) expect(option.description).not.toBe('')
  }
  expect(names).toEqual(['driver', 'inspect', 'renew', 'try', 'completion'])
})

test('each flag of the driver that help shows has its environment variable there', () => {
  const driver = driverCommand()
  const flags = driver.options.filter(({ hidden }) => !hidden)
  const help = createProgram([driver]).commands[0]?.helpInformation() ?? ''
  expect(flags.length).toBeGreaterThan(20)
  for (const { envVar } of flags) expect(help).toContain(`$${envVar})`)
})
