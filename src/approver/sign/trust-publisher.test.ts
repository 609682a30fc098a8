import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { ClusterTrustBundle } from '../../kubernetes/certificates.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { KubernetesObject, ObjectName } from '../../kubernetes/object.ts'
import { clusterTrustBundles, configMaps, describeObject, type Resource } from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { hour, minute, now as start, testAuthority } from '../../x509/test-pki.ts'
import { TrustConfigMaps } from './trust-config-maps.ts'
import { TrustPublisher, TrustWithdrawnError } from './trust-publisher.ts'
import { bundleName, maySignFrom, rootsOf, TrustBundleError } from './trust-roots.ts'

const signerName = 'example.com/serving'
const propagation = 5 * minute
const signal = new AbortController().signal

/** Objects with versions, as the API server keeps them; a write may be cut off before or after it takes effect. */
class ModelApi {
  readonly objects = new Map<string, KubernetesObject>()
  /** Counts down with each write; the write that finds it at zero is cut off. */
  crash: { writes: number; readonly after: boolean } | undefined
  #version = 0

  readonly client = {
    get: async (resource: Resource, name: ObjectName) => {
      await Promise.resolve()
      const found = this.objects.get(describeObject(resource, name))
      if (found === undefined) throw new ApiError(`GET ${name.name}`, 404, { reason: 'NotFound' }, undefined)
      return structuredClone(found)
    },
    create: (resource: Resource, object: KubernetesObject) => this.#write(resource, object, false),
    update: (resource: Resource, object: KubernetesObject) => this.#write(resource, object, true),
  } as unknown as Pick<KubernetesClient, 'get' | 'create' | 'update'>

  bundle(): ClusterTrustBundle | undefined {
    return this.objects.get(`ClusterTrustBundle ${bundleName(signerName)}`) as ClusterTrustBundle | undefined
  }

  async #write(resource: Resource, object: KubernetesObject, isThere: boolean): Promise<KubernetesObject> {
    await Promise.resolve()
    const crash = this.crash
    const isCut = crash !== undefined && crash.writes-- === 0
    if (isCut && !crash.after) throw new Error('crashed before the write')
    const { name = '', namespace, resourceVersion } = object.metadata
    const key = describeObject(resource, { name, namespace })
    const before = this.objects.get(key)
    const isBad = isThere ? before?.metadata.resourceVersion !== resourceVersion : before !== undefined
    if (isBad) throw new ApiError(`PUT ${key}`, 409, { reason: 'Conflict' }, undefined)
    const stored = structuredClone(object)
    this.objects.set(key, {
      ...stored,
      metadata: { ...stored.metadata, uid: key, resourceVersion: String(++this.#version) },
    })
    if (isCut) throw new Error('crashed after the write')
    return object
  }
}

function fixedClock(now: () => number): Clock {
  return { now, timer: () => ({ cancel: () => {} }) }
}

const cas = Array.from(
  { length: 4 },
  (_, index) => testAuthority(`root ${index}`, { lifetime: 400 * 24 * hour }).certificate,
)

function publisherOn(api: ModelApi, now: () => number, namespaces: readonly string[] = ['shop']): TrustPublisher {
  const { client } = api
  const maps = new TrustConfigMaps({
    client,
    signerName,
    name: 'trust',
    key: 'ca.crt',
    namespaces: () => namespaces,
    log: silentLog,
  })
  return new TrustPublisher({ signerName, client, clock: fixedClock(now), propagation, configMaps: maps })
}

type Step =
  | { readonly do: 'publish'; readonly roots: readonly number[] }
  | { readonly do: 'sign'; readonly root: number; readonly life: number }
  | { readonly do: 'wait'; readonly time: number }
  | { readonly do: 'restart' }
  | { readonly do: 'second leader' }
  | { readonly do: 'crash'; readonly writes: number; readonly after: boolean }

const root = fc.integer({ min: 0, max: cas.length - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      roots: fc.uniqueArray(root, { minLength: 1, maxLength: 2 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('sign' as const), root, life: fc.integer({ min: minute, max: 30 * hour }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      time: fc.oneof(fc.integer({ min: 1, max: 10 * minute }), fc.integer({ min: hour, max: 40 * hour })),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'second leader' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      writes: fc.integer({ min: 0, max: 3 }),
      after: fc.boolean(),
    }),
  },
)

function rootsIn(pem = ''): readonly string[] {
  return cas.filter((ca) => pem.includes(ca.pem)).map(({ fingerprint }) => fingerprint)
}

interface ServedLeaf {
  readonly root: string
  readonly end: number
}

test('no leaf is ever served whose root is not published, wherever the process crashes and whoever else publishes', async () => {
  let served = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const api = new ModelApi()
      let now = start
      const leaders = [publisherOn(api, () => now)]
      const leaves: ServedLeaf[] = []
      const wrong: string[] = []
      /** Since when a root has been in the bundle and in the ConfigMap without a gap. */
      const visible = new Map<string, number>()
      const look = (): void => {
        const map = api.objects.get('ConfigMap shop/trust') as { data?: Record<string, string> } | undefined
        const published = rootsIn(api.bundle()?.spec.trustBundle)
        const inMap = rootsIn(map?.data?.['ca.crt'])
        for (const fingerprint of visible.keys()) if (!published.includes(fingerprint)) visible.delete(fingerprint)
        for (const fingerprint of published) {
          if (inMap.includes(fingerprint) && !visible.has(fingerprint)) visible.set(fingerprint, now)
        }
      }
      const firstRoots = new Set<string>()
      for (const one of steps) {
        // The last leader works; those before it have not noticed yet that they lost the lease.
        const leader = leaders[one.do === 'sign' ? (one.root + one.life) % leaders.length : leaders.length - 1]
        if (leader === undefined) throw new Error('no leader')
        switch (one.do) {
          case 'wait':
            now += one.time
            break
          case 'crash':
            api.crash = { writes: one.writes, after: one.after }
            break
          case 'restart':
            leaders.splice(
              0,
              leaders.length,
              publisherOn(api, () => now),
            )
            break
          case 'second leader':
            leaders.push(publisherOn(api, () => now))
            break
          case 'publish': {
            const isNew = api.bundle() === undefined
            const roots = one.roots.flatMap((index) => cas[index] ?? [])
            if (isNew) for (const { fingerprint } of roots) firstRoots.add(fingerprint)
            await leader.publish(roots, signal).catch(() => {})
            break
          }
          case 'sign': {
            const ready = cas.filter((ca) => (leader.maySignFrom(ca) ?? Infinity) <= now)
            const ca = ready[one.root % ready.length]
            if (ca === undefined) break
            const end = now + one.life
            const isReserved = await leader.reserve(ca, end, signal).then(
              () => true,
              () => false,
            )
            look()
            if (!isReserved) break
            served += 1
            const since = visible.get(ca.fingerprint)
            if (since === undefined) wrong.push('served without trust')
            else if (!firstRoots.has(ca.fingerprint) && now - since < propagation) wrong.push('served too soon')
            leaves.push({ root: ca.fingerprint, end })
          }
        }
        look()
        if (leaves.some(({ root, end }) => end >= now && !visible.has(root)))
          wrong.push('a root went before its leaves')
      }
      expect(wrong).toEqual([])
    }),
    { numRuns: 500 },
  )
  expect(served).toBeGreaterThan(300)
}, 60_000)

test('the first root of a new signer signs at once, and a later one when it has been published for long enough', async () => {
  const api = new ModelApi()
  let now = start
  const publisher = publisherOn(api, () => now)
  const [first, second] = cas
  if (first === undefined || second === undefined) throw new Error('no CAs')
  await publisher.publish([first], signal)
  expect(publisher.maySignFrom(first)).toBe(start)
  now += hour
  await publisher.publish([second, first], signal)
  expect(publisher.maySignFrom(second)).toBe(now + propagation)
  // Somebody who starts anew reads the same.
  const other = publisherOn(api, () => now + minute)
  await other.publish([second], signal)
  expect(other.maySignFrom(second)).toBe(now + propagation)
})

test('a root stays until its last leaf has ended, and goes then', async () => {
  const api = new ModelApi()
  let now = start
  const publisher = publisherOn(api, () => now)
  const [first, second] = cas
  if (first === undefined || second === undefined) throw new Error('no CAs')
  await publisher.publish([first], signal)
  await publisher.reserve(first, now + 10 * hour, signal)
  await publisher.publish([second], signal)
  now += 10 * hour
  await publisher.publish([second], signal)
  expect(publisher.roots.map(({ certificate }) => certificate.subject)).toEqual([first.subject, second.subject])
  now += 2 * hour
  await publisher.publish([second], signal)
  expect(publisher.roots.map(({ certificate }) => certificate.subject)).toEqual([second.subject])
  const map = api.objects.get('ConfigMap shop/trust') as { data?: Record<string, string> } | undefined
  expect(map?.data).toEqual({ 'ca.crt': second.pem })
  await expect(publisher.reserve(first, now + hour, signal)).rejects.toThrow(TrustWithdrawnError)
})

test('one write reserves for many leaves', async () => {
  const api = new ModelApi()
  const publisher = publisherOn(api, () => start)
  const [first] = cas
  if (first === undefined) throw new Error('no CA')
  await publisher.publish([first], signal)
  await publisher.reserve(first, start + hour, signal)
  const version = api.bundle()?.metadata.resourceVersion
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => publisher.reserve(first, start + hour + index * minute, signal)),
  )
  expect(api.bundle()?.metadata.resourceVersion).toBe(version)
})

test('what somebody took out is published again, and signs once it has been there long enough', async () => {
  const api = new ModelApi()
  let now = start
  const publisher = publisherOn(api, () => now)
  const [first, second] = cas
  if (first === undefined || second === undefined) throw new Error('no CAs')
  await publisher.publish([first], signal)
  await publisher.reserve(first, now + 10 * hour, signal)
  await publisher.publish([second], signal)
  api.objects.clear()
  now += minute
  await publisher.publish([second], signal)
  const [old, young] = rootsOf(api.bundle() as ClusterTrustBundle)
  expect([old?.certificate.subject, young?.certificate.subject]).toEqual([first.subject, second.subject])
  for (const root of [old, young]) expect(root && maySignFrom(root, propagation)).toBe(now + propagation)
})

test('who lost the lease unawares does not sign with a root that was published anew since', async () => {
  const api = new ModelApi()
  let now = start
  const [first, second] = cas
  if (first === undefined || second === undefined) throw new Error('no CAs')
  const stale = publisherOn(api, () => now)
  await stale.publish([first], signal)
  const leader = publisherOn(api, () => now)
  await leader.publish([second], signal)
  now += hour
  await leader.publish([first], signal)
  expect(stale.maySignFrom(first)).toBeLessThan(now)
  await expect(stale.reserve(first, now + hour, signal)).rejects.toThrow(TrustWithdrawnError)
})

test('a bundle or ConfigMap of somebody else is left as it is; other namespaces get theirs', async () => {
  const api = new ModelApi()
  const [first] = cas
  if (first === undefined) throw new Error('no CA')
  await api.client.create(configMaps, { metadata: { namespace: 'shop', name: 'trust' } })
  const { client } = api
  const maps = new TrustConfigMaps({
    client,
    signerName,
    name: 'trust',
    key: 'ca.crt',
    namespaces: () => ['shop', 'bank'],
    log: silentLog,
  })
  const publisher = new TrustPublisher({
    signerName,
    client,
    clock: fixedClock(() => start),
    propagation,
    configMaps: maps,
  })
  await publisher.publish([first], signal)
  expect(api.objects.get('ConfigMap shop/trust')).not.toHaveProperty('data')
  expect(api.objects.get('ConfigMap bank/trust')).toHaveProperty('data')
  expect([...maps.refused.keys()]).toEqual(['shop'])

  const foreign = new ModelApi()
  const theirs = { metadata: { name: bundleName(signerName) }, spec: { signerName, trustBundle: first.pem } }
  await foreign.client.create(clusterTrustBundles, theirs)
  await expect(publisherOn(foreign, () => start).publish([first], signal)).rejects.toThrow(TrustBundleError)
  expect(foreign.bundle()?.metadata.labels).toBeUndefined()
})

test('a bundle whose notes cannot be read is left as it is', async () => {
  const api = new ModelApi()
  const [first] = cas
  if (first === undefined) throw new Error('no CA')
  const publisher = publisherOn(api, () => start)
  await publisher.publish([first], signal)
  const bundle = api.bundle()
  if (bundle === undefined) throw new Error('no bundle')
  for (const notes of ['{', '[1]', '{"x":1}', JSON.stringify({ [first.fingerprint]: { retireAfter: 'soon' } })]) {
    api.objects.set(`ClusterTrustBundle ${bundleName(signerName)}`, {
      ...bundle,
      metadata: { ...bundle.metadata, annotations: { 'podpass.io/roots': notes } },
    })
    await expect(publisher.publish([first], signal)).rejects.toThrow(TrustBundleError)
  }
})
