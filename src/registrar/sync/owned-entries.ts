import type { Entry } from '../../spire/entry.ts'

/**
 * How far a copy can be relied upon.
 *
 * - `sure`: the server said so.
 * - `perhaps-created`: it was sent to be created, and no answer came.
 * - `perhaps-changed`: it was there in some form, and a change or a delete was sent to which no answer came.
 */
export type Certainty = 'sure' | 'perhaps-created' | 'perhaps-changed'

/** A registrar's copy of one of its entries. */
export interface OwnedEntry {
  /** The object that it belongs to. */
  readonly key: string
  readonly entry: Entry
  readonly certainty: Certainty
}

/** The registrar's own entries as the server holds them, kept up by the results of its own writes and by listings. */
export class OwnedEntries {
  readonly #entries = new Map<string, OwnedEntry>()
  readonly #idsOfKeys = new Map<string, readonly string[]>()
  /** Ids that were written or deleted while somebody listed, so that the listing is not newer than what is here. */
  #touched: Set<string> | undefined
  /** Ids in a call that is not answered yet. */
  readonly #beingWritten = new Set<string>()

  get size(): number {
    return this.#entries.size
  }

  get(id: string): OwnedEntry | undefined {
    return this.#entries.get(id)
  }

  /** Everything that belongs to an object: one entry, or none; more where somebody made more. */
  of(key: string): readonly OwnedEntry[] {
    const ids = this.#idsOfKeys.get(key) ?? []
    return ids.flatMap((id) => this.#entries.get(id) ?? [])
  }

  has(key: string): boolean {
    return this.#idsOfKeys.has(key)
  }

  keys(): IterableIterator<string> {
    return this.#idsOfKeys.keys()
  }

  values(): IterableIterator<OwnedEntry> {
    return this.#entries.values()
  }

  /** Holds an entry in its newest form. It leaves the object that it belonged to before. */
  put(key: string, entry: Entry, certainty: Certainty = 'sure'): void {
    const before = this.#entries.get(entry.id)
    if (before !== undefined && before.key !== key) this.#unlink(before)
    this.#entries.set(entry.id, { key, entry, certainty })
    if (before?.key !== key) this.#idsOfKeys.set(key, [...(this.#idsOfKeys.get(key) ?? []), entry.id])
    this.#touched?.add(entry.id)
  }

  /** The entry is gone, or has become somebody else's. */
  remove(id: string): void {
    const owned = this.#entries.get(id)
    if (owned !== undefined) this.#unlink(owned)
    this.#entries.delete(id)
    this.#touched?.add(id)
  }

  /** Makes a call that writes entries: a listing meanwhile may show them as they were before it, or as they are after it. */
  async whileWritten<Result>(ids: readonly string[], call: () => Promise<Result>): Promise<Result> {
    for (const id of ids) {
      this.#beingWritten.add(id)
      this.#touched?.add(id)
    }
    try {
      return await call()
    } finally {
      for (const id of ids) this.#beingWritten.delete(id)
    }
  }

  /**
   * Begins to note which entries are written, for a listing that takes a while. One at a time.
   *
   * @returns whether an entry was written or deleted since
   */
  watchWrites(): (id: string) => boolean {
    const touched = new Set(this.#beingWritten)
    this.#touched = touched
    return (id) => touched.has(id)
  }

  /** The listing that asked for it has ended. */
  unwatchWrites(): void {
    this.#touched = undefined
  }

  #unlink({ key, entry }: OwnedEntry): void {
    const ids = this.#idsOfKeys.get(key)?.filter((id) => id !== entry.id) ?? []
    if (ids.length === 0) this.#idsOfKeys.delete(key)
    else this.#idsOfKeys.set(key, ids)
  }
}
