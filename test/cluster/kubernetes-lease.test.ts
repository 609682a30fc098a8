import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import { StallingProxy } from '../../src/kubernetes/fixtures/stalling-proxy.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { LeaseLostError, type LeaseOptions, runAsLeader } from '../../src/kubernetes/lease.ts'
import type { ObjectName } from '../../src/kubernetes/object.ts'
import { leases } from '../../src/kubernetes/resource.ts'
import { Daemon } from './daemon.ts'
import { apply, kubectl } from './kubectl.ts'
import { until } from './until.ts'

const { controlPlane } = inject('cluster')
const namespace = `lease-${Math.random().toString(36).slice(2, 10)}`
let client: KubernetesClient

beforeAll(async () => {
  client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
})

afterAll(async () => {
  await client.close()
  await kubectl(controlPlane, ['delete', 'namespace', '--wait=false', namespace])
})

const quick = { leaseDuration: 3_000, renewDeadline: 2_000, retryPeriod: 500 }

/** One process that stands for a lease, and works until it is told to stop. */
class Candidate {
  isLeading = false
  readonly ended: Promise<unknown>
  readonly #stopping = new AbortController()

  constructor(identity: string, lease: ObjectName, more: Partial<LeaseOptions> = {}) {
    const work = async (leading: AbortSignal): Promise<void> => {
      this.isLeading = true
      if (!leading.aborted) await once(leading, 'abort')
      this.isLeading = false
    }
    this.ended = runAsLeader({ client, lease, identity, ...quick, ...more }, work, this.#stopping.signal).catch(
      (error: unknown) => error,
    )
  }

  async stop(): Promise<unknown> {
    this.#stopping.abort(new Error('stopped'))
    return await this.ended
  }
}

async function holder(lease: ObjectName): Promise<string | undefined> {
  return (await client.get(leases, lease)).spec?.holderIdentity
}

test('of two candidates one leads; when it stops, it gives the lease back and the other leads', async () => {
  const lease = { namespace, name: 'two' }
  const [one, two] = [new Candidate('one', lease), new Candidate('two', lease)]
  await until('a leader', () => one.isLeading || two.isLeading)
  const [leader, other] = one.isLeading ? [one, two] : [two, one]
  const first = await client.get(leases, lease)
  expect(first.spec).toMatchObject({ leaseDurationSeconds: 3, leaseTransitions: 0 })
  expect(first.spec?.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  await until('a renewal', async () => (await client.get(leases, lease)).spec?.renewTime !== first.spec?.renewTime)
  expect(other.isLeading).toBe(false)
  expect(await leader.stop()).toBeUndefined()
  await until('the other to lead', () => other.isLeading)
  expect((await client.get(leases, lease)).spec).toMatchObject({ leaseTransitions: 1 })
  await other.stop()
  expect(await holder(lease)).toBe('')
})

test('a leader whose connection went silent gives up before another may lead', async () => {
  const lease = { namespace, name: 'silent' }
  const config = await loadKubeconfig({ path: controlPlane.adminKubeconfig })
  const proxy = await StallingProxy.start(Number(new URL(controlPlane.server).port))
  const cutOff = new KubernetesClient({ ...config, server: `https://127.0.0.1:${proxy.port}` })
  const order: string[] = []
  const silent = new Candidate('silent', lease, { client: cutOff })
  await until('the first to lead', () => silent.isLeading)
  void silent.ended.then(() => order.push('silent has ended'))
  const other = new Candidate('other', lease)
  proxy.stall()
  await until('the other to lead', () => other.isLeading && order.push('other leads'))
  expect(order).toEqual(['silent has ended', 'other leads'])
  expect(await silent.ended).toBeInstanceOf(LeaseLostError)
  await other.stop()
  await cutOff.close()
  await proxy.close()
})

test('a lease that somebody takes away, or deletes, is lost or taken again', async () => {
  const lease = { namespace, name: 'robbed' }
  const candidate = new Candidate('victim', lease)
  await until('it to lead', () => candidate.isLeading)
  await client.delete(leases, lease)
  await until('the lease to be back', () => holder(lease))
  expect(candidate.isLeading).toBe(true)
  const now = new Date().toISOString().replace('Z', '000Z')
  const spec = { holderIdentity: 'robber', leaseDurationSeconds: 60, acquireTime: now, renewTime: now }
  await client.apply(leases, { metadata: lease, spec }, { fieldManager: 'robber', force: true })
  expect(await candidate.ended).toBeInstanceOf(LeaseLostError)
  expect(candidate.isLeading).toBe(false)
  expect(await holder(lease)).toBe('robber')
})

/** A real candidate of client-go's: a controller manager with next to nothing to do, which stands for a lease of any name. */
async function startManager(lease: ObjectName): Promise<Daemon> {
  return await Daemon.start(
    join(controlPlane.kubectl, '../kube-controller-manager'),
    [
      `--kubeconfig=${controlPlane.adminKubeconfig}`,
      '--secure-port=0',
      '--controllers=ttl-controller',
      '--leader-elect=true',
      `--leader-elect-resource-namespace=${lease.namespace}`,
      `--leader-elect-resource-name=${lease.name}`,
      '--leader-elect-lease-duration=3s',
      '--leader-elect-renew-deadline=2s',
      '--leader-elect-retry-period=500ms',
    ],
    { log: join(controlPlane.directory, `log/${lease.name}`) },
  )
}

test('a lease that client-go holds is left alone, and taken when its holder has died', async () => {
  const lease = { namespace, name: 'go-first' }
  const manager = await startManager(lease)
  const name = await until('the manager to lead', () => holder(lease), { orFail: manager.failure() })
  const holders: string[] = []
  const candidate = new Candidate('ours', lease, { onHolder: (identity) => void holders.push(identity) })
  await until('our candidate to see it', () => holders.length > 0)
  const seen = (await client.get(leases, lease)).spec?.renewTime
  await until('a renewal', async () => (await client.get(leases, lease)).spec?.renewTime !== seen)
  expect(candidate.isLeading).toBe(false)
  await manager.close('SIGKILL')
  await until('our candidate to lead', () => candidate.isLeading)
  expect(holders).toEqual([name, 'ours'])
  expect((await client.get(leases, lease)).spec).toMatchObject({ holderIdentity: 'ours', leaseTransitions: 1 })
  await candidate.stop()
})

test('client-go leaves a lease of ours alone, and takes it when it is given back', async () => {
  const lease = { namespace, name: 'ours-first' }
  const candidate = new Candidate('ours', lease)
  await until('our candidate to lead', () => candidate.isLeading)
  const manager = await startManager(lease)
  const isWaiting = async () => /[Aa]ttempting to acquire leader lease/.test(await readFile(manager.log, 'utf8'))
  await until('the manager to want it', isWaiting, { orFail: manager.failure() })
  const seen = (await client.get(leases, lease)).spec?.renewTime
  await until('a renewal', async () => (await client.get(leases, lease)).spec?.renewTime !== seen)
  expect(await holder(lease)).toBe('ours')
  await candidate.stop()
  await until('the manager to lead', async () => !['', 'ours'].includes((await holder(lease)) ?? ''))
  expect((await client.get(leases, lease)).spec).toMatchObject({ leaseDurationSeconds: 3, leaseTransitions: 1 })
  await manager.close('SIGKILL')
})
