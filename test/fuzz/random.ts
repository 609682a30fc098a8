/** Choices that a seed decides, so that whatever was found can be found again. */
export interface Random {
  /** @returns in [0, bound) */
  readonly below: (bound: number) => number
  /** @returns whether one of so many falls on it */
  readonly oneIn: (many: number) => boolean
  readonly pick: <T>(items: readonly T[]) => T
}

/**
 * Numbers of mulberry32: quick, and even enough to choose by. Never for keys of anybody.
 *
 * @param seed - of the whole run
 * @param index - of the request in it, so that a run can be taken up anywhere
 */
export function seededRandom(seed: number, index: number): Random {
  let state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(index + 1, 0xc2b2_ae35)
  const below = (bound: number): number => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }
  return {
    below,
    oneIn: (many) => below(many) === 0,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('there is nothing to pick from')
      return item
    },
  }
}
