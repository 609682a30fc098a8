import { type Field } from '../../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../../manifest/problem.ts'
import type { RuleCompiler } from '../rule/rule.ts'
import type { Policy } from './policy.ts'
import type { PolicyLimits } from './policy-problems.ts'
import { hasRules, readPolicy } from './read-policy.ts'

/** Policies that can be used, and what is wrong with the others. */
export interface LoadedPolicies {
  readonly policies: readonly Policy[]
  readonly problems: readonly Problem[]
}

/**
 * Reads policies from documents.
 *
 * @param loadCompiler - called once, and only where a policy has rules
 */
export async function loadPolicies(
  documents: readonly Field[],
  limits: PolicyLimits,
  loadCompiler: () => Promise<RuleCompiler>,
): Promise<LoadedPolicies> {
  const compiler = documents.some(hasRules) ? await loadCompiler() : undefined
  const readings = documents.map((document) => readPolicy(document, limits, compiler))
  const policies: Policy[] = []
  const problems = readings.flatMap((reading) => reading.problems)
  for (const { policy } of readings) {
    if (policy === undefined) continue
    if (policies.some(({ name }) => name === policy.name)) {
      problems.push({
        location: policy.location,
        object: `CertificatePolicy ${policy.name}`,
        message: 'there are two of this name',
      })
    } else policies.push(policy)
  }
  return { policies, problems: inReadingOrder(problems) }
}
