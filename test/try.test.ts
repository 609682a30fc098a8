import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rmdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { TryReport } from '../src/try/report.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const example = (name: string): string => join(root, 'examples', name)
const run = promisify(execFile)

// Each run is two processes that start up, several at a time.
vi.setConfig({ testTimeout: 60_000 })

/** Holds one folder for each run, in which it keeps what is temporary. */
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-e2e-'))
})
afterAll(async () => {
  // Fails where any run has left anything.
  for (const name of await readdir(folder)) await rmdir(join(folder, name))
  await rmdir(folder)
})

/** A run of `podpass try`. */
interface Run {
  readonly child: ChildProcess
  readonly output: Readable
  /** What the run has left in its folder. */
  readonly left: () => Promise<string[]>
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function start(...args: string[]): Promise<Run> {
  const own = await mkdtemp(join(folder, 'run-'))
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'try', ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: own, XDG_RUNTIME_DIR: own, NO_COLOR: '' },
    // A group of its own, so that a test can do what a terminal does at Ctrl-C.
    detached: true,
  })
  return { child, output: child.stdout, left: () => readdir(own) }
}

async function finish(child: ChildProcess): Promise<Ended> {
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code: code as number | null, out, err }
}

async function podpassTry(...args: string[]): Promise<Ended> {
  return feed('', ...args)
}

async function feed(input: string, ...args: string[]): Promise<Ended> {
  const { child } = await start(...args)
  child.stdin?.end(input)
  return finish(child)
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const podWith = (attributes: string): string => `
apiVersion: v1
kind: Pod
metadata:
  name: app
spec:
  containers:
    - name: main
      volumeMounts: [{ name: tls, mountPath: /tls }]
  volumes:
    - name: tls
      csi:
        driver: csi.cert-manager.io
        volumeAttributes:
${attributes}`

test.concurrent('the pod of the documentation and its peer get their certificates, talk, renew and are gone', async () => {
  const { code, out, err } = await podpassTry('--lifetime', '8s', example('my-csi-app.yaml'))
  expect(err).toBe('')
  expect(out).toContain('Podpass plays a node for 2 pods with 2 volumes')
  for (const name of ['my-csi-app', 'my-csi-peer']) {
    expect(out).toContain(`DNS:${name}.sandbox.svc.cluster.local`)
    expect(out).toMatch(new RegExp(`✓ sandbox/${name}: renewed at .*, a new key`))
  }
  expect(out).toMatch(/✓ sandbox\/my-csi-app → sandbox\/my-csi-peer\n.*each has verified the other: TLSv1\.3/)
  expect(out).toContain('✓ a stranger (same names, another CA) → sandbox/my-csi-peer: no connection')
  expect(out).toContain('✓ 2 volumes are gone: no mount, no file and no socket is left')
  expect(out).toMatch(/everything is as it should be\.\n$/)
  expect(out).not.toContain('✗')
  expect(code).toBe(0)
})

/** One run of a whole play, of which several tests read the report. */
let wholePlay: Promise<Ended> | undefined
function playOnce(): Promise<Ended> {
  wholePlay ??= podpassTry('--json', '--lifetime', '8s', example('deployment.yaml'))
  return wholePlay
}

test.concurrent('--json prints one document and nothing else', async () => {
  const { code, out, err } = await playOnce()
  expect(err).toBe('')
  const report = JSON.parse(out) as TryReport
  expect(report).toMatchObject({
    ok: true,
    keys: { volumes: 5, different: 5 },
    reads: { mixed: 0 },
    leftovers: { volumes: [], mounts: [], files: [], sockets: [] },
  })
  expect(report.volumes).toHaveLength(5)
  expect(report.renewals.map(({ newKey }) => newKey)).toEqual([true, true, true, true, true])
  expect(report.handshakes.map(({ kind, asExpected }) => `${kind} ${asExpected}`)).toEqual([
    'peers true',
    'stranger calls true',
    'stranger answers true',
    'renewed peers true',
  ])
  expect(report.volumes[0]).toMatchObject({
    owner: 'Deployment sandbox/my-csi-app',
    key: { algorithm: 'ECDSA', size: 256 },
    keyMatches: true,
    chain: { verified: true },
  })
  expect(out).not.toContain('PRIVATE KEY')
  expect(code).toBe(0)
})

test.concurrent('root and whoever may have a user namespace get real, read-only memory', async () => {
  const { out } = await playOnce()
  const { place, volumes } = JSON.parse(out) as TryReport
  const mounted = { type: 'tmpfs', options: expect.arrayContaining(['ro', 'nosuid', 'nodev', 'noexec']) as string[] }
  expect(volumes.map(({ mount }) => mount)).toEqual(
    volumes.map(() => (place === 'private-folder' ? undefined : mounted)),
  )
})

test.concurrent('standard input is read, and a group is applied or its absence told', async () => {
  const attributes = `
          csi.cert-manager.io/issuer-name: ca-issuer
          csi.cert-manager.io/uri-sans: spiffe://cluster.local/ns/\${POD_NAMESPACE}/sa/\${SERVICE_ACCOUNT_NAME}
          csi.cert-manager.io/fs-group: "65533"
          csi.cert-manager.io/certificate-file: deep/chain.pem`
  const { code, out } = await feed(podWith(attributes), '--json', '--no-renewal', '-')
  const { volumes, groupsLeft } = JSON.parse(out) as TryReport
  const [volume] = volumes
  expect(volume?.certificate.names.uri).toEqual(['spiffe://cluster.local/ns/default/sa/default'])
  expect(volume?.files.map(({ path, mode }) => `${mode} ${path}`)).toEqual([
    '-r--r----- ca.crt',
    '-r--r----- deep/chain.pem',
    '-r--r----- tls.key',
  ])
  expect([volume?.files[0]?.gid, ...groupsLeft]).toContain(65533)
  expect(code).toBe(0)
})

describe.concurrent('what was given cannot be used', () => {
  const wrong = podWith(`
          csi.cert-manager.io/dns-names: \${POD_NAM}.svc
          csi.cert-manager.io/duration: 1 week
          csi.cert-manager.io/pkcs12-password: 20026677`)

  test('every error is told at once, with file, line, object, volume and attribute, and no password', async () => {
    const { code, out, err } = await feed(`${wrong}\n---\nkind: [\n`, '-', 'missing.yaml')
    expect(out).toBe('')
    expect(err).toContain('standard input: Pod default/app, volume tls')
    expect(err).toMatch(/line \d+: csi\.cert-manager\.io\/issuer-name: required/)
    expect(err).toMatch(
      /line 16: csi\.cert-manager\.io\/dns-names: undefined variable "POD_NAM", did you mean POD_NAME\?/,
    )
    expect(err).toMatch(/line 17: csi\.cert-manager\.io\/duration: invalid value "1 week"/)
    expect(err).toMatch(/line 18: csi\.cert-manager\.io\/pkcs12-password: must be a text/)
    expect(err).toMatch(/line 21: broken YAML/)
    expect(err).toMatch(/missing\.yaml\n.*no such file/)
    expect(err).not.toContain('20026677')
    expect(code).toBe(2)
  })

  test('--json tells it as a document', async () => {
    const { code, out, err } = await feed(wrong, '--json', '-')
    expect(err).toBe('')
    const { ok, problems } = JSON.parse(out) as TryReport
    expect(ok).toBe(false)
    expect(problems).toContainEqual({
      location: { source: 'standard input', line: 17, column: 11 },
      object: 'Pod default/app',
      volume: 'tls',
      attribute: 'csi.cert-manager.io/duration',
      message: expect.any(String) as string,
    })
    expect(out).not.toContain('20026677')
    expect(code).toBe(2)
  })

  test('a file without such a volume is named', async () => {
    const { code, err } = await feed('apiVersion: v1\nkind: Service\n', '-')
    expect(err).toMatch(
      /standard input\n.*no volume of driver csi\.cert-manager\.io that a pod mounts; it\s+holds Service/,
    )
    expect(code).toBe(2)
  })

  test.each(['', '--lifetime soon x.yaml', '--lifetime 1s x.yaml'])('the arguments "%s" are refused', async (args) => {
    const { code, err } = await podpassTry(...args.split(' ').filter((arg) => arg !== ''))
    expect(err).toMatch(/^error: /)
    expect(code).toBe(2)
  })
})

/** Resolves once the output has said something. */
async function says(output: Readable, what: string): Promise<string> {
  let out = ''
  for await (const part of output.iterator({ destroyOnReturn: false })) {
    out += String(part)
    if (out.includes(what)) return out
  }
  throw new Error(`the process ended without saying ${what}: ${out}`)
}

describe.concurrent('a play that ends before its time', () => {
  test('Ctrl-C at a terminal takes everything down', async () => {
    const { child, output, left } = await start(example('my-csi-app.yaml'))
    const ended = once(child, 'exit')
    await says(output, 'waiting for the driver')
    process.kill(-child.pid!, 'SIGINT')
    expect(await text(output)).toContain('no mount, no file and no socket is left')
    expect((await ended)[0]).toBe(130)
    expect(await left()).toEqual([])
  })

  test('SIGTERM to the process that was started is enough', async () => {
    const { child, output, left } = await start(example('my-csi-app.yaml'))
    const ended = once(child, 'exit')
    await says(output, 'waiting for the driver')
    child.kill('SIGTERM')
    expect(await text(output)).toContain('interrupted, everything taken down')
    expect((await ended)[0]).toBe(143)
    expect(await left()).toEqual([])
  })

  test('where the process that was started is killed, the other one takes everything down', async () => {
    const { child, output, left } = await start(example('my-csi-app.yaml'))
    await says(output, 'waiting for the driver')
    child.kill('SIGKILL')
    // The output ends when the last process that holds it has ended.
    expect(await text(output)).toContain('no mount, no file and no socket is left')
    expect(await left()).toEqual([])
  })

  test('a reader that goes away ends it, and nothing is left', async () => {
    const { child, output, left } = await start('--lifetime', '8s', example('my-csi-app.yaml'))
    const ended = once(child, 'exit')
    await says(output, 'waiting for the driver')
    output.destroy()
    await ended
    expect(await left()).toEqual([])
  })
})

test.concurrent('--keep leaves it running: files that openssl verifies, until Ctrl-C', async () => {
  const { child, output } = await start(
    '--keep',
    '--json',
    '--no-renewal',
    '--ground',
    'private-folder',
    example('my-csi-app.yaml'),
  )
  const ended = once(child, 'exit')
  const { kept } = JSON.parse(await says(output, '\n}\n')) as TryReport
  expect(await exists(kept!.socket)).toBe(true)
  expect(kept!.targets).toHaveLength(2)
  for (const target of kept!.targets) {
    const leaf = join(target, 'tls.crt')
    const { stdout } = await run('openssl', ['verify', '-CAfile', join(target, 'ca.crt'), '-untrusted', leaf, leaf])
    expect(stdout.trim()).toBe(`${leaf}: OK`)
    const [ofCertificate, ofKey] = await Promise.all([
      run('openssl', ['x509', '-in', leaf, '-noout', '-pubkey']),
      run('openssl', ['pkey', '-in', join(target, 'tls.key'), '-pubout']),
    ])
    expect(ofKey.stdout).toBe(ofCertificate.stdout)
  }
  process.kill(-child.pid!, 'SIGINT')
  expect((await ended)[0]).toBe(0)
  expect(await exists(kept!.socket)).toBe(false)
})
