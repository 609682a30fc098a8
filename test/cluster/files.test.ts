import { createPrivateKey, X509Certificate } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, driverName, installDriver } from './driver-process.ts'
import { createNamespace } from './namespace.ts'
import { deletePod, execInPod, type Pod, type PodSecurityContext, runPod } from './pod.ts'

// The files as containers see them: whose they are, who may read them, and that nobody may write (docs/attributes.md, Files).

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'files'
const attributes = {
  'csi.cert-manager.io/issuer-name': 'ca-issuer',
  'csi.cert-manager.io/key-algorithm': 'ECDSA',
  'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc.cluster.local',
  'csi.cert-manager.io/pkcs12-enable': 'true',
  'csi.cert-manager.io/pkcs12-password': 'changeit',
}
const names = ['ca.crt', 'keystore.p12', 'tls.crt', 'tls.key', 'truststore.p12']
const user = 1000
const group = 2000

let driver: DriverProcess
let running: Pod | undefined

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster)
})

afterEach(async () => {
  if (running !== undefined) await deletePod(controlPlane, running)
})

afterAll(() => driver?.stop())

async function start(
  name: string,
  securityContext: PodSecurityContext,
  more: Readonly<Record<string, string>> = {},
): Promise<Pod> {
  const volumes = { tls: { driver: driverName, attributes: { ...attributes, ...more } } }
  running = await runPod(cluster, { namespace, name, volumes, securityContext })
  return running
}

function inPod(pod: Pod, script: string): Promise<string> {
  return execInPod(controlPlane, pod, 'sh', '-c', script)
}

/** Each file with its mode, owner and group, and the folder `.` that they stand in; as root sees them. */
async function statesOf(pod: Pod): Promise<Readonly<Record<string, string>>> {
  const told = await inPod(pod, "cd /tls && stat -L -c '%n %a %u:%g' . ..data *")
  const lines = told.trim().split('\n')
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', ...state] = line.split(' ')
      return [name, state.join(' ')]
    }),
  )
}

/** What {@link statesOf} tells of files that a group may read. */
function ownedBy(gid: number): Readonly<Record<string, string>> {
  const files = names.map((name) => [name, `440 0:${gid}`])
  return { '.': `550 0:${gid}`, '..data': `550 0:${gid}`, ...Object.fromEntries(files) }
}

describe.each<[string, PodSecurityContext, Readonly<Record<string, string>>]>([
  ["the pod's fsGroup", { runAsUser: user, fsGroup: group }, {}],
  [
    'the attribute fs-group, in a container of that group',
    { runAsUser: user, supplementalGroups: [group] },
    { 'csi.cert-manager.io/fs-group': `${group}` },
  ],
  [
    "the attribute fs-group, which goes before the pod's fsGroup",
    { runAsUser: user, runAsGroup: group, fsGroup: 3000 },
    { 'csi.cert-manager.io/fs-group': `${group}` },
  ],
])('by %s', (_by, securityContext, more) => {
  test('a user who is not root reads key, certificate, CA and keystore, and writes nothing', async () => {
    const pod = await start('with-group', securityContext, more)

    expect((await inPod(pod, 'id -u')).trim()).toBe(`${user}`)
    const [chain, key, ca, keystore] = await Promise.all([
      inPod(pod, 'cat /tls/tls.crt'),
      inPod(pod, 'cat /tls/tls.key'),
      inPod(pod, 'cat /tls/ca.crt'),
      inPod(pod, 'base64 /tls/keystore.p12'),
    ])
    const leaf = new X509Certificate(chain)
    expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true)
    expect(leaf.verify(new X509Certificate(ca).publicKey)).toBe(true)
    // A SEQUENCE with a length of two bytes, whose version is 3 (RFC 7292 §4).
    expect(Buffer.from(keystore, 'base64').toString('hex')).toMatch(/^3082....020103/)
    expect(await statesOf(pod)).toEqual(ownedBy(group))
    await expect(inPod(pod, 'echo forged > /tls/tls.crt')).rejects.toThrow(/Read-only file system|Permission denied/)
  })
})

test('without fs-group, the files are for root and its group alone', async () => {
  const stranger = await start('of-a-user', { runAsUser: user, runAsGroup: user })
  for (const name of names) {
    await expect(inPod(stranger, `cat /tls/${name}`)).rejects.toThrow('Permission denied')
  }
  await expect(inPod(stranger, 'ls /tls')).rejects.toThrow('Permission denied')
  await deletePod(controlPlane, stranger)

  // A user without a group of its own, in the image or in runAsGroup, is one of group 0.
  const groupless = await start('of-a-user-alone', { runAsUser: user })
  expect((await inPod(groupless, 'id -g')).trim()).toBe('0')
  expect(await inPod(groupless, 'cat /tls/tls.key')).toContain('PRIVATE KEY')
  await deletePod(controlPlane, groupless)

  const root = await start('of-root', {})
  expect(await statesOf(root)).toEqual(ownedBy(0))
  expect(await inPod(root, 'cat /tls/tls.key')).toContain('PRIVATE KEY')
})

test('root in the container neither writes, renames nor removes a file, nor remounts its volume to do so', async () => {
  const pod = await start('of-root', {})
  const attempts = [
    'touch /tls/more',
    'echo forged > /tls/tls.crt',
    'rm /tls/tls.key',
    'mv /tls/..data /tls/old',
    'chmod 0777 /tls',
    'ln -s /etc /tls/etc',
  ]
  for (const attempt of attempts) await expect(inPod(pod, attempt)).rejects.toThrow('Read-only file system')
  await expect(inPod(pod, 'mount -o remount,rw /tls')).rejects.toThrow(/permission denied|Operation not permitted/i)
  const [, , , options = ''] = (await inPod(pod, 'grep " /tls " /proc/mounts')).split(' ')
  expect(options.split(',')).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev', 'noexec']))
})
