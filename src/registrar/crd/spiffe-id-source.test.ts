import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Entry } from '../../spire/entry.ts'
import { entryId } from '../sync/entry-id.ts'
import {
  aliasRoot,
  goodSpec,
  now,
  ownId,
  registrarNamespace,
  rules,
  serverId,
  spiffeId,
  spiffeIdObject,
} from './fixtures/spiffe-ids.ts'
import { spiffeIdEntry } from './spiffe-id-entry.ts'
import type { SpiffeIdObject, SpiffeIdSpec } from './spiffe-id-resource.ts'
import { SpiffeIdSource } from './spiffe-id-source.ts'

const ids = { prefix: 'podpass', cluster: 'demo' }
const never = new AbortController().signal
const plain = { federated: undefined, serviceNames: [] }

/** @param live - what the API server holds at this moment */
function source(live: readonly SpiffeIdObject[] = []): SpiffeIdSource {
  return new SpiffeIdSource({
    rules: rules(),
    ids,
    former: { serverId, aliasRoot, cluster: 'demo' },
    ownId,
    surroundings: () => plain,
    client: {
      get: async (_resource: unknown, { name }: { name: string }) => {
        const found = live.find(({ metadata }) => metadata.name === name)
        if (found === undefined) throw new ApiError('GET', 404, { reason: 'NotFound' }, undefined)
        return found as never
      },
      pages: async function* () {
        yield { items: live as never, resourceVersion: '1' }
      },
    },
  })
}

function entry(spec: SpiffeIdSpec = goodSpec(), changes: Partial<Entry> = {}): Entry {
  return { ...spiffeIdEntry(spec, plain).spec, id: 'e1', revision: 0n, admin: false, ...changes }
}

const key = (name: string): string => `spiffeid/shop/${name}`
const ending = (name: string, changes: Partial<SpiffeIdObject> = {}) =>
  spiffeId(name, { ...changes, metadata: { deletionTimestamp: '2026-11-22T10:00:00Z' } })

test('a SpiffeID renders to its entry, and to none once its deletion has begun', () => {
  const all = source()
  expect([...all.show(spiffeId('a'))]).toEqual([key('a')])
  expect(all.render(key('a'))).toEqual(spiffeIdEntry(goodSpec(), plain))
  expect([...all.show(ending('a'))]).toEqual([key('a')])
  expect(all.render(key('a'))).toEqual({ is: 'none', reason: 'the SpiffeID is being deleted' })
  expect([...all.remove(ending('a'))]).toEqual([key('a')])
  expect(all.render(key('a'))).toMatchObject({ is: 'none' })
})

test('a status that is written makes nothing dirty', () => {
  const all = source()
  all.show(spiffeId('a'))
  expect([...all.show(spiffeId('a', { status: { entryId: 'e1' } }))]).toEqual([])
  expect([...all.show(spiffeId('a', { metadata: { generation: 2 } }))]).toEqual([key('a')])
})

test('the younger of two that ask for the same entry waits until the older one goes', () => {
  const all = source()
  const younger = { metadata: { creationTimestamp: new Date(now + 5000).toISOString() } }
  all.show(spiffeId('b', younger))
  expect([...all.show(spiffeId('a'))].toSorted()).toEqual([key('a'), key('b')])
  expect(all.render(key('a'))).toMatchObject({ is: 'entry' })
  expect(all.render(key('b'))).toEqual({
    is: 'problem',
    problem: 'Duplicate detected: SpiffeID shop/a has the same SPIFFE ID, parent and selectors',
  })
  // The entry that both name in their status is the older one's: nothing of the younger one takes it away.
  all.show(spiffeId('b', { ...younger, status: { entryId: 'e1' } }))
  expect(all.keyOf(entry())).toBe(key('a'))
  expect([...all.show(ending('a'))].toSorted()).toEqual([key('a'), key('b')])
  expect(all.render(key('b'))).toMatchObject({ is: 'entry' })
  expect(all.keyOf(entry())).toBe(key('b'))
})

test('one that breaks a rule holds nothing against others', () => {
  const all = source()
  all.show(spiffeId('a', { spec: goodSpec({ dnsNames: ['a b'] }) }))
  all.show(spiffeId('b', { metadata: { creationTimestamp: new Date(now + 5000).toISOString() } }))
  expect(all.render(key('b'))).toMatchObject({ is: 'entry' })
})

test("a workload under an alias that a SpiffeID of the registrar's namespace names follows it, whichever comes first", () => {
  const all = source()
  const parentId = 'spiffe://example.org/rack/9'
  const rack = spiffeId('rack', {
    spec: { spiffeId: parentId, parentId: serverId, selector: { cluster: 'demo' } },
    metadata: { namespace: registrarNamespace },
  })
  all.show(spiffeId('a', { spec: goodSpec({ parentId }) }))
  expect(all.violation(spiffeId('a', { spec: goodSpec({ parentId }) }))?.reason).toBe('ParentNotAllowed')
  expect([...all.show(rack)]).toContain(key('a'))
  expect(all.render(key('a'))).toMatchObject({ is: 'entry' })
  expect(all.rank('spiffeid/spire/rack')).toBe(0)
  expect(all.rank(key('a'))).toBe(1)
  expect([...all.remove(rack)]).toContain(key('a'))
  expect(all.render(key('a'))).toMatchObject({ is: 'problem' })
})

describe('a SpiffeID that breaks a rule', () => {
  const bad = goodSpec({ parentId: serverId })

  test('keeps the last good entry', () => {
    const all = source()
    all.show(spiffeId('a', { spec: bad }))
    const problem = { is: 'problem', problem: 'x', entry: entry() } as const
    expect(all.settled(key('a'), problem)).toBe(false)
    expect(all.render(key('a'))).toMatchObject({ is: 'problem' })
  })

  test('loses an entry that breaks the rules itself, and gets one again once it is mended', () => {
    const all = source()
    all.show(spiffeId('a', { spec: bad }))
    const problem = { is: 'problem', problem: 'x', entry: entry(bad) } as const
    expect(all.settled(key('a'), problem)).toBe(true)
    expect(all.settled(key('a'), problem)).toBe(false)
    expect(all.render(key('a'))).toMatchObject({ is: 'none' })
    all.show(spiffeId('a', { metadata: { generation: 2 } }))
    expect(all.render(key('a'))).toMatchObject({ is: 'entry' })
  })
})

describe('an entry belongs to', () => {
  test('the SpiffeID whose status names it', () => {
    const all = source()
    all.show(spiffeId('a', { status: { entryId: 'e1' } }))
    expect(all.keyOf(entry(goodSpec({ parentId: serverId })))).toBe(key('a'))
  })

  test("nobody, where the status of another namespace's SpiffeID names it", () => {
    const all = source()
    all.show(spiffeId('a', { status: { entryId: 'e1' } }))
    const other = entry(goodSpec({ selector: { namespace: 'bank', podName: 'vault-0' } }))
    expect(all.keyOf(other)).toBeUndefined()
  })

  test.each<[string, Partial<Entry>]>([
    ['an administrator', { admin: true }],
    ['the registrar itself', { spiffeId: ownId }],
  ])('nobody, where it makes %s', (_what, changes) => {
    const all = source()
    all.show(spiffeId('a', { status: { entryId: 'e1' } }))
    expect(all.keyOf(entry(goodSpec(), changes))).toBeUndefined()
  })

  test('nobody, where somebody else made it and it is just like one of ours', () => {
    const all = source()
    all.show(spiffeId('a'))
    expect(all.keyOf(entry())).toBeUndefined()
  })

  test('the SpiffeID that asks for it, where its id is one of ours', () => {
    const all = source()
    all.show(spiffeId('a'))
    expect(all.keyOf(entry(goodSpec(), { id: entryId(ids, key('a'), 'u', 0) }))).toBe(key('a'))
  })

  test('itself, where its id is one of ours and no SpiffeID asks for it', () => {
    const id = entryId(ids, key('a'), 'u', 0)
    expect(source().keyOf(entry(goodSpec(), { id }))).toBe(`entry/${id}`)
  })

  test("a pod's SpiffeID, where the former registrar made it and never told", () => {
    const all = source()
    const spec = goodSpec({ selector: { podUid: 'p1', namespace: 'shop', nodeName: 'n1' } })
    expect(all.keyOf(entry(spec))).toBe('entry/e1')
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'p1', controller: true }
    all.show(spiffeId('a', { spec, metadata: { ownerReferences: [owner] } }))
    expect(all.keyOf(entry(spec))).toBe(key('a'))
  })
})

describe('before an entry is deleted', () => {
  test('its SpiffeID is looked at', async () => {
    const live = [spiffeIdObject('there'), spiffeIdObject('going', { metadata: { deletionTimestamp: 'x' } })]
    const keys = [key('there'), key('going'), key('gone')]
    expect([...(await source(live).confirmGone(keys, never))]).toEqual([key('going'), key('gone')])
  })

  test('a deletion that has begun is believed', async () => {
    const all = source([spiffeIdObject('a')])
    all.show(ending('a'))
    expect([...(await all.confirmGone([key('a')], never))]).toEqual([key('a')])
  })

  test('no SpiffeID may name it', async () => {
    const all = source([spiffeIdObject('a', { status: { entryId: 'e1' } })])
    expect([...(await all.confirmGone(['entry/e1', 'entry/e2'], never))]).toEqual(['entry/e2'])
  })

  test('trouble is no answer', async () => {
    const all = source()
    const broken = new SpiffeIdSource({
      rules: rules(),
      ids,
      former: { serverId, aliasRoot, cluster: 'demo' },
      ownId,
      surroundings: () => plain,
      client: {
        get: async () => {
          throw new ApiError('GET', 503, {}, undefined)
        },
        pages: async function* () {},
      },
    })
    await expect(broken.confirmGone([key('a')], never)).rejects.toThrow('503')
    expect(all.render(key('a'))).toMatchObject({ is: 'none' })
  })
})

test('in whatever order SpiffeIDs come and go, what each renders to depends on what there is alone', () => {
  const names = ['a', 'b', 'c'] as const
  const spec = fc.constantFrom<SpiffeIdSpec>(
    goodSpec(),
    goodSpec({ spiffeId: 'spiffe://example.org/other' }),
    goodSpec({ parentId: serverId }),
  )
  const step = fc.record({ name: fc.constantFrom(...names), spec: fc.option(spec), ends: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const all = source()
      const there = new Map<string, ReturnType<typeof spiffeId>>()
      const rendered = new Map<string, unknown>()
      const drain = (dirty: Iterable<string>): void => {
        for (const one of dirty) rendered.set(one, all.render(one))
      }
      for (const [index, { name, spec: wanted, ends }] of steps.entries()) {
        const before = there.get(name)
        if (wanted === null) {
          if (before !== undefined) drain(all.remove(before))
          there.delete(name)
          continue
        }
        const metadata = {
          uid: before?.uid ?? `${name}-${index}`,
          generation: index,
          creationTimestamp: new Date(before?.createdAt ?? now + index * 1000).toISOString(),
          ...(ends && { deletionTimestamp: 'x' }),
        }
        const next = spiffeId(name, { spec: wanted, metadata })
        there.set(name, next)
        drain(all.show(next))
      }
      const fresh = source()
      for (const resource of there.values()) fresh.show(resource)
      for (const name of names) {
        expect(all.render(key(name))).toEqual(fresh.render(key(name)))
        // Whoever was told which keys are dirty knows the same.
        expect(rendered.get(key(name)) ?? fresh.render(key(name))).toEqual(fresh.render(key(name)))
      }
    }),
  )
})
