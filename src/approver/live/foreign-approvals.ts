import type { EventText } from '../../kubernetes/event-object.ts'
import type { ObjectReference } from '../../kubernetes/object.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { LiveObjects } from '../live-objects.ts'
import type { Policy } from '../policy/policy.ts'
import { readRequest } from '../request/read-request.ts'
import { formatRequest, type RequestObject } from '../request/request-object.ts'
import { selects } from '../selection.ts'
import { type Drivers, subjectOf } from '../subject.ts'
import type { ApproverMetrics } from './approver-metrics.ts'
import { requestReference } from './decision-record.ts'
import { foreignApprovalNews, type TrackedRequest } from './tracked-request.ts'

export interface ForeignApprovalsOptions {
  readonly drivers: Drivers
  readonly events: { record(about: ObjectReference, text: EventText): void }
  readonly metrics: Pick<ApproverMetrics, 'foreignApprovals'>
  readonly dryRun: boolean
  readonly clock: Clock
  readonly log: Log
}

/** How many requests {@link ForeignApprovals.problems} names. */
const mostShown = 3

/**
 * Requests that a policy is for and that somebody else has approved: cert-manager's own approver, which would make every policy for
 * its issuers pointless, or a person.
 */
export class ForeignApprovals {
  readonly #options: ForeignApprovalsOptions
  readonly #known = new Map<string, { readonly uid: string; readonly at: number; readonly text: string }>()

  constructor(options: ForeignApprovalsOptions) {
    this.#options = options
  }

  /** Tells of such a request, once, where one of the policies is for it. */
  look(
    { key, uid, approval }: TrackedRequest,
    request: RequestObject,
    policies: readonly Policy[],
    live: LiveObjects,
  ): void {
    const { drivers, events, metrics, dryRun, log } = this.#options
    if (approval === undefined || approval.isOurs || this.#known.get(key)?.uid === uid) return
    const subject = subjectOf(request, readRequest(request).asked, live, drivers)
    const policy = policies.find((one) => selects(one, request, subject, live).is !== 'no')
    if (policy === undefined) return
    const by = approval.reason === '' ? 'somebody else' : `somebody else (${approval.reason})`
    const text = `${formatRequest(request)} was approved by ${by}, although policy ${policy.name} is for it: switch other approvers off`
    this.#known.set(key, { uid, at: approval.at, text })
    metrics.foreignApprovals.inc({ kind: request.kind })
    log.warn(
      { request: formatRequest(request), uid, by: approval.reason, policy: policy.name },
      'approved by somebody else',
    )
    if (!dryRun) events.record(requestReference(request), { type: 'Warning', reason: 'ApprovedByOther', message: text })
  }

  /** A request is gone. */
  forget(key: string): void {
    this.#known.delete(key)
  }

  /** The latest such requests, for people; empty where there was none for an hour. */
  problems(): readonly string[] {
    const now = this.#options.clock.now()
    const news = [...this.#known.values()].filter(({ at }) => now - at < foreignApprovalNews)
    const rest = news.length - mostShown
    return [
      ...news.slice(0, mostShown).map(({ text }) => text),
      ...(rest > 0 ? [`${rest} more were approved by somebody else, although a policy is for them`] : []),
    ]
  }
}
