import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createCaIssuer } from './cert-manager.ts'
import { DriverProcess, installDriver, type LogEntry } from './driver-process.ts'
import { kubectl } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { deletePod, type Pod, runPod } from './pod.ts'
import { until } from './until.ts'

// What whoever operates the driver sees of it: the manifests that ship, probes, metrics, inspect and renew.

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'operating'
let driver: DriverProcess
let pod: Pod
let port: unknown

beforeAll(async () => {
  await createNamespace(controlPlane, namespace)
  await createCaIssuer(controlPlane, namespace, 'ca-issuer')
  await installDriver(controlPlane)
  driver = await DriverProcess.start(cluster, ['--metrics-bind-address=127.0.0.1:0'])
  port = (await driver.logged(({ message }) => message === 'serving metrics', 0))['port']
  const attributes = {
    'csi.cert-manager.io/issuer-name': 'ca-issuer',
    'csi.cert-manager.io/dns-names': 'web.operating.svc',
  }
  pod = await runPod(cluster, {
    namespace,
    name: 'web',
    volumes: { tls: { driver: 'csi.cert-manager.io', attributes } },
  })
})

afterAll(async () => {
  if (pod !== undefined) await deletePod(controlPlane, pod)
  await driver?.stop()
})

async function page(path: string): Promise<string> {
  const answered = await fetch(`http://127.0.0.1:${String(port)}${path}`)
  return `${answered.status} ${await answered.text()}`
}

test('the API server takes the manifests that ship', async () => {
  const folder = join(import.meta.dirname, '../../deploy/driver')
  const answered = await kubectl(controlPlane, ['apply', '--dry-run=server', '--validate=strict', '-f', folder])
  const lines = answered.trim().split('\n')
  for (const line of lines) expect(line).toMatch(/ (created|configured|unchanged) \(server dry run\)$/)
  const names = ['daemonset.apps/podpass-driver', 'csidriver.storage.k8s.io/csi.cert-manager.io', 'namespace/podpass']
  expect(lines.map((line) => line.split(' ')[0])).toEqual(expect.arrayContaining(names))
})

test('a driver that the kubelet has registered is ready, and its metrics tell of its volume', async () => {
  expect(await page('/healthz')).toBe('200 ok\n')
  expect(await page('/readyz')).toBe('200 ok\n')
  const metrics = await page('/metrics')
  for (const line of [
    'podpass_ready 1',
    'podpass_volumes{state="issued"} 1',
    'certmanager_csi_managed_volume_count 1',
    'certmanager_csi_issue_requests_total 1',
    'certmanager_csi_managed_certificate_request_count 1',
    'certmanager_csi_certificate_request_ready_status{condition="True"} 1',
    'podpass_issuance_phase_duration_seconds_count{phase="wait"} 1',
    'podpass_publish_duration_seconds_count{outcome="OK"} 1',
  ]) {
    expect(metrics.split('\n')).toContain(line)
  }
})

test('inspect shows the volume, and renew gives it another certificate', async () => {
  const list = async () =>
    JSON.parse(await driver.ask('inspect', '--output', 'json')) as [{ volumeId: string; issued: { serial: string } }]
  const [{ volumeId, issued }] = await list()
  const table = await driver.ask('inspect')
  expect(table).toMatch(
    new RegExp(
      `^operating/web +${volumeId.slice(0, 16)} +issued +in 29d23h \\(.*Z\\) +in \\d+d.*Issuer/ca-issuer$`,
      'm',
    ),
  )
  expect(await driver.ask('renew', volumeId.slice(0, 16))).toMatch(/^renewing operating\/web /)
  const isRenewed = ({ message, volume }: LogEntry): boolean => message === 'certificate renewed' && volume === volumeId
  await driver.logged(isRenewed, 0)
  await until('the new certificate to be listed', async () => (await list())[0].issued.serial !== issued.serial)
  expect((await page('/metrics')).split('\n')).toContain('podpass_renewals_total{outcome="success"} 1')
})
