import type { Clock } from '../../runtime/clock.ts'

/** How many entries may be deleted at once: the larger of both. */
export interface DeleteLimit {
  readonly maxCount: number
  /** Of the entries that the registrar owns: from 0 to 1. */
  readonly maxFraction: number
}

/** Deletes within this time count together, in milliseconds: those of a large deployment come over seconds. */
export const fuseWindow = 10_000

/**
 * Holds deletes back where there are suspiciously many: after a mistake in the configuration, or when an API server comes back empty. It opens by
 * itself once fewer are wanted, or when a person has confirmed them at the start of the process.
 */
export class DeleteFuse {
  readonly #limit: DeleteLimit
  readonly #isConfirmed: boolean
  readonly #clock: Clock
  /** What was deleted lately. */
  #recent: { readonly at: number; readonly count: number }[] = []
  #held: number | undefined

  constructor(limit: DeleteLimit, isConfirmed: boolean, clock: Clock) {
    this.#limit = limit
    this.#isConfirmed = isConfirmed
    this.#clock = clock
  }

  /** How many entries are held back; undefined where none are. */
  get held(): number | undefined {
    return this.#held
  }

  /**
   * Whether all these may go now.
   *
   * @param wanted - how many entries are to be deleted
   * @param owned - how many there are, those to be deleted among them
   */
  allows(wanted: number, owned: number): boolean {
    const recent = this.#sumOfRecent()
    const { maxCount, maxFraction } = this.#limit
    const isAllowed = this.#isConfirmed || recent + wanted <= Math.max(maxCount, maxFraction * (owned + recent))
    this.#held = isAllowed || wanted === 0 ? undefined : wanted
    return isAllowed
  }

  deleted(count: number): void {
    if (count > 0) this.#recent.push({ at: this.#clock.now(), count })
  }

  #sumOfRecent(): number {
    const start = this.#clock.now() - fuseWindow
    this.#recent = this.#recent.filter(({ at }) => at > start)
    return this.#recent.reduce((sum, { count }) => sum + count, 0)
  }
}
