import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import type { ClusterAccess } from './cluster.ts'
import { run } from './command.ts'
import { ControlPlane } from './control-plane.ts'
import { apply, kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { restartKubelet } from './node.ts'
import { deletePod, execInPod, runPod } from './pod.ts'
import { until } from './until.ts'

const cluster = inject('cluster')
const { controlPlane, node } = cluster

test('a pod runs on the real kubelet, with a network, and survives a restart of the kubelet', async () => {
  await createNamespace(controlPlane, 'harness')
  const pod = await runPod(cluster, { namespace: 'harness', name: 'plain' })
  expect(await execInPod(controlPlane, pod, 'ip', '-4', 'addr', 'show', 'eth0')).toMatch(/inet 198\.1[89]\./)
  const started = await execInPod(controlPlane, pod, 'stat', '-c', '%Y', '/proc/1')

  await restartKubelet(node)

  // It is well before it has heard from the API server which pods it has.
  const again = await until('the pod to be known again', () =>
    execInPod(controlPlane, pod, 'stat', '-c', '%Y', '/proc/1'),
  )
  expect(again).toBe(started)
  await deletePod(controlPlane, pod)
})

test('cert-manager signs a CertificateRequest and stamps who made it', async () => {
  await createNamespace(controlPlane, 'harness')
  const ca = await createCaIssuer(controlPlane, 'harness', 'ca-issuer')
  const directory = await mkdtemp(join(controlPlane.directory, 'request-'))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', join(directory, 'key')]
  const request = await run('openssl', ['req', '-new', ...key, '-subj', '/', '-addext', 'subjectAltName=DNS:a.test'])
  await apply(controlPlane, {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: { namespace: 'harness', name: 'plain' },
    spec: {
      request: Buffer.from(request).toString('base64'),
      issuerRef: { name: 'ca-issuer', kind: 'Issuer', group: 'cert-manager.io' },
    },
  })

  const name = ['certificaterequest/plain', '-n', 'harness']
  await kubectl(controlPlane, ['wait', ...name, '--for=condition=Ready', '--timeout=60s'])
  const { spec, status } = JSON.parse(await kubectl(controlPlane, ['get', ...name, '-o', 'json'])) as {
    readonly spec: { readonly username: string }
    readonly status: { readonly certificate: string }
  }
  expect(spec.username).toBe('admin')
  const certificate = new X509Certificate(Buffer.from(status.certificate, 'base64'))
  expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true)
  expect(certificate.checkHost('a.test')).toBe('a.test')
})

test('a second control plane runs beside the first; its API server stops and starts again at the same address', async () => {
  await using own = await ControlPlane.start()
  await createNamespace(own.access, 'kept')
  await own.stopApiServer()
  await expect(kubectl(own.access, ['get', 'namespaces'])).rejects.toThrow('refused')
  await own.startApiServer()
  expect(await kubectl(own.access, ['get', 'namespaces', '-o', 'name'])).toContain('namespace/kept')
  expect(await kubectl(controlPlane, ['get', 'namespaces', '-o', 'name'])).not.toContain('namespace/kept')
})

test.each(['closed', 'killed'])('a cluster that is %s leaves nothing on the machine', async (end) => {
  const program = spawn(process.execPath, [join(import.meta.dirname, 'lone-cluster.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(program, 'exit')
  const [line] = (await Promise.race([once(createInterface(program.stdout), 'line'), ended])) as [string]
  const lone = JSON.parse(line) as ClusterAccess & { readonly hostLink: number }
  expect(await traces(lone)).toEqual(
    expect.arrayContaining(['directory', 'directory', 'process', 'cgroup', 'network link']),
  )

  if (end === 'closed') program.stdin.end()
  else program.kill('SIGKILL')
  await ended

  await until('all traces to be gone', async () => (await traces(lone)).length === 0)
})

/** What there is on this machine of a cluster: one word a thing. */
async function traces(lone: ClusterAccess & { readonly hostLink: number }): Promise<readonly string[]> {
  const found: string[] = []
  const directories = [lone.controlPlane.directory, lone.node.directory]
  const cgroup = basename(lone.node.directory)
  for (const hierarchy of ['', ...(await readdir('/sys/fs/cgroup'))]) {
    if (await exists(join('/sys/fs/cgroup', hierarchy, cgroup))) found.push('cgroup')
  }
  for (const directory of directories) if (await exists(directory)) found.push('directory')
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  if (directories.some((directory) => mounts.includes(directory))) found.push('mount')
  for (const process of await readdir('/proc')) {
    const command = await readFile(`/proc/${process}/cmdline`, 'utf8').catch(() => '')
    if (directories.some((directory) => command.includes(directory))) found.push('process')
  }
  if (await exists(`/proc/${lone.node.pid}`)) found.push('process')
  for (const link of await readdir('/sys/class/net')) {
    const index = await readFile(join('/sys/class/net', link, 'ifindex'), 'utf8').catch(() => '')
    if (Number(index) === lone.hostLink) found.push('network link')
  }
  return found
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
