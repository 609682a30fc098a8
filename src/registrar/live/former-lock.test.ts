import { expect, test } from 'vitest'
import { ApiError } from '../../kubernetes/errors.ts'
import type { ConfigMap, KubernetesObject } from '../../kubernetes/object.ts'
import { configMaps, leases } from '../../kubernetes/resource.ts'
import { formerLockClient } from './former-lock.ts'

const name = { namespace: 'spire', name: 'spire-k8s-registrar-leader-election' }
const annotation = 'control-plane.alpha.kubernetes.io/leader'

/** A ConfigMap as client-go leaves it. */
const held: ConfigMap = {
  metadata: {
    ...name,
    resourceVersion: '7',
    annotations: {
      [annotation]:
        '{"holderIdentity":"registrar-0_1","leaseDurationSeconds":15,"acquireTime":"2022-11-22T10:00:00Z","renewTime":"2022-11-22T10:00:10Z","leaderTransitions":3}',
      'example.org/kept': 'yes',
    },
  },
  data: { kept: 'too' },
}

function clientOf(object: KubernetesObject) {
  const written: KubernetesObject[] = []
  const client = {
    get: async () => object,
    create: async (_: unknown, created: KubernetesObject) => created,
    update: async (_: unknown, updated: KubernetesObject) => {
      written.push(updated)
      return updated
    },
  }
  // Only what is called here is there.
  return { calls: formerLockClient(client as unknown as Parameters<typeof formerLockClient>[0], configMaps), written }
}

test('the record of a ConfigMap reads as a Lease', async () => {
  const lease = await clientOf(held).calls.get(leases, name)
  expect(lease.spec).toEqual({
    holderIdentity: 'registrar-0_1',
    leaseDurationSeconds: 15,
    acquireTime: '2022-11-22T10:00:00Z',
    renewTime: '2022-11-22T10:00:10Z',
    leaseTransitions: 3,
  })
})

test('a claim is written as client-go writes it, under the version that was read, and everything else stays', async () => {
  const { calls, written } = clientOf(held)
  const lease = await calls.get(leases, name)
  const time = '2026-11-22T11:00:00.123000Z'
  const spec = { ...lease.spec, holderIdentity: 'podpass', acquireTime: time, renewTime: time, leaseTransitions: 4 }
  const answered = await calls.update(leases, { ...lease, spec })
  const [object] = written as readonly ConfigMap[]
  expect(object).toMatchObject({
    metadata: { resourceVersion: '7', annotations: { 'example.org/kept': 'yes' } },
    data: { kept: 'too' },
  })
  expect(JSON.parse(object?.metadata.annotations?.[annotation] ?? '')).toEqual({
    holderIdentity: 'podpass',
    leaseDurationSeconds: 15,
    acquireTime: '2026-11-22T11:00:00Z',
    renewTime: '2026-11-22T11:00:00Z',
    leaderTransitions: 4,
  })
  expect(answered.spec?.holderIdentity).toBe('podpass')
})

test.each([undefined, '', 'no JSON', '[]', 'null'])(
  'a record that nobody can read is held by nobody: %s',
  async (text) => {
    const annotations = text === undefined ? {} : { [annotation]: text }
    const { calls } = clientOf({ metadata: { ...name, annotations } })
    expect((await calls.get(leases, name)).spec?.holderIdentity).toBeUndefined()
  },
)

test('an object that is not there is not there', async () => {
  const missing = Object.assign(Object.create(ApiError.prototype) as ApiError, { status: 404 })
  const client = {
    get: () => Promise.reject(missing),
    create: () => Promise.reject(missing),
    update: () => Promise.reject(missing),
  }
  const calls = formerLockClient(client, configMaps)
  await expect(calls.get(leases, name)).rejects.toBe(missing)
})
