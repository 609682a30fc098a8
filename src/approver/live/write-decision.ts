import type { KubernetesClient } from '../../kubernetes/client.ts'
import { cutText } from '../../kubernetes/event-object.ts'
import type { Condition } from '../../kubernetes/object.ts'
import { certificateRequests, certificateSigningRequests } from '../../kubernetes/resource.ts'
import type { RequestObject } from '../request/request-object.ts'

/** A request that is approved or denied before it is signed: a PodCertificateRequest knows no approval, and who signs it decides it. */
export type ApprovableRequest = Exclude<RequestObject, { kind: 'PodCertificateRequest' }>

/** What is written to a request. */
export interface Verdict {
  readonly is: 'approve' | 'deny'
  readonly reason: string
  readonly message: string
}

/** Long enough for every rule of some policies, in bytes. */
const longestMessage = 4096

/**
 * Writes a decision as a condition, to the very object that was decided: its uid and resourceVersion go along, because a
 * CertificateSigningRequest takes an update without them whatever has become of it.
 *
 * @param now - epoch milliseconds
 * @throws {ApiError} 409 where the object has changed, 404 where it is gone, 403 without the right to approve for its signer
 */
export async function writeDecision(
  client: Pick<KubernetesClient, 'update'>,
  request: ApprovableRequest,
  { is, reason, message }: Verdict,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
  const condition: Condition = {
    type: is === 'approve' ? 'Approved' : 'Denied',
    status: 'True',
    reason,
    message: cutText(message, longestMessage),
    lastTransitionTime: time,
  }
  switch (request.kind) {
    case 'CertificateSigningRequest': {
      const { object } = request
      // Without it the server takes the time of its own clock, which others compare with.
      const { lastTransitionTime: _, ...own } = condition
      const decided = {
        ...object,
        status: { ...object.status, conditions: [...(object.status?.conditions ?? []), own] },
      }
      await client.update(certificateSigningRequests, decided, { subresource: 'approval', signal })
      return
    }
    case 'CertificateRequest': {
      const { object } = request
      const conditions = [...(object.status?.conditions ?? []), condition]
      const decided = { ...object, status: { ...object.status, conditions } }
      await client.update(certificateRequests, decided, { subresource: 'status', signal })
      return
    }
  }
}
