/**
 * A read whose result whoever asks at the same time shares, and never one that had begun before: who asks after a decision hears of
 * what was true after it.
 */
export class SharedRead<T> {
  readonly #load: (signal: AbortSignal) => Promise<T>
  readonly #closing = new AbortController()
  #current: Promise<unknown> = Promise.resolve()
  #next: Promise<T> | undefined

  /** @param load - reads once; its signal aborts when nobody needs it any more */
  constructor(load: (signal: AbortSignal) => Promise<T>) {
    this.#load = load
  }

  /**
   * @param signal - ends this caller's wait, not the read
   * @throws what the read throws
   * @throws the signal's reason
   */
  async read(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    this.#next ??= this.#begin()
    const result = await this.#next
    signal.throwIfAborted()
    return result
  }

  /** Ends what runs; nobody is to ask any more. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the reader was closed'))
    await this.#current.catch(() => {})
  }

  async #begin(): Promise<T> {
    await this.#current.catch(() => {})
    this.#next = undefined
    const reading = this.#load(this.#closing.signal)
    this.#current = reading
    return await reading
  }
}
