import type { EventText } from '../../kubernetes/event-object.ts'
import { podReference } from '../../kubernetes/events.ts'
import type { ObjectReference } from '../../kubernetes/object.ts'
import {
  apiVersionOf,
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
} from '../../kubernetes/resource.ts'
import type { Log } from '../../runtime/log.ts'
import type { Decision } from '../decide.ts'
import { formatName, listNames } from '../request/asked-names.ts'
import {
  askedSigner,
  formatRequest,
  formatSigner,
  type RequestKind,
  type RequestObject,
} from '../request/request-object.ts'
import type { ApproverMetrics } from './approver-metrics.ts'

export interface DecisionRecordOptions {
  /** Takes one line for each decision, whatever the level of the other log. */
  readonly audit: Log
  readonly events: { record(about: ObjectReference, text: EventText): void }
  readonly metrics: Pick<ApproverMetrics, 'decisions'>
  /** Decides without writing; then no Event is written either. */
  readonly dryRun: boolean
}

const resources = {
  CertificateSigningRequest: certificateSigningRequests,
  CertificateRequest: certificateRequests,
  PodCertificateRequest: podCertificateRequests,
} as const satisfies Record<RequestKind, unknown>

const eventReasons = {
  deny: 'CertificateDenied',
  wait: 'CertificateNotYetAllowed',
  'leave alone': 'CertificateNotAllowedInTime',
} as const

/** A request as an Event points at it. */
export function requestReference({ kind, object }: RequestObject): ObjectReference {
  const { namespace, name = '', uid = '' } = object.metadata
  const apiVersion = apiVersionOf(resources[kind])
  return { apiVersion, kind, ...(namespace !== undefined && { namespace }), name, uid }
}

/**
 * Tells of decisions: an audit line and a count for each, an Event for those that do not grant what was asked for. A request that is
 * looked at again with the same result is not told of again.
 */
export class DecisionRecord {
  readonly #options: DecisionRecordOptions
  /** What was last told of each request, by its key. */
  readonly #last = new Map<string, string>()

  constructor(options: DecisionRecordOptions) {
    this.#options = options
  }

  /** Notes what became of a request; to be called once it is so. */
  note(key: string, request: RequestObject, decision: Decision): void {
    const { is, reason, message } = decision
    const text = `${request.object.metadata.uid} ${is} ${reason} ${message}`
    if (this.#last.get(key) === text) return
    this.#last.set(key, text)
    const { audit, metrics, events, dryRun } = this.#options
    metrics.decisions.inc({ kind: request.kind, decision: is, reason })
    audit.info(auditFields(request, decision, dryRun), 'decision')
    if (is === 'approve' || dryRun) return
    const { livePod } = decision.subject
    const { namespace, name, uid } = livePod?.metadata ?? {}
    const isPodKnown = namespace !== undefined && name !== undefined && uid !== undefined
    events.record(isPodKnown ? podReference({ namespace, name, uid }) : requestReference(request), {
      type: 'Warning',
      reason: eventReasons[is],
      message: `${formatRequest(request)} to ${formatSigner(askedSigner(request))}: ${message}`,
    })
  }

  /** A request is gone. */
  forget(key: string): void {
    this.#last.delete(key)
  }
}

/**
 * Who asked for what, what became of it, and why. Names are those that a pod is granted, else as the request holds them: the log quotes
 * them.
 */
export function auditFields(
  request: RequestObject,
  { is, reason, message, ...decision }: Decision,
  dryRun: boolean,
): object {
  const { policy, policies, subject, asked, owner, granted } = decision
  const names = granted?.names ?? asked?.names
  const { requester, namespace, serviceAccount, pod, node } = subject
  return {
    audit: 'podpass.io/decision',
    request: formatRequest(request),
    uid: request.object.metadata.uid,
    signer: formatSigner(askedSigner(request)),
    decision: is,
    reason,
    why: message,
    ...(dryRun && { dryRun }),
    policy,
    generation: policies.find((outcome) => outcome.policy === policy)?.generation,
    username: requester?.username,
    subject: { namespace, serviceAccount: serviceAccount?.name, pod: pod?.name, podUid: pod?.uid, node },
    owner,
    keyHash: asked?.keyHash,
    names: names && listNames(names).map(({ kind, name }) => formatName(kind, name)),
  }
}
