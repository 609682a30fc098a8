import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type {
  BundleService,
  Entry,
  EntryFilter,
  EntryResult,
  EntryService,
  EntrySpec,
  NewEntry,
} from '../../src/spire/entry.ts'
import { comparable } from './comparable-entry.ts'

/** A server, and a client of it, that may do everything. Its trust domain is `example.org`. */
export interface EntryServer extends AsyncDisposable {
  readonly entries: EntryService
  readonly bundles: BundleService
  /** Gives the server the bundle of another trust domain. */
  addBundle(trustDomain: string): Promise<void>
  /** Creates an entry that makes an administrator of its holder, as an operator does. */
  createAdministrator(entry: NewEntry): Promise<void>
}

const signal = AbortSignal.timeout(600_000)

/**
 * What a registrar relies on of a SPIRE server's Entry API, as tests: of the real server, and of whatever stands in for it.
 *
 * @param start - starts an empty server
 */
export function testEntryService(start: () => Promise<EntryServer>): void {
  let server: EntryServer

  beforeAll(async () => {
    server = await start()
    await server.addBundle('one.test')
    await server.addBundle('two.test')
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  /** An entry of which there is no similar one. */
  const newEntry = (changes: Partial<NewEntry> = {}): NewEntry => {
    const unique = randomUUID()
    return {
      id: `test.${unique}`,
      spiffeId: `spiffe://example.org/workload/${unique}`,
      parentId: 'spiffe://example.org/node/one',
      selectors: [
        { type: 'k8s', value: 'ns:shop' },
        { type: 'k8s', value: `pod-uid:${unique}` },
      ],
      dnsNames: [],
      federatesWith: [],
      downstream: false,
      ...changes,
    }
  }

  const create = async (...wanted: readonly NewEntry[]): Promise<readonly Entry[]> => {
    const results = await server.entries.create(wanted, signal)
    expect(results.map(({ code, message }) => [code, message])).toEqual(wanted.map(() => [0, 'OK']))
    return results.map(({ entry }) => entry as Entry)
  }

  const list = async (filter: EntryFilter): Promise<readonly Entry[]> => {
    const listed: Entry[] = []
    for await (const page of server.entries.list(filter, signal)) listed.push(...page)
    return listed
  }

  const createOne = async (changes: Partial<NewEntry> = {}): Promise<Entry> => {
    const wanted = newEntry(changes)
    await create(wanted)
    return comparable({ ...wanted, revision: 0n, admin: false })
  }

  /** What the server holds of a SPIFFE ID. */
  const find = async (spec: EntrySpec): Promise<readonly Entry[]> =>
    (await list({ spiffeId: spec.spiffeId })).map(comparable)

  describe('create', () => {
    test('answers with the entry as it is held, under the id that the client chose', async () => {
      const wanted = newEntry({
        dnsNames: ['web-0', 'a.web.shop.svc', '*.shop.svc', 'A', 'web.shop'],
        federatesWith: ['two.test', 'one.test'],
        downstream: true,
      })
      const created = await create(wanted)
      const held = { ...wanted, revision: 0n, admin: false }
      expect(created.map(comparable)).toEqual([comparable(held)])
      expect(await find(wanted)).toEqual([comparable(held)])
    })

    test.each(['id-._09AZ', 'x'.repeat(255)])('takes the id %s', async (id) => {
      const wanted = newEntry({ id })
      expect(await create(wanted)).toMatchObject([{ id }])
      await server.entries.delete([id], signal)
    })

    test('answers for each item in its place, and creates what it can', async () => {
      const [first, bad, last] = [newEntry(), newEntry({ selectors: [] }), newEntry()]
      const results = await server.entries.create([first, bad, last], signal)
      expect(results.map(({ code, entry }) => [code, entry?.id])).toEqual([
        [0, first.id],
        [3, undefined],
        [0, last.id],
      ])
      expect(await find(last)).toHaveLength(1)
    })

    test('hands back the similar entry that stands in the way, whatever else of it differs, and leaves it as it is', async () => {
      const existing = await createOne({ dnsNames: ['z', 'a'] })
      const { spiffeId, parentId, selectors } = existing
      const similar = { spiffeId, parentId, selectors: selectors.toReversed() }
      for (const wanted of [
        newEntry({ ...similar, dnsNames: ['second'], downstream: true }),
        // As after a call of which nobody knows what became of it.
        newEntry({ ...similar, id: existing.id }),
      ]) {
        const [result] = await server.entries.create([wanted], signal)
        expect(result).toMatchObject({ code: 6, message: 'similar entry already exists' })
        expect(result?.entry && comparable(result.entry)).toEqual(existing)
      }
      expect(await find(existing)).toEqual([existing])
    })

    test('creates beside an entry that differs in its SPIFFE ID, its parent or its selectors alone', async () => {
      const { spiffeId, parentId, selectors } = await createOne()
      const more = [...selectors, { type: 'k8s', value: 'sa:web' }]
      const created = await create(
        newEntry({ parentId, selectors }),
        newEntry({ spiffeId, selectors, parentId: 'spiffe://example.org/node/other' }),
        newEntry({ spiffeId, parentId }),
        newEntry({ spiffeId, parentId, selectors: more }),
        newEntry({ spiffeId, parentId, selectors: selectors.slice(1) }),
      )
      expect(new Set(created.map(({ id }) => id)).size).toBe(5)
    })

    test('does not hand back the entry that has the id already', async () => {
      const { id } = await createOne()
      const [result] = await server.entries.create([newEntry({ id })], signal)
      expect(result).toEqual({ code: 6, message: expect.stringMatching(/^failed to create entry: .*UNIQUE/) })
    })

    test.each<readonly [string, Partial<NewEntry>]>([
      ['a DNS name', { dnsNames: ['twice', 'twice'] }],
      ['a selector', { selectors: [1, 2].map(() => ({ type: 'k8s', value: 'ns:twice' })) }],
    ])('refuses %s that is there twice as if the entry existed', async (_, changes) => {
      const wanted = newEntry(changes)
      const [result] = await server.entries.create([wanted], signal)
      expect(result).toEqual({ code: 6, message: expect.stringMatching(/^failed to create entry: .*UNIQUE/) })
      expect(await find(wanted)).toEqual([])
    })

    test('holds a trust domain once that is there twice', async () => {
      expect(await create(newEntry({ federatesWith: ['one.test', 'one.test'] }))).toMatchObject([
        { federatesWith: ['one.test'] },
      ])
    })

    test('takes a parent that does not exist, is the server or is an agent', async () => {
      const parents = ['/nowhere', '/spire/server', '/spire/agent/k8s_psat/demo/1'].map((path) =>
        newEntry({ parentId: `spiffe://example.org${path}` }),
      )
      expect((await create(...parents)).map(({ parentId }) => parentId)).toEqual(parents.map((entry) => entry.parentId))
    })

    test.each(invalid)('refuses as invalid %j', async (changes, problem) => {
      const wanted = newEntry(changes)
      const [result] = await server.entries.create([wanted], signal)
      expect(result).toEqual({ code: 3, message: expect.stringContaining(problem) })
      expect(result?.message).toMatch(/^failed to (convert|create) entry: /)
    })

    test.each([...goodNames, ...oddNames])('takes the DNS name %j', async (name) => {
      const { spiffeId, dnsNames } = await createOne({ dnsNames: ['z', name] })
      expect(await list({ spiffeId })).toMatchObject([{ dnsNames }])
    })

    test('fails where it has no bundle of a federated trust domain, and creates nothing', async () => {
      const wanted = newEntry({ federatesWith: ['one.test', 'missing.test'] })
      const [result] = await server.entries.create([wanted], signal)
      expect(result).toEqual({
        code: 13,
        message: 'failed to create entry: unable to find federated bundle "spiffe://missing.test"',
      })
      expect(await find(wanted)).toEqual([])
    })
  })

  describe('update', () => {
    test('writes the fields that it names and no other', async () => {
      const before = await createOne({ dnsNames: ['old'], federatesWith: ['one.test'], downstream: true })
      const wanted = newEntry({ id: before.id, dnsNames: ['new', 'a'] })
      const results = await server.entries.update([{ ...wanted, fields: ['dnsNames'] }], signal)
      const after = { ...before, dnsNames: ['new', 'a'], revision: 1n }
      expect(results.map(answer)).toEqual([{ code: 0, message: 'OK', entry: after }])
      expect(await find(before)).toEqual([after])
    })

    test('may change every field, so that another entry is similar to it', async () => {
      const existing = await createOne({ dnsNames: ['old'] })
      const changed = await createOne({ federatesWith: ['one.test'] })
      const { spiffeId, parentId, selectors } = existing
      const names = { dnsNames: ['z', 'a'], federatesWith: ['two.test'] }
      const wanted = { ...changed, spiffeId, parentId, selectors, ...names, downstream: true }
      const fields = ['spiffeId', 'parentId', 'selectors', 'dnsNames', 'federatesWith', 'downstream'] as const
      const results = await server.entries.update([{ ...wanted, fields }], signal)
      const after = { ...wanted, revision: 1n }
      expect(results.map(answer)).toEqual([{ code: 0, message: 'OK', entry: after }])
      expect(await find(wanted)).toEqual([existing, after])
    })

    test('empties what it is told to', async () => {
      const before = await createOne({ dnsNames: ['a'], federatesWith: ['one.test'], downstream: true })
      const wanted = { ...before, dnsNames: [], federatesWith: [], downstream: false }
      await server.entries.update([{ ...wanted, fields: ['dnsNames', 'federatesWith', 'downstream'] }], signal)
      expect(await find(before)).toEqual([{ ...wanted, revision: 1n }])
    })

    test('counts a revision up, also where it changes nothing', async () => {
      const before = await createOne()
      for (const revision of [1n, 2n]) {
        const results = await server.entries.update([{ ...before, fields: ['downstream'] }], signal)
        expect(results).toMatchObject([{ code: 0, entry: { revision } }])
      }
    })

    test('answers for each item in its place, whichever fields each names', async () => {
      const [first, second, third] = [await createOne(), await createOne(), await createOne()]
      const results = await server.entries.update(
        [
          { ...first, dnsNames: ['first'], downstream: true, fields: ['dnsNames'] },
          { ...second, dnsNames: ['second'], downstream: true, fields: ['downstream'] },
          { ...newEntry(), fields: ['dnsNames'] },
          { ...third, dnsNames: ['third'], downstream: true, fields: ['dnsNames'] },
        ],
        signal,
      )
      expect(results.map(({ code, entry }) => [code, entry?.id, entry?.dnsNames, entry?.downstream])).toEqual([
        [0, first.id, ['first'], false],
        [0, second.id, [], true],
        [5, undefined, undefined, undefined],
        [0, third.id, ['third'], false],
      ])
    })

    test('lets an administrator stay one', async () => {
      const wanted = newEntry()
      await server.createAdministrator(wanted)
      expect(await find(wanted)).toMatchObject([{ id: wanted.id, admin: true }])
      const results = await server.entries.update([{ ...wanted, dnsNames: ['a'], fields: ['dnsNames'] }], signal)
      expect(results).toMatchObject([{ code: 0, entry: { admin: true, dnsNames: ['a'] } }])
    })

    test('does not find an entry that is not there', async () => {
      const results = await server.entries.update([{ ...newEntry(), fields: ['dnsNames'] }], signal)
      expect(results).toEqual([{ code: 5, message: 'failed to update entry' }])
    })

    test('refuses what is invalid of the fields that it names, and changes nothing', async () => {
      const before = await createOne()
      const wrong = { ...before, dnsNames: ['-not-a-name'], selectors: [], spiffeId: 'spiffe://other.test/a' }
      const results = await server.entries.update(
        [
          { ...wrong, fields: ['dnsNames'] },
          { ...wrong, fields: ['selectors'] },
          { ...wrong, fields: ['spiffeId', 'parentId'] },
          { ...wrong, fields: ['downstream'] },
        ],
        signal,
      )
      expect(results.map(({ code }) => code)).toEqual([3, 3, 3, 0])
      expect(results[1]?.message).toBe('failed to convert entry: selector list is empty')
      expect(await find(before)).toEqual([{ ...before, revision: 1n }])
    })

    test('fails where it has no bundle of a federated trust domain, and changes nothing', async () => {
      const before = await createOne({ federatesWith: ['one.test'] })
      const wanted = { ...before, federatesWith: ['missing.test'], dnsNames: ['a'] }
      const results = await server.entries.update([{ ...wanted, fields: ['federatesWith', 'dnsNames'] }], signal)
      expect(results).toEqual([
        { code: 13, message: 'failed to update entry: unable to find federated bundle "spiffe://missing.test"' },
      ])
      expect(await find(before)).toEqual([before])
    })

    test('refuses a DNS name that is there twice, and changes nothing', async () => {
      const before = await createOne({ dnsNames: ['a'] })
      const results = await server.entries.update([{ ...before, dnsNames: ['b', 'b'], fields: ['dnsNames'] }], signal)
      expect(results).toEqual([{ code: 6, message: expect.stringMatching(/^failed to update entry: .*UNIQUE/) }])
      expect(await find(before)).toEqual([before])
    })
  })

  describe('delete', () => {
    test('answers for each id in its place', async () => {
      const [first, last] = [await createOne(), await createOne()]
      const results = await server.entries.delete([first.id, 'nobody', '', first.id, last.id], signal)
      expect(results).toEqual([
        { code: 0, message: 'OK', id: first.id },
        { code: 5, message: 'entry not found', id: 'nobody' },
        { code: 3, message: 'missing entry ID', id: '' },
        { code: 5, message: 'entry not found', id: first.id },
        { code: 0, message: 'OK', id: last.id },
      ])
      expect(await find(first)).toEqual([])
    })

    test('leaves the id free for an entry that counts its revisions anew', async () => {
      const wanted = newEntry()
      await create(wanted)
      await server.entries.update([{ ...wanted, fields: ['dnsNames'] }], signal)
      await server.entries.delete([wanted.id], signal)
      expect(await create(wanted)).toMatchObject([{ id: wanted.id, revision: 0n }])
    })
  })

  describe('list', () => {
    test('finds by parent, by SPIFFE ID, by exactly these selectors, and by all of them together', async () => {
      const parentId = `spiffe://example.org/node/${randomUUID()}`
      const one = await createOne({ parentId })
      const more = [...one.selectors, { type: 'k8s', value: 'sa:web' }]
      const two = await createOne({ parentId, selectors: more })
      const three = await createOne({ selectors: one.selectors })
      const found = async (filter: EntryFilter): Promise<readonly string[]> => (await list(filter)).map(({ id }) => id)

      expect(await found({ parentId })).toEqual([one.id, two.id])
      expect(await found({ spiffeId: three.spiffeId })).toEqual([three.id])
      expect(await found({ selectors: one.selectors.toReversed() })).toEqual([one.id, three.id])
      expect(await found({ selectors: one.selectors.slice(1) })).toEqual([])
      expect(await found({ parentId, selectors: one.selectors })).toEqual([one.id])
      expect(await found({ parentId, spiffeId: three.spiffeId })).toEqual([])
    })

    test('goes through all pages to the last, and finds each entry once', async () => {
      const parentId = `spiffe://example.org/node/${randomUUID()}`
      const wanted = Array.from({ length: 1_100 }, () => newEntry({ parentId }))
      await create(...wanted)
      expect((await list({ parentId })).map(({ id }) => id)).toEqual(wanted.map(({ id }) => id))
      // The server looks at selectors after it has cut its pages, so all but one of these pages may be empty.
      const last = wanted.at(-1) as NewEntry
      expect(await list({ parentId, selectors: last.selectors })).toMatchObject([{ id: last.id }])
      const pages: string[][] = []
      for await (const page of server.entries.list({}, signal)) pages.push(page.map(({ id }) => id))
      expect(pages.length).toBeGreaterThan(1)
      expect(new Set(pages.flat()).size).toBe(pages.flat().length)
      expect(pages.flat()).toEqual(expect.arrayContaining(wanted.map(({ id }) => id)))
    })

    test('keeps the place of an entry that is updated', async () => {
      const parentId = `spiffe://example.org/node/${randomUUID()}`
      const [one, two] = [await createOne({ parentId }), await createOne({ parentId })]
      await server.entries.update([{ ...one, dnsNames: ['b', 'a'], fields: ['dnsNames'] }], signal)
      const listed = await list({ parentId })
      expect(listed).toMatchObject([{ id: one.id, dnsNames: ['b', 'a'] }, { id: two.id }])
    })

    test.each<readonly [EntryFilter, string]>([
      [{ spiffeId: 'spiffe://example.org/spire/server' }, 'malformed SPIFFE ID filter'],
      [{ spiffeId: 'spiffe://other.test/a' }, 'malformed SPIFFE ID filter'],
      [{ parentId: 'spiffe://example.org' }, 'malformed parent ID filter'],
      [{ selectors: [] }, 'malformed selectors filter: empty selector set'],
    ])('refuses %j', async (filter, problem) => {
      await expect(list(filter)).rejects.toThrow(problem)
    })
  })

  test('the federated trust domains are those whose bundles it holds, and not its own', async () => {
    expect(await server.bundles.federatedTrustDomains(signal)).toEqual(new Set(['one.test', 'two.test']))
  })

  test('a call whose signal is aborted rejects', async () => {
    const aborted = AbortSignal.abort()
    await expect(server.entries.create([newEntry()], aborted)).rejects.toThrow(/abort|cancel/i)
    await expect(server.entries.update([{ ...newEntry(), fields: ['dnsNames'] }], aborted)).rejects.toThrow(
      /abort|cancel/i,
    )
    await expect(server.entries.delete(['a'], aborted)).rejects.toThrow(/abort|cancel/i)
    await expect(server.entries.list({}, aborted)[Symbol.asyncIterator]().next()).rejects.toThrow(/abort|cancel/i)
    await expect(server.bundles.federatedTrustDomains(aborted)).rejects.toThrow(/abort|cancel/i)
  })
}

function answer(result: EntryResult): EntryResult {
  return { ...result, ...(result.entry && { entry: comparable(result.entry) }) }
}

const root = 'spiffe://example.org'

const labels = ['x'.repeat(63), 'x'.repeat(63), 'x'.repeat(63)].join('.')
const goodNames = [
  'web-0.web.shop.svc',
  '*.shop.svc',
  'A',
  '1',
  '192.0.2.1',
  'xn--nxasmq6b',
  `${labels}.${'x'.repeat(61)}`,
]
/** Nobody's names, and the server takes them: whoever wants certificates with valid names has to see to it. */
const oddNames = ['a_b', 'a b', ' a', 'a/b', 'a\nb', 'a\0b', '*. a']
const badNames = [
  '',
  ' ',
  '-a',
  'a-',
  'a.-b',
  'a.',
  '.a',
  'a..b',
  '*',
  '*a',
  '*.',
  'a.*.b',
  '*.*.b',
  'é',
  'ab--c',
  'xn--a',
  'x'.repeat(64),
  `${labels}.${'x'.repeat(62)}`,
]

/** What is wrong with an entry, and what the server says of it. */
const invalid: readonly (readonly [Partial<NewEntry>, string])[] = [
  [{ spiffeId: root }, 'path is empty'],
  [{ spiffeId: 'spiffe://other.test/a' }, 'is not a member of trust domain "example.org"'],
  [{ spiffeId: `${root}/spire` }, 'path is in the reserved namespace'],
  [{ spiffeId: `${root}/spire/agent/a` }, 'path is in the reserved namespace'],
  [{ spiffeId: `${root}/a//b` }, 'invalid spiffe ID'],
  [{ spiffeId: `${root}/a/` }, 'invalid spiffe ID'],
  [{ spiffeId: `${root}/a/../b` }, 'invalid spiffe ID'],
  [{ spiffeId: `${root}/a%20b` }, 'invalid spiffe ID'],
  [{ parentId: root }, 'invalid parent ID'],
  [{ parentId: 'spiffe://other.test/a' }, 'invalid parent ID'],
  [{ parentId: `${root}/a b` }, 'invalid parent ID'],
  [{ selectors: [] }, 'selector list is empty'],
  [{ selectors: [{ type: '', value: 'ns:shop' }] }, 'missing selector type'],
  [{ selectors: [{ type: 'k8s:ns', value: 'shop' }] }, "selector type contains ':'"],
  [{ selectors: [{ type: 'k8s', value: '' }] }, 'missing selector value'],
  ...badNames.map((name) => [{ dnsNames: ['ok', name] }, 'invalid DNS name'] as const),
  ...['', 'A.test', 'a b', 'spiffe:/x', 'a/b'].map(
    (name) => [{ federatesWith: [name] }, 'invalid federated trust domain'] as const,
  ),
  [{ id: 'a/b' }, 'entry ID contains invalid characters'],
  [{ id: 'a b' }, 'entry ID contains invalid characters'],
  [{ id: 'é' }, 'entry ID contains invalid characters'],
  [{ id: 'x'.repeat(256) }, 'entry ID too long'],
]
