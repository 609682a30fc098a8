import { entryId, type EntryIdScheme, isOwnEntryId } from './entry-id.ts'

export interface EntryIdsOptions {
  readonly scheme: EntryIdScheme
  /** @see {@link import('./sync-options.ts').SyncSource.incarnation} */
  readonly incarnation: (key: string) => string | undefined
  /** Whether an entry of this id is known. */
  readonly isUsed: (id: string) => boolean
}

/** Chooses the ids of new entries, and remembers those that must not come again: only as long as their object lives, whose name for it they hold. */
export class EntryIds {
  readonly #options: EntryIdsOptions
  readonly #gone = new Map<string, Set<string>>()
  /** Ids of ours whose entries have become somebody else's: an administrator's. */
  readonly #foreign = new Set<string>()

  constructor(options: EntryIdsOptions) {
    this.#options = options
  }

  /** The id of the object's next entry: the same until an entry of it is known to be gone. */
  next(key: string): string {
    const { scheme, incarnation, isUsed } = this.#options
    const gone = this.#gone.get(key)
    for (let attempt = 0; ; attempt++) {
      const id = entryId(scheme, key, incarnation(key) ?? '', attempt)
      if (gone?.has(id) !== true && !this.#foreign.has(id) && !isUsed(id)) return id
    }
  }

  /** An entry of the object is gone from the server. */
  gone(key: string, id: string): void {
    if (this.#options.incarnation(key) === undefined) {
      this.#gone.delete(key)
      return
    }
    const ids = this.#gone.get(key) ?? new Set()
    this.#gone.set(key, ids.add(id))
  }

  /** An entry is not the registrar's. */
  foreign(id: string): void {
    if (isOwnEntryId(this.#options.scheme, id)) this.#foreign.add(id)
  }

  /** Forgets what belonged to objects that are no more. */
  prune(): void {
    for (const key of this.#gone.keys()) if (this.#options.incarnation(key) === undefined) this.#gone.delete(key)
  }
}
