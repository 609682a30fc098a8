import { RuleError } from './rule.ts'

/** What one evaluation may cost. */
export interface RuleBudget {
  /** Milliseconds. */
  readonly time: number
  /** Items looked at in all loops together. */
  readonly steps: number
}

/** Of a text or list that an expression makes, in characters or items. */
const largestValue = 16_384

/** How many steps are taken between two looks at the clock, which takes longer than a step. */
const stride = 64

/** Counts what an evaluation costs. Evaluation is synchronous, so one serves all. */
export class RuleMeter {
  readonly #budget: RuleBudget
  readonly #now: () => number
  #steps = 0
  #deadline = 0
  #exhausted = false

  constructor(budget: RuleBudget, now: () => number) {
    this.#budget = budget
    this.#now = now
  }

  get isExhausted(): boolean {
    return this.#exhausted
  }

  reset(): void {
    this.#steps = 0
    this.#exhausted = false
    this.#deadline = this.#now() + this.#budget.time
  }

  /** @throws {RuleError} once the budget is used up */
  step(): void {
    this.#steps++
    this.#exhausted ||= this.#steps > this.#budget.steps
    if (this.#steps % stride === 0) this.#exhausted ||= this.#now() > this.#deadline
    if (this.#exhausted) throw new RuleError('it takes too long')
  }

  /** @throws {RuleError} where a value is larger than any that is let be */
  size(size: number): void {
    if (size <= largestValue) return
    this.#exhausted = true
    throw new RuleError('it makes a value that is too large')
  }
}
