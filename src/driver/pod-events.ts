import type { PodReference } from '../issuer/issuer.ts'

/** Tells the people who look at a pod (`kubectl describe pod`) what the driver sees. Never blocks and never fails its caller. */
export interface PodEvents {
  /**
   * @param reason - one word in camel case, such as RenewalFailed
   * @param message - the same text that the gRPC answer or the log has; repeated ones are counted, not repeated
   */
  record(pod: PodReference, type: 'Normal' | 'Warning', reason: string, message: string): void
}

/** Where there is no API server to tell. */
export const noEvents: PodEvents = { record: () => {} }
