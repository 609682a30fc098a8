import type {
  DeleteResult,
  Entry,
  EntryFilter,
  EntryResult,
  EntryService,
  EntryUpdate,
  NewEntry,
} from '../../src/spire/entry.ts'
import { abortable } from '../../src/kubernetes/abortable.ts'
import { SpireError } from '../../src/spire/errors.ts'
import { filterProblem } from './entry-problem.ts'
import type { EntryStore } from './entry-store.ts'

/** A call as a fault sees it before the server does. */
export interface EntryCall {
  readonly method: 'list' | 'create' | 'update' | 'delete'
  /** How many items the call has; 0 for a listing. */
  readonly items: number
}

/** What goes wrong with a call. */
export interface EntryFault {
  /** How many items are carried out before the call ends with `error`: 0 for a refusal, all for a lost answer. @default {all} */
  readonly carriedOut?: number
  /** What the call rejects with; without it the call succeeds. */
  readonly error?: Error
  /** Items that fail by themselves, with INTERNAL, by their place. */
  readonly poison?: ReadonlySet<number>
}

export interface MemoryEntriesOptions {
  readonly store: EntryStore
  /** Awaited before each call and each page: a test decides here when a call arrives and what becomes of it. */
  readonly before?: (call: EntryCall, signal: AbortSignal) => Promise<EntryFault | undefined>
  /** Awaited before an answer goes back. */
  readonly after?: (call: EntryCall) => Promise<void>
  /** @default {1000} */
  readonly pageSize?: number
}

/** An entry service without a wire: {@link EntryStore} behind the seam of src/spire, with faults. */
export class MemoryEntries implements EntryService {
  /** Every call that has arrived, in order. */
  readonly calls: EntryCall[] = []
  readonly #options: MemoryEntriesOptions

  constructor(options: MemoryEntriesOptions) {
    this.#options = options
  }

  async *list(filter: EntryFilter, signal: AbortSignal): AsyncGenerator<readonly Entry[], void, void> {
    const { store, pageSize = 1000 } = this.#options
    const problem = filterProblem(filter, store.trustDomain)
    if (problem !== undefined) {
      throw new SpireError({ status: 3, method: 'Entry.ListEntries', address: 'memory', details: problem })
    }
    let row = 0
    for (;;) {
      signal.throwIfAborted()
      await abortable(this.#arrive({ method: 'list', items: 0 }, signal), signal)
      const { entries, lastRow } = store.page(filter, row, pageSize)
      if (lastRow === row) return
      row = lastRow
      const page = entries.map(asSeen)
      await abortable(this.#options.after?.({ method: 'list', items: 0 }) ?? Promise.resolve(), signal)
      yield page
    }
  }

  async create(entries: readonly NewEntry[], signal: AbortSignal): Promise<readonly EntryResult[]> {
    return await this.#batch('create', entries, signal, (entry) => {
      return this.#asSeen(this.#options.store.create(entry))
    })
  }

  async update(updates: readonly EntryUpdate[], signal: AbortSignal): Promise<readonly EntryResult[]> {
    return await this.#batch('update', updates, signal, (update) => {
      const change = Object.fromEntries(update.fields.map((field) => [field, update[field]]))
      return this.#asSeen(this.#options.store.update(update.id, change))
    })
  }

  async delete(ids: readonly string[], signal: AbortSignal): Promise<readonly DeleteResult[]> {
    return await this.#batch('delete', ids, signal, (id) => this.#options.store.delete(id))
  }

  /** The client of the real server puts the DNS names of an answer in the order in which the server holds them. */
  #asSeen(result: EntryResult): EntryResult {
    const held = result.entry && this.#options.store.get(result.entry.id)
    return held === undefined ? result : { ...result, entry: asSeen(held) }
  }

  async #batch<Item, Result extends { readonly code: number; readonly message: string }>(
    method: EntryCall['method'],
    items: readonly Item[],
    signal: AbortSignal,
    carryOut: (item: Item) => Result,
  ): Promise<readonly Result[]> {
    const call = { method, items: items.length }
    signal.throwIfAborted()
    const carriedOut = this.#carryOut(call, items, signal, carryOut)
    // Whoever gives up hears nothing more, and the server goes on.
    return await abortable(carriedOut, signal)
  }

  async #carryOut<Item, Result extends { readonly code: number; readonly message: string }>(
    call: EntryCall,
    items: readonly Item[],
    signal: AbortSignal,
    carryOut: (item: Item) => Result,
  ): Promise<readonly Result[]> {
    const fault = await this.#arrive(call, signal)
    const results = items
      .slice(0, fault?.carriedOut ?? items.length)
      .map((item, place) =>
        fault?.poison?.has(place) === true ? (poisoned(item) as unknown as Result) : carryOut(item),
      )
    await this.#options.after?.(call)
    if (fault?.error !== undefined) throw fault.error
    return results
  }

  /** A refusal of the whole call ends it here. */
  async #arrive(call: EntryCall, signal: AbortSignal): Promise<EntryFault | undefined> {
    this.calls.push(call)
    const fault = await this.#options.before?.(call, signal)
    if (call.method === 'list' && fault?.error !== undefined) throw fault.error
    return fault
  }
}

/** What a server whose database fails says of an item. */
function poisoned(item: unknown): { readonly code: number; readonly message: string; readonly id: unknown } {
  return { code: 13, message: 'failed to create entry: datastore-sql: disk I/O error', id: item }
}

/** What a registrar reads of an entry, and no more. */
function asSeen(entry: Entry): Entry {
  const { id, spiffeId, parentId, selectors, dnsNames, federatesWith, downstream, revision, admin } = entry
  return { id, spiffeId, parentId, selectors, dnsNames, federatesWith, downstream, revision, admin }
}
