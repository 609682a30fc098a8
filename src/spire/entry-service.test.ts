import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EntryStore } from '../../test/support/entry-store.ts'
import type { EntryFault } from '../../test/support/memory-entries.ts'
import { StandInServer } from '../../test/support/spire-server.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Entry, EntryService, NewEntry } from './entry.ts'
import { entryService } from './entry-service.ts'
import { ServerClient } from './server-client.ts'

const signal = AbortSignal.timeout(60_000)

let folder: string
let store: EntryStore
let server: StandInServer
let client: ServerClient
let entries: EntryService
let fault: EntryFault | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-spire-'))
  const path = join(folder, 'api.sock')
  store = new EntryStore({ trustDomain: 'example.org' })
  fault = undefined
  server = new StandInServer({ store, before: async () => fault })
  await server.listen(path)
  client = new ServerClient({ endpoint: { by: 'socket', path }, trustDomain: 'example.org', clock: systemClock })
  entries = entryService(client)
})

afterEach(async () => {
  client.close()
  server.kill()
  await rm(folder, { recursive: true })
})

function newEntries(count: number, changes: Partial<NewEntry> = {}): NewEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `test.${index}`,
    spiffeId: `spiffe://example.org/workload/${index}`,
    parentId: 'spiffe://example.org/node/one',
    selectors: [{ type: 'k8s', value: `pod-uid:${index}` }],
    dnsNames: [],
    federatesWith: [],
    downstream: false,
    ...changes,
  }))
}

test('a listing comes in pages of 1,000, and ends with the page that has no token', async () => {
  for (const entry of newEntries(2500)) store.create(entry)
  const pages: (readonly Entry[])[] = []
  for await (const page of entries.list({}, signal)) pages.push(page)
  expect(pages.map((page) => page.length)).toEqual([1000, 1000, 500])
  expect(server.calls).toHaveLength(4)
})

test('a listing that is left asks for no more', async () => {
  for (const entry of newEntries(1500)) store.create(entry)
  for await (const page of entries.list({}, signal)) {
    expect(page).toHaveLength(1000)
    break
  }
  expect(server.calls).toHaveLength(1)
})

test('entries that no message holds go in several, and their results come in their order', async () => {
  const dnsNames = Array.from({ length: 80 }, (_, index) => `${`${'x'.repeat(60)}.`.repeat(4)}n${index}`)
  const wanted = newEntries(250, { dnsNames })
  const results = await entries.create(wanted, signal)
  expect(results.map(({ entry }) => entry?.id)).toEqual(wanted.map(({ id }) => id))
  const sizes = server.calls.map(({ items }) => items)
  expect(sizes.length).toBeGreaterThan(2)
  expect(sizes.reduce((sum, size) => sum + size)).toBe(250)
})

test('updates of the same fields go in one call, and all results come in the order of the updates', async () => {
  const [a, b, c, d] = newEntries(4) as [NewEntry, NewEntry, NewEntry, NewEntry]
  await entries.create([a, b, c, d], signal)
  const results = await entries.update(
    [
      { ...a, dnsNames: ['a'], fields: ['dnsNames', 'downstream'] },
      { ...b, dnsNames: ['b'], downstream: true, fields: ['downstream'] },
      { ...c, dnsNames: ['c'], fields: ['downstream', 'dnsNames'] },
      { ...d, id: 'nobody', fields: ['downstream'] },
    ],
    signal,
  )
  expect(results.map(({ code, entry }) => [code, entry?.id, entry?.dnsNames])).toEqual([
    [0, a.id, ['a']],
    [0, b.id, []],
    [0, c.id, ['c']],
    [5, undefined, undefined],
  ])
  expect(server.calls.map(({ method, items }) => [method, items])).toEqual([
    ['create', 4],
    ['update', 2],
    ['update', 2],
  ])
})

test('nothing to write is no call', async () => {
  expect(await entries.create([], signal)).toEqual([])
  expect(await entries.update([], signal)).toEqual([])
  expect(await entries.delete([], signal)).toEqual([])
  expect(server.calls).toEqual([])
})

test('items that fail by themselves leave the others done', async () => {
  fault = { poison: new Set([1]) }
  const results = await entries.create(newEntries(3), signal)
  expect(results.map(({ code }) => code)).toEqual([0, 13, 0])
  expect(store.all().map(({ id }) => id)).toEqual(['test.0', 'test.2'])
})

test('an answer with fewer results than items is trouble with the call, not with the items', async () => {
  fault = { carriedOut: 1 }
  await expect(entries.create(newEntries(2), signal)).rejects.toThrow('1 results for 2 items')
})
