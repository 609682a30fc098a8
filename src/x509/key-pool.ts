import type { KeyObject } from 'node:crypto'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { KeyGenerator, KeySpec } from './key.ts'

export interface KeyPoolOptions {
  /** Makes the keys, as many at a time as it likes. */
  readonly generator: KeyGenerator
  /** How many RSA keys of 2048 bits are kept ready, and a quarter as many of each size above, which take ten times as long; 0 keeps none. */
  readonly capacity: number
  readonly clock: Clock
}

/**
 * How long after a key was taken the next one is begun, in milliseconds: to make a key takes a core for longer than all else of a volume's
 * way, a node may have two, and where one pod comes, others may follow.
 */
const refillPause = 1000

/** The longest rest after a key, in milliseconds: a wall clock that jumps ahead meanwhile is no key that took that long. */
const longestRest = 10_000

const usualSize = 2048

/**
 * Keeps RSA keys ready, because the search for one takes longer than all the rest of a certificate's way. It is refilled once no key
 * was taken for a moment and nobody waits for one: one key at a time, and after each it rests for as long as that took, so that at least
 * half of what the process may have of a core is left to the others, however little that is. Other keys are made at once anyway.
 */
export class KeyPool implements KeyGenerator {
  readonly #generator: KeyGenerator
  readonly #capacity: number
  readonly #clock: Clock
  readonly #ready = new Map<number, KeyObject[]>()
  readonly #closing = new AbortController()
  #waiting = 0
  /** When a key was taken last, epoch milliseconds. */
  #takenAt = Number.NEGATIVE_INFINITY
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
    this.#refill()
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
      this.#taken()
      return key
    }
    this.#waiting++
    try {
      return await this.#generator.generate(spec, signal)
    } finally {
      this.#waiting--
      this.#taken()
    }
  }

  /** Drops the keys that are ready, and resolves once no more are being made. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#refilling
    this.#ready.clear()
  }

  #taken(): void {
    this.#takenAt = this.#clock.now()
    this.#refill()
  }

  #refill(): void {
    if (this.#isRefilling) return
    this.#isRefilling = true
    this.#refilling = this.#makeKeys()
  }

  async #makeKeys(): Promise<void> {
    const { signal } = this.#closing
    try {
      for (;;) {
        while (this.#pause > 0) await sleep(this.#clock, this.#pause, signal)
        const short = [...this.#ready].find(([size, keys]) => keys.length < this.#capacityOf(size))
        if (short === undefined || this.#waiting > 0 || signal.aborted) return
        const [size, keys] = short
        const began = this.#clock.now()
        keys.push(await this.#generator.generate({ algorithm: 'RSA', size }, signal))
        const rest = Math.min(this.#clock.now() - began, longestRest)
        if (rest > 0) await sleep(this.#clock, rest, signal)
      }
    } catch {
      // A key that cannot be made is no trouble before somebody asks for one, and is then told to him.
    } finally {
      this.#isRefilling = false
    }
  }

  /** How long it takes until no key was taken for a moment, in milliseconds; none where the wall clock was set back. */
  get #pause(): number {
    const since = this.#clock.now() - this.#takenAt
    return since < 0 ? 0 : refillPause - since
  }

  #capacityOf(size: number): number {
    return size <= usualSize ? this.#capacity : Math.ceil(this.#capacity / 4)
  }
}
