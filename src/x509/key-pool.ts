import type { KeyObject } from 'node:crypto'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { KeyGenerator, KeySpec } from './key.ts'

export interface KeyPoolOptions {
  /** Makes the keys, as many at a time as it likes. */
  readonly generator: KeyGenerator
  /** How many RSA keys of each size are kept ready; 0 keeps none. */
  readonly capacity: number
  readonly clock: Clock
}

/**
 * How long after a key was taken the next one is begun, in milliseconds. Its volume is done by then: to make a key takes a core for
 * longer than all else of a volume's way, and a node may have two.
 */
const refillPause = 200

/**
 * Keeps RSA keys ready, because the search for one takes longer than all the rest of a certificate's way. It is refilled one key
 * at a time, a moment after one was taken, and only while nobody waits for a key. Other keys are made at once anyway.
 */
export class KeyPool implements KeyGenerator {
  readonly #generator: KeyGenerator
  readonly #capacity: number
  readonly #clock: Clock
  readonly #ready = new Map<number, KeyObject[]>()
  readonly #closing = new AbortController()
  #waiting = 0
  #isRefilling = false
  #refilling: Promise<void> = Promise.resolve()

  constructor({ generator, capacity, clock }: KeyPoolOptions) {
    this.#generator = generator
    this.#capacity = capacity
    this.#clock = clock
  }

  /** Keeps keys of an RSA size ready from now on, in bits; any other is kept from the first time that it is asked for. */
  keep(size: number): void {
    if (!this.#ready.has(size)) this.#ready.set(size, [])
    this.#refill(0)
  }

  /** How many keys of a size are ready. */
  ready(size: number): number {
    return this.#ready.get(size)?.length ?? 0
  }

  /** How many keys are ready, by size. */
  levels(): ReadonlyMap<number, number> {
    return new Map([...this.#ready].map(([size, keys]) => [size, keys.length]))
  }

  async generate(spec: KeySpec, signal?: AbortSignal): Promise<KeyObject> {
    if (spec.algorithm !== 'RSA') return this.#generator.generate(spec, signal)
    signal?.throwIfAborted()
    const keys = this.#ready.get(spec.size) ?? []
    this.#ready.set(spec.size, keys)
    const key = keys.shift()
    if (key !== undefined) {
      this.#refill(refillPause)
      return key
    }
    this.#waiting++
    try {
      return await this.#generator.generate(spec, signal)
    } finally {
      this.#waiting--
      this.#refill(refillPause)
    }
  }

  /** Drops the keys that are ready, and resolves once no more are being made. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#refilling
    this.#ready.clear()
  }

  /** @param pause - milliseconds */
  #refill(pause: number): void {
    if (this.#isRefilling) return
    this.#isRefilling = true
    this.#refilling = this.#makeKeys(pause)
  }

  async #makeKeys(pause: number): Promise<void> {
    try {
      if (pause > 0) await sleep(this.#clock, pause, this.#closing.signal)
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
