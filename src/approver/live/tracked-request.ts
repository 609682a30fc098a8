import type { Condition } from '../../kubernetes/object.ts'
import { closedBecause, type RequestKind, type RequestObject } from '../request/request-object.ts'

/** What is remembered of a request. */
export interface TrackedRequest {
  /** Kind, namespace and name; another object may have had it before. */
  readonly key: string
  readonly uid: string
  readonly resourceVersion: string
  /** Epoch milliseconds. */
  readonly created: number
  /** Whether it is still to be decided. */
  readonly isOpen: boolean
  /** Who approved it, and when. */
  readonly approval: Approval | undefined
  /** The object as it came, while it is open or somebody else has just approved it; else nothing of it is needed any more. */
  readonly request: RequestObject | undefined
}

export interface Approval {
  /** Whether it is one of the approver's own, this process's or another's. */
  readonly isOurs: boolean
  /** The reason of the condition, such as `KubectlApprove`. */
  readonly reason: string
  /** Epoch milliseconds; the request's own time where the condition has none. */
  readonly at: number
}

/** The reasons of conditions that the approver writes are those of its decisions; nobody else is known to use this one. */
export const approvalReason = 'PolicyPassed'
/** How long an approval by somebody else is news, in milliseconds. */
export const foreignApprovalNews = 3_600_000

/** Names a request among all kinds. */
export function keyOfRequest(kind: RequestKind, name: string, namespace: string | undefined): string {
  return `${kind}/${namespace ?? ''}/${name}`
}

/**
 * What is to be remembered of a request as it came.
 *
 * @param now - epoch milliseconds
 */
export function track(request: RequestObject, now: number): TrackedRequest {
  const { kind, object } = request
  const { name = '', namespace, uid = '', resourceVersion = '', creationTimestamp = '' } = object.metadata
  const created = Date.parse(creationTimestamp) || now
  const isOpen = closedBecause(request) === undefined
  const approval = approvalOf(request, created)
  const isNews = approval !== undefined && !approval.isOurs && now - approval.at < foreignApprovalNews
  return {
    key: keyOfRequest(kind, name, namespace),
    uid,
    resourceVersion,
    created,
    isOpen,
    approval,
    request: isOpen ? request : isNews ? withoutCertificate(request) : undefined,
  }
}

/** The largest part of a request that was answered, which nobody looks at again. */
function withoutCertificate({ kind, object }: RequestObject): RequestObject {
  const conditions = object.status?.conditions ?? []
  return { kind, object: { ...object, status: { conditions } } } as RequestObject
}

/** Older requests first, so that a key belongs to who asked first. */
export function byAge(one: TrackedRequest, other: TrackedRequest): number {
  if (one.created !== other.created) return one.created - other.created
  // Of one second. What was created and not changed since has versions in the order of creation.
  return (
    one.resourceVersion.length - other.resourceVersion.length || (one.resourceVersion < other.resourceVersion ? -1 : 1)
  )
}

function approvalOf({ object }: RequestObject, created: number): Approval | undefined {
  const conditions: readonly (Condition & { readonly lastUpdateTime?: string })[] = object.status?.conditions ?? []
  const condition = conditions.find(({ type, status }) => type === 'Approved' && status === 'True')
  if (condition === undefined) return undefined
  const { reason = '', lastTransitionTime, lastUpdateTime } = condition
  const at = Date.parse(lastTransitionTime ?? lastUpdateTime ?? '') || created
  return { isOurs: reason === approvalReason, reason, at }
}
