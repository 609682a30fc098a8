import { GeneralNameError } from '../../x509/general-names.ts'
import { NameError } from '../../x509/name.ts'
import { type ApproverSettings, type Decision, decide } from '../decide.ts'
import { KeyLedger } from '../key-ledger.ts'
import { liveObjectsOf } from '../live-objects.ts'
import type { PolicyTest } from '../policy/certificate-policy.ts'
import type { Policy } from '../policy/policy.ts'
import { testObjects } from './test-objects.ts'
import { testRequest } from './test-request.ts'

/** What became of one of a policy's own tests. */
export interface TestResult {
  readonly policy: string
  readonly test: string
  readonly expected: PolicyTest['expect']
  /** Undefined where the request cannot even be made, such as one with a name that is no ASCII. */
  readonly decision: Decision | undefined
  readonly passed: boolean
  /** Why it did not pass; empty where it did. */
  readonly why: string
}

/**
 * Runs the tests of a policy: each against that policy alone, on the objects of the test alone. Every requester may use it, since
 * that is for RBAC to say.
 */
export function runTests(policy: Policy, settings: ApproverSettings, now: number): TestResult[] {
  return (policy.spec.tests ?? []).map((test) => {
    const ended = runTest(policy, test, settings, now)
    const passed = typeof ended !== 'string' && ended.is === test.expect
    return {
      policy: policy.name,
      test: test.name,
      expected: test.expect,
      decision: typeof ended === 'string' ? undefined : ended,
      passed,
      why: typeof ended === 'string' ? ended : passed ? '' : `it is ${ended.is}: ${ended.message}`,
    }
  })
}

/** @returns the decision, or why there is none */
function runTest(policy: Policy, test: PolicyTest, settings: ApproverSettings, now: number): Decision | string {
  const { pod, serviceAccount } = test.request
  const live = liveObjectsOf(testObjects(test.objects ?? [], pod, serviceAccount), new Set([policy.name]))
  try {
    const request = testRequest(policy, test, live, now)
    return decide({ request, policies: [policy], live, keys: new KeyLedger(), settings, now })
  } catch (error) {
    if (!(error instanceof GeneralNameError) && !(error instanceof NameError)) throw error
    return `the request cannot be made: ${error.message}`
  }
}
