import type { KeyObject } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { generateKeySync, type KeyGenerator, type KeySpec } from './key.ts'
import { KeyPool } from './key-pool.ts'

/** A generator whose keys come when the test wants them. */
class SlowGenerator implements KeyGenerator {
  readonly asked: KeySpec[] = []
  readonly #open: (() => void)[] = []

  generate(spec: KeySpec): Promise<KeyObject> {
    this.asked.push(spec)
    return new Promise((resolve) => {
      this.#open.push(() => resolve(generateKeySync({ algorithm: 'Ed25519' })))
    })
  }

  async finishOne(): Promise<void> {
    this.#open.shift()?.()
    await settled()
  }
}

/** Resolves once whatever has been promised has gone on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

let clock: ManualClock

beforeEach(() => {
  clock = new ManualClock()
})

/** Lets the moment pass that a pool leaves to whom it has given a key. */
async function passMoment(): Promise<void> {
  clock.advance(1000)
  await settled()
}

const rsa: KeySpec = { algorithm: 'RSA', size: 2048 }

describe('a key pool', () => {
  test('is filled one key at a time up to its capacity', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 3 })
    pool.keep(2048)
    for (const ready of [0, 1, 2]) {
      expect(generator.asked).toHaveLength(ready + 1)
      expect(pool.ready(2048)).toBe(ready)
      await generator.finishOne()
    }
    expect(pool.ready(2048)).toBe(3)
    expect(generator.asked).toHaveLength(3)
  })

  test('gives each key to one caller only', async () => {
    const pool = new KeyPool({
      generator: { generate: async () => generateKeySync({ algorithm: 'Ed25519' }) },
      capacity: 4,
      clock,
    })
    pool.keep(2048)
    const keys = await Promise.all(Array.from({ length: 20 }, () => pool.generate(rsa)))
    expect(new Set(keys.map((key) => key.export({ type: 'pkcs8', format: 'pem' }))).size).toBe(20)
    await pool.close()
  })

  test('makes no key ahead while somebody waits for one', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 2 })
    pool.keep(2048)
    const wanted = pool.generate(rsa)
    expect(generator.asked).toHaveLength(2)
    await generator.finishOne()
    expect(generator.asked).toHaveLength(2)
    await generator.finishOne()
    await wanted
    await passMoment()
    expect(generator.asked).toHaveLength(3)
  })

  test('leaves the cores to whom it has given a key for a moment, then makes the next', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 1 })
    pool.keep(2048)
    await generator.finishOne()
    await pool.generate(rsa)
    await settled()
    expect(generator.asked).toHaveLength(1)
    await passMoment()
    expect(generator.asked).toHaveLength(2)
  })

  test('waits while keys are taken one after the other', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 3 })
    pool.keep(2048)
    for (let made = 0; made < 3; made++) await generator.finishOne()
    for (let taken = 0; taken < 3; taken++) {
      await pool.generate(rsa)
      clock.advance(900)
      await settled()
    }
    expect(generator.asked).toHaveLength(3)
    clock.advance(100)
    await settled()
    expect(generator.asked).toHaveLength(4)
  })

  test('rests after each key for as long as that took', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 2 })
    pool.keep(2048)
    clock.advance(700)
    await generator.finishOne()
    clock.advance(699)
    await settled()
    expect(generator.asked).toHaveLength(1)
    clock.advance(1)
    await settled()
    expect(generator.asked).toHaveLength(2)
  })

  test.each([
    ['ahead', 48 * 3600_000],
    ['back', -48 * 3600_000],
  ])('is filled although the wall clock jumps %s', async (_, by) => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 2 })
    pool.keep(2048)
    clock.jump(by)
    await generator.finishOne()
    await pool.generate(rsa)
    clock.jump(by)
    clock.advance(10_000)
    await settled()
    expect(generator.asked).toHaveLength(2)
  })

  test('keeps a quarter as many of sizes that take long', async () => {
    const generate = async () => generateKeySync({ algorithm: 'Ed25519' })
    const pool = new KeyPool({ generator: { generate }, capacity: 10, clock })
    pool.keep(2048)
    pool.keep(4096)
    for (let turn = 0; turn < 10; turn++) await settled()
    expect(pool.levels()).toEqual(
      new Map([
        [2048, 10],
        [4096, 3],
      ]),
    )
  })

  test('keeps a size ready from the first time that it is asked for', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 1 })
    expect(generator.asked).toEqual([])
    const wanted = pool.generate({ algorithm: 'RSA', size: 3072 })
    await generator.finishOne()
    await wanted
    await passMoment()
    await generator.finishOne()
    expect(pool.ready(3072)).toBe(1)
    expect(pool.levels()).toEqual(new Map([[3072, 1]]))
  })

  test('with a capacity of 0 makes each key when it is asked for', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 0 })
    pool.keep(2048)
    expect(generator.asked).toEqual([])
    const wanted = pool.generate(rsa)
    await generator.finishOne()
    await wanted
    expect(generator.asked).toHaveLength(1)
  })

  test('hands other keys through', async () => {
    const generator = new SlowGenerator()
    const pool = new KeyPool({ generator, clock, capacity: 2 })
    const wanted = pool.generate({ algorithm: 'ECDSA', size: 256 })
    await generator.finishOne()
    await wanted
    expect(generator.asked).toEqual([{ algorithm: 'ECDSA', size: 256 }])
  })
})
