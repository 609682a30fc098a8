/**
 * What a rule rests on. Intrinsic: the request's own bytes, its attested requester and the policy, none of which will change, so that
 * a failure may deny. Extrinsic: live objects, which may change, so that a failure waits.
 */
export type Nature = 'intrinsic' | 'extrinsic'

/** What became of one rule. */
export interface RuleOutcome {
  /** Short and stable, such as `names.binding`; for a policy's own expressions `rule.` and the name. */
  readonly rule: string
  readonly result: 'passed' | 'failed'
  readonly nature: Nature
  /** What was looked at, for people. */
  readonly value: string
  /** Why, as a sentence without its end. */
  readonly why: string
  /** Set where the value rests on what an object's author wrote as he liked, such as a label. */
  readonly isUserControlled?: true
}

export function passed(rule: string, value: string, why: string, more: Partial<RuleOutcome> = {}): RuleOutcome {
  return { rule, result: 'passed', nature: 'intrinsic', value, why, ...more }
}

export function failed(
  rule: string,
  nature: Nature,
  value: string,
  why: string,
  more: Partial<RuleOutcome> = {},
): RuleOutcome {
  return { rule, result: 'failed', nature, value, why, ...more }
}
