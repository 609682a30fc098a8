import { hash } from 'node:crypto'
import type { DeleteResult, Entry, EntryFilter, EntryResult, EntrySpec, Selector } from '../../src/spire/entry.ts'
import { entryIdProblem, entryProblem } from './entry-problem.ts'

/** An entry with what a registrar neither reads nor writes, so that a test can see that it stays. */
export interface StoredEntry extends Entry {
  /** Its place in listings: the row of the server's database. An update keeps it. */
  readonly row: number
  /** Epoch seconds. */
  readonly createdAt: number
  readonly hint: string
  readonly x509SvidTtl: number
}

/** Everything of an entry that a caller may set. */
export interface EntryContent extends EntrySpec {
  readonly admin: boolean
  readonly hint: string
  readonly x509SvidTtl: number
}

export interface EntryStoreOptions {
  readonly trustDomain: string
  /** Trust domains whose bundles the server holds; tests may add and remove. @default {none} */
  readonly federated?: Set<string>
  /** Servers before 1.8 make their own ids whatever the client asks for. @default {true} */
  readonly takesClientIds?: boolean
  /** Epoch milliseconds. @default {Date.now} */
  readonly now?: () => number
}

const ok = { code: 0, message: 'OK' }

/**
 * The rules of a SPIRE server's Entry API over a list in memory: statuses and texts of each item as SPIRE 1.15 has them. Who may call,
 * pages, masks and faults are the business of whoever stands before it.
 */
export class EntryStore {
  readonly federated: Set<string>
  readonly #options: EntryStoreOptions
  /** In the order of their rows. */
  readonly #entries = new Map<string, StoredEntry>()
  readonly #similar = new Map<string, Set<string>>()
  #lastRow = 0

  constructor(options: EntryStoreOptions) {
    this.#options = options
    this.federated = options.federated ?? new Set()
  }

  get trustDomain(): string {
    return this.#options.trustDomain
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: string): StoredEntry | undefined {
    return this.#entries.get(id)
  }

  /** All entries, in the order of a listing. */
  all(): readonly StoredEntry[] {
    return [...this.#entries.values()]
  }

  /** Up to `size` entries behind a row. The server looks at the filter after it has cut the page: a short page is not the last one. */
  page(
    filter: EntryFilter,
    afterRow: number,
    size: number,
  ): { readonly entries: readonly StoredEntry[]; readonly lastRow: number } {
    const entries: StoredEntry[] = []
    let lastRow = afterRow
    for (const entry of this.#entries.values()) {
      if (entry.row <= afterRow) continue
      if (entries.length === size) break
      lastRow = entry.row
      if (matches(entry, filter)) entries.push(entry)
    }
    return { entries, lastRow }
  }

  /** BatchCreateEntry, one item. */
  create(
    wanted: Partial<EntryContent> & EntrySpec & { readonly id?: string },
  ): EntryResult & { readonly entry?: StoredEntry } {
    const problem = entryProblem(wanted, this.trustDomain)
    if (problem !== undefined) return { code: 3, message: `failed to convert entry: ${problem}` }
    const asked = this.#options.takesClientIds === false ? '' : (wanted.id ?? '')
    const idProblem = entryIdProblem(asked)
    if (idProblem !== undefined) return { code: 3, message: `failed to create entry: ${idProblem}` }
    // An update can have made two; the server finds the one that is the first in its table.
    const similar = [...(this.#similar.get(similarityOf(wanted)) ?? [])].flatMap((id) => this.#entries.get(id) ?? [])
    const [existing] = similar.toSorted((one, other) => one.row - other.row)
    if (existing !== undefined) return { code: 6, message: 'similar entry already exists', entry: existing }
    const taken = { code: 6, message: 'failed to create entry: datastore-sql: UNIQUE constraint failed' }
    if (this.#entries.has(asked)) return taken
    const unfederated = this.#missingBundle(wanted)
    if (unfederated !== undefined) return { code: 13, message: `failed to create entry: ${unfederated}` }
    if (hasTwice(wanted)) return taken
    const row = ++this.#lastRow
    const entry: StoredEntry = {
      ...contentOf({ admin: false, hint: '', x509SvidTtl: 0, ...wanted }),
      id: asked === '' ? uuidOf(row) : asked,
      revision: 0n,
      row,
      createdAt: Math.floor((this.#options.now ?? Date.now)() / 1000),
    }
    this.#entries.set(entry.id, entry)
    this.#index(entry)
    return { ...ok, entry: asAnswered(entry) }
  }

  /** BatchUpdateEntry, one item: what `change` does not name stays. */
  update(id: string, change: Partial<EntryContent>): EntryResult & { readonly entry?: StoredEntry } {
    const problem = entryProblem(change, this.trustDomain)
    if (problem !== undefined) return { code: 3, message: `failed to convert entry: ${problem}` }
    const before = this.#entries.get(id)
    if (before === undefined) return { code: 5, message: 'failed to update entry' }
    const content = contentOf({ ...before, ...change })
    if (hasTwice(content)) {
      return { code: 6, message: 'failed to update entry: datastore-sql: UNIQUE constraint failed' }
    }
    const unfederated = this.#missingBundle(content)
    if (unfederated !== undefined) return { code: 13, message: `failed to update entry: ${unfederated}` }
    // No look for a similar entry: an update can make two of a kind.
    const entry: StoredEntry = { ...before, ...content, revision: before.revision + 1n }
    this.#unindex(before)
    this.#entries.set(id, entry)
    this.#index(entry)
    return { ...ok, entry: asAnswered(entry) }
  }

  /** BatchDeleteEntry, one item. */
  delete(id: string): DeleteResult {
    if (id === '') return { code: 3, message: 'missing entry ID', id }
    const entry = this.#entries.get(id)
    if (entry === undefined) return { code: 5, message: 'entry not found', id }
    this.#unindex(entry)
    this.#entries.delete(id)
    return { ...ok, id }
  }

  #index(entry: StoredEntry): void {
    const key = similarityOf(entry)
    const ids = this.#similar.get(key) ?? new Set()
    this.#similar.set(key, ids.add(entry.id))
  }

  #unindex(entry: StoredEntry): void {
    const key = similarityOf(entry)
    const ids = this.#similar.get(key)
    ids?.delete(entry.id)
    if (ids?.size === 0) this.#similar.delete(key)
  }

  #missingBundle({ federatesWith }: EntrySpec): string | undefined {
    const missing = federatesWith.find((name) => !this.federated.has(name))
    return missing === undefined ? undefined : `unable to find federated bundle "spiffe://${missing}"`
  }
}

/** What is written to the database comes back in the order of an index; listings have it in the order in which it was written. */
function asAnswered(entry: StoredEntry): StoredEntry {
  return { ...entry, dnsNames: entry.dnsNames.toSorted() }
}

/** An id as the server makes them, in an order that tells nothing, and the same in each run. */
function uuidOf(row: number): string {
  return hash('sha256', String(row)).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-4$3-8$4-$5')
}

function contentOf(content: EntryContent): EntryContent {
  const { spiffeId, parentId, selectors, dnsNames, federatesWith, downstream, admin, hint, x509SvidTtl } = content
  const federated = [...new Set(federatesWith)]
  return { spiffeId, parentId, selectors, dnsNames, federatesWith: federated, downstream, admin, hint, x509SvidTtl }
}

/** The database holds each DNS name and each selector of an entry once. */
function hasTwice({ dnsNames, selectors }: EntrySpec): boolean {
  return new Set(dnsNames).size < dnsNames.length || new Set(selectors.map(nameOf)).size < selectors.length
}

function nameOf({ type, value }: Selector): string {
  return `${type}:${value}`
}

function selectorKey(selectors: readonly Selector[]): string {
  return [...new Set(selectors.map(nameOf))].sort().join('\n')
}

function similarityOf({ spiffeId, parentId, selectors }: EntrySpec): string {
  return `${spiffeId}\n${parentId}\n${selectorKey(selectors)}`
}

function matches(entry: Entry, { parentId, spiffeId, selectors }: EntryFilter): boolean {
  return (
    (parentId === undefined || entry.parentId === parentId) &&
    (spiffeId === undefined || entry.spiffeId === spiffeId) &&
    (selectors === undefined || selectorKey(entry.selectors) === selectorKey(selectors))
  )
}
