import type { RuleVariable } from './rule-type.ts'

/** A value as expressions see it. Whole numbers are `bigint`, objects are maps. */
export type RuleValue = string | bigint | boolean | readonly RuleValue[] | ReadonlyMap<string, RuleValue>

/** The variables that there are for one request; what is absent is an error to whoever looks at it, and so not passed. */
export type RuleInput = Readonly<Partial<Record<RuleVariable, ReadonlyMap<string, RuleValue>>>>

/** An expression that was understood. */
export interface CompiledRule {
  /** The variables that it looks at. */
  readonly variables: readonly RuleVariable[]
  /** Whether the expression holds. Never throws: whatever goes wrong is an error, which is not a pass. */
  evaluate(input: RuleInput): RuleResult
}

export type RuleResult =
  | { readonly is: 'true' }
  | { readonly is: 'false' }
  | { readonly is: 'error'; readonly message: string }

/** Understands expressions. The one seam to the expression language, which is loaded only where a policy has rules. */
export interface RuleCompiler {
  /** @throws {RuleError} */
  compile(expression: string): CompiledRule
}

/** An expression that cannot be used: its text, its types or its size. */
export class RuleError extends Error {
  override readonly name = 'RuleError'
  readonly code = 'RULE_INVALID'
  /** Counted from 1, of the expression's own text; undefined where all of it is meant. */
  readonly column: number | undefined

  constructor(message: string, column?: number, options?: ErrorOptions) {
    super(message, options)
    this.column = column
  }
}
