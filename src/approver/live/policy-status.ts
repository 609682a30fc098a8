import { cutText } from '../../kubernetes/event-object.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { PolicyReport } from './policy-set.ts'
import { certificatePolicies, type PolicyObject } from './resources.ts'

/** Longer than any list of mistakes that a person reads, in bytes. */
const longestMessage = 4096

/**
 * What a policy's status is to say: whether it is used, and what is wrong with it.
 *
 * @param now - epoch milliseconds
 * @returns undefined where it says so already
 */
export function policyStatus({ object, problems, isFormerUsed }: PolicyReport, now: number): PolicyObject['status'] {
  const { generation } = object.metadata
  const observed = generation === undefined ? {} : { observedGeneration: generation }
  const isReady = problems.length === 0
  const text = isReady
    ? 'the policy is used'
    : `${isFormerUsed ? 'not used, its last good version is: ' : 'not used: '}${problems.map(({ message }) => message).join('; ')}`
  const wanted = {
    type: 'Ready',
    status: isReady ? 'True' : 'False',
    reason: isReady ? 'Used' : 'Invalid',
    message: cutText(text, longestMessage),
    ...observed,
  } as const
  const before = object.status?.conditions?.find(({ type }) => type === 'Ready')
  const isSaid =
    before?.status === wanted.status &&
    before.reason === wanted.reason &&
    before.message === wanted.message &&
    before.observedGeneration === generation &&
    object.status?.observedGeneration === generation
  if (isSaid) return undefined
  const changed = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
  const lastTransitionTime = before?.status === wanted.status ? (before.lastTransitionTime ?? changed) : changed
  return { ...observed, conditions: [{ ...wanted, lastTransitionTime }] }
}

/** Writes a policy's status, if it is another. The policy may be gone, or be another one of its name, in the meantime. */
export async function writePolicyStatus(
  client: Pick<KubernetesClient, 'apply'>,
  report: PolicyReport,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const status = policyStatus(report, now)
  if (status === undefined) return
  const { name = '', uid = '' } = report.object.metadata
  try {
    const object: PolicyObject = { metadata: { name, uid }, status }
    await client.apply(certificatePolicies, object, {
      subresource: 'status',
      fieldManager: 'podpass-approver',
      force: true,
      signal,
    })
  } catch (error) {
    const isGone = error instanceof ApiError && (error.status === 404 || error.status === 409)
    if (!isGone) throw error
  }
}
