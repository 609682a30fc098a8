/** Lets one piece of work run at a time, in the order of arrival. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` after all work that came before; resolves and rejects as it does. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }

  /** Resolves once all work that has come so far has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}

/** A mutex for each key, kept only while somebody uses it. */
export class KeyedMutex {
  readonly #entries = new Map<string, { readonly mutex: Mutex; users: number }>()

  /** How many keys are in use. */
  get size(): number {
    return this.#entries.size
  }

  /** Resolves once all work that has come so far has ended, of every key. */
  async idle(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ mutex }) => mutex.idle()))
  }

  /** Runs `work` after all earlier work of the same key. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { mutex: new Mutex(), users: 0 }
      this.#entries.set(key, entry)
    }
    entry.users++
    try {
      return await entry.mutex.run(work)
    } finally {
      entry.users--
      if (entry.users === 0) this.#entries.delete(key)
    }
  }
}
