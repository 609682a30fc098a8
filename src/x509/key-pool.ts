import type { KeyObject } from 'node:crypto'
import type { KeyGenerator, KeySpec } from './key.ts'

export interface KeyPoolOptions {
  /** Makes the keys, as many at a time as it likes. */
  readonly generator: KeyGenerator
  /** How many RSA keys of each size are kept ready; 0 keeps none. */
  readonly capacity: number
  /** The RSA sizes to keep ready from the start, in bits. Any other is kept from the first time that it is asked for. */
  readonly sizes: readonly number[]
}

/**
 * Keeps RSA keys ready, because the search for one takes longer than all the rest of a certificate's way. It is refilled one key
 * at a time, and only while nobody waits for a key. Other keys are made at once anyway.
 */
export class KeyPool implements KeyGenerator {
  readonly #generator: KeyGenerator
  readonly #capacity: number
  readonly #ready = new Map<number, KeyObject[]>()
  readonly #closing = new AbortController()
  #waiting = 0
  #isRefilling = false
  #refilling: Promise<void> = Promise.resolve()

  constructor({ generator, capacity, sizes }: KeyPoolOptions) {
    this.#generator = generator
    this.#capacity = capacity
    for (const size of sizes) this.#ready.set(size, [])
    this.#refill()
  }

  /** How many keys of a size are ready. */
  ready(size: number): number {
    return this.#ready.get(size)?.length ?? 0
  }

  async generate(spec: KeySpec, signal?: AbortSignal): Promise<KeyObject> {
    if (spec.algorithm !== 'RSA') return this.#generator.generate(spec, signal)
    signal?.throwIfAborted()
    const keys = this.#ready.get(spec.size) ?? []
    this.#ready.set(spec.size, keys)
    const key = keys.shift()
    if (key !== undefined) {
      this.#refill()
      return key
    }
    this.#waiting++
    try {
      return await this.#generator.generate(spec, signal)
    } finally {
      this.#waiting--
      this.#refill()
    }
  }

  /** Drops the keys that are ready, and resolves once no more are being made. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#refilling
    this.#ready.clear()
  }

  #refill(): void {
    if (this.#isRefilling) return
    this.#isRefilling = true
    this.#refilling = this.#makeKeys()
  }

  async #makeKeys(): Promise<void> {
    try {
      for (;;) {
        const short = [...this.#ready].find(([, keys]) => keys.length < this.#capacity)
        if (short === undefined || this.#waiting > 0 || this.#closing.signal.aborted) return
        const [size, keys] = short
        keys.push(await this.#generator.generate({ algorithm: 'RSA', size }, this.#closing.signal))
      }
    } catch {
      // A key that cannot be made is no trouble before somebody asks for one, and is then told to him.
    } finally {
      this.#isRefilling = false
    }
  }
}
