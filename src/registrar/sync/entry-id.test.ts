import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { entryId, isOwnEntryId } from './entry-id.ts'
import { isOwned } from './ownership.ts'

const part = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '_', '0'), minLength: 1, maxLength: 12 })

test('no entry of one cluster or prefix is taken for one of another', () => {
  fc.assert(
    fc.property(part, part, part, part, fc.string(), (prefix, cluster, otherPrefix, otherCluster, key) => {
      const id = entryId({ prefix, cluster }, key, 'uid', 0)
      expect(isOwnEntryId({ prefix, cluster }, id)).toBe(true)
      const isSame = `${prefix}.${cluster}` === `${otherPrefix}.${otherCluster}`
      expect(isOwnEntryId({ prefix: otherPrefix, cluster: otherCluster }, id)).toBe(isSame)
    }),
  )
})

test('ids are of the form that a server takes, also for the longest names, and tell incarnations and attempts apart', () => {
  const scheme = { prefix: 'p'.repeat(64), cluster: 'c'.repeat(250) }
  const ids = [
    entryId(scheme, 'pod/shop/web', 'u1', 0),
    entryId(scheme, 'pod/shop/web', 'u1', 1),
    entryId(scheme, 'pod/shop/web', 'u2', 0),
    entryId({ ...scheme, cluster: 'd'.repeat(250) }, 'pod/shop/web', 'u1', 0),
  ]
  expect(new Set(ids).size).toBe(4)
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9\-._]{1,255}$/)
})

test("an entry under a root is the registrar's, one under a name that goes on where the root ends is not", () => {
  const ownership = {
    ids: { prefix: 'podpass', cluster: 'demo' },
    roots: ['spiffe://example.org/spire-k8s-registrar/demo/node'],
    exactly: ['spiffe://example.org/alias'],
    ownId: 'spiffe://example.org/spire-k8s-registrar/demo/node/self',
  }
  const entry = {
    id: '8c1f1f3e-5f5e-4f5e-8f5e-5f5e4f5e8f5e',
    spiffeId: 'spiffe://example.org/ns/shop/sa/web',
    parentId: 'spiffe://example.org/spire-k8s-registrar/demo/node/n1',
    selectors: [],
    dnsNames: [],
    federatesWith: [],
    downstream: false,
    revision: 0n,
    admin: false,
  }
  expect(isOwned(entry, ownership)).toBe(true)
  expect(isOwned({ ...entry, admin: true }, ownership)).toBe(false)
  expect(isOwned({ ...entry, spiffeId: ownership.ownId }, ownership)).toBe(false)
  expect(isOwned({ ...entry, parentId: 'spiffe://example.org/spire-k8s-registrar/demo/node-x/n1' }, ownership)).toBe(
    false,
  )
  expect(isOwned({ ...entry, parentId: 'spiffe://example.org/alias' }, ownership)).toBe(true)
  expect(isOwned({ ...entry, parentId: 'spiffe://example.org/alias/n1' }, ownership)).toBe(false)
})
