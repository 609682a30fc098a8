import type { MessageInitShape } from '@bufbuild/protobuf'
import { Entry as EntryApi, type ListEntriesRequest_FilterSchema } from '../gen/spire/api/server/entry/v1/entry_pb.ts'
import {
  type Entry as EntryMessage,
  SelectorMatch_MatchBehavior,
  type Status,
} from '../gen/spire/api/types/types_pb.ts'
import type {
  DeleteResult,
  Entry,
  EntryField,
  EntryFilter,
  EntryResult,
  EntryService,
  EntrySpec,
  EntryUpdate,
  NewEntry,
} from './entry.ts'
import { grpcStatus } from '../runtime/grpc-status.ts'
import { readEntry, readFields, writeEntry, writeFields, writeId } from './entry-message.ts'
import { SpireError } from './errors.ts'
import { listPages } from './list-pages.ts'
import type { ServerClient } from './server-client.ts'

const { listEntries, batchCreateEntry, batchUpdateEntry, batchDeleteEntry } = EntryApi.method

/** A server takes messages of up to 4 MiB; the rest is for what {@link weightOf} does not count. */
const heaviestRequest = 2 * 1024 * 1024

/**
 * The Entry API of a SPIRE server. Batches that no single message could hold, and updates of different fields, are several calls, one
 * after the other: the first that fails ends them.
 */
export function entryService(client: ServerClient): EntryService {
  return {
    async *list(filter, signal) {
      const request = { filter: writeFilter(filter), outputMask: readFields }
      const pages = listPages(
        (page) => client.call(listEntries, { ...request, ...page }, { signal, repeatable: true, timeout: 30_000 }),
        ({ entries }) => entries,
      )
      for await (const entries of pages) yield entries.map(readEntry)
    },

    async create(entries, signal) {
      return await inBatches(entries, weightOf, async (batch) => {
        const request = { entries: batch.map(writeEntry), outputMask: readFields }
        const { results } = await client.call(batchCreateEntry, request, { signal })
        return checkCount(client, 'Entry.BatchCreateEntry', results, batch).map((result, place) =>
          readResult(result, batch[place] as NewEntry),
        )
      })
    },

    async update(updates, signal) {
      const results: EntryResult[] = []
      for (const { fields, places } of byFields(updates)) {
        const group = places.map((place) => updates[place] as EntryUpdate)
        const inOrder = await inBatches(group, weightOf, async (batch) => {
          const entries = batch.map(writeEntry)
          const request = { entries, inputMask: writeFields(fields), outputMask: readFields }
          const { results } = await client.call(batchUpdateEntry, request, { signal })
          return checkCount(client, 'Entry.BatchUpdateEntry', results, batch).map((result, place) =>
            readResult(result, batch[place] as EntryUpdate),
          )
        })
        for (const [index, result] of inOrder.entries()) results[places[index] as number] = result
      }
      return results
    },

    async delete(ids, signal) {
      const weight = (id: string): number => id.length
      return await inBatches(ids, weight, async (batch) => {
        const { results } = await client.call(batchDeleteEntry, { ids: [...batch] }, { signal })
        return checkCount(client, 'Entry.BatchDeleteEntry', results, batch).map(readDeletion)
      })
    },
  }
}

function writeFilter({
  parentId,
  spiffeId,
  selectors,
}: EntryFilter): MessageInitShape<typeof ListEntriesRequest_FilterSchema> {
  return {
    ...(parentId !== undefined && { byParentId: writeId(parentId) }),
    ...(spiffeId !== undefined && { bySpiffeId: writeId(spiffeId) }),
    ...(selectors !== undefined && {
      bySelectors: {
        selectors: selectors.map(({ type, value }) => ({ type, value })),
        match: SelectorMatch_MatchBehavior.MATCH_EXACT,
      },
    }),
  }
}

/** Splits what is too heavy for one message, and puts the results together again. */
async function inBatches<Item, Result>(
  items: readonly Item[],
  weightOf: (item: Item) => number,
  send: (batch: readonly Item[]) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const results: Result[] = []
  let batch: Item[] = []
  let weight = 0
  for (const item of items) {
    const own = weightOf(item)
    if (batch.length > 0 && weight + own > heaviestRequest) {
      results.push(...(await send(batch)))
      batch = []
      weight = 0
    }
    batch.push(item)
    weight += own
  }
  if (batch.length > 0) results.push(...(await send(batch)))
  return results
}

/** Roughly how many bytes an entry takes in a message; texts outside ASCII, which the server refuses, may take thrice that. */
function weightOf({ spiffeId, parentId, selectors, dnsNames, federatesWith }: EntrySpec): number {
  const texts = [...dnsNames, ...federatesWith, ...selectors.flatMap(({ type, value }) => [type, value])]
  return texts.reduce((sum, text) => sum + text.length + 4, spiffeId.length + parentId.length + 300)
}

/** A call has one mask for all of its entries, so updates that write the same fields go together. */
function byFields(
  updates: readonly EntryUpdate[],
): readonly { readonly fields: readonly EntryField[]; readonly places: number[] }[] {
  const groups = new Map<string, { readonly fields: readonly EntryField[]; readonly places: number[] }>()
  for (const [place, { fields }] of updates.entries()) {
    const key = [...fields].sort().join()
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { fields, places: [place] })
    else group.places.push(place)
  }
  return [...groups.values()]
}

/** @param asked - the item that this is the result of */
function readResult(
  { status, entry }: { readonly status?: Status | undefined; readonly entry?: EntryMessage | undefined },
  asked: EntrySpec,
): EntryResult {
  const outcome = readStatus(status)
  if (entry === undefined) return outcome
  const held = readEntry(entry)
  return { ...outcome, entry: outcome.code === grpcStatus.OK ? inOrderOf(asked, held) : held }
}

/**
 * After a write, SPIRE answers with DNS names in the order of an index of its database (sqlstore modelToEntry), while it holds them in the
 * order in which they were written. Taken for the truth, that answer would make an entry look wrong for ever.
 */
function inOrderOf({ dnsNames }: EntrySpec, held: Entry): Entry {
  const names = new Set(held.dnsNames)
  const isSame = names.size === dnsNames.length && dnsNames.every((name) => names.has(name))
  return isSame ? { ...held, dnsNames } : held
}

function readDeletion({ status, id }: { readonly status?: Status | undefined; readonly id: string }): DeleteResult {
  return { ...readStatus(status), id }
}

function readStatus(status: Status | undefined): { readonly code: number; readonly message: string } {
  return { code: status?.code ?? grpcStatus.UNKNOWN, message: status?.message ?? 'the server gave no status' }
}

function checkCount<Result>(
  { address }: ServerClient,
  method: string,
  results: readonly Result[],
  asked: readonly unknown[],
): readonly Result[] {
  if (results.length === asked.length) return results
  const details = `the server gave ${results.length} results for ${asked.length} items`
  throw new SpireError({ status: grpcStatus.INTERNAL, method, address, details })
}
