import type { EventRecorder } from '../../kubernetes/events.ts'
import { podReference } from '../../kubernetes/events.ts'
import { statusName } from '../../runtime/grpc-status.ts'
import type { ObservedPod } from '../observed.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { parseKey } from './object-keys.ts'

export interface PodReportsOptions {
  readonly events: Pick<EventRecorder, 'record'>
  readonly pod: (namespace: string, name: string) => ObservedPod | undefined
}

/** Tells authors of pods, by events, what keeps their pods from an identity or from a part of it. What is well is not worth an event. */
export class PodReports {
  readonly #options: PodReportsOptions
  /** What was said last of each pod of which there is something to say, with its UID. */
  readonly #said = new Map<string, string>()

  constructor(options: PodReportsOptions) {
    this.#options = options
  }

  /** An object was looked at. */
  tell(key: string, outcome: KeyOutcome): void {
    const text = reportOf(outcome)
    if (text === undefined) {
      this.#said.delete(key)
      return
    }
    const object = parseKey(key)
    const pod = object.kind === 'pod' ? this.#options.pod(object.namespace, object.name) : undefined
    if (pod === undefined) return
    // A successor of the same name hears of it as well.
    const said = `${pod.uid} ${text.message}`
    if (this.#said.get(key) === said) return
    this.#said.set(key, said)
    this.#options.events.record(podReference(pod), { type: 'Warning', ...text })
  }
}

function reportOf(outcome: KeyOutcome): { readonly reason: string; readonly message: string } | undefined {
  switch (outcome.is) {
    case 'problem': {
      const kept = outcome.entry === undefined ? '' : `; it keeps ${outcome.entry.spiffeId}`
      return { reason: 'IdentityInvalid', message: outcome.problem + kept }
    }
    case 'conflict':
      return {
        reason: 'IdentityConflict',
        message: `entry ${outcome.by.id} of SPIRE has the same SPIFFE ID, parent and selectors, and is not the registrar's`,
      }
    case 'failed':
      return {
        reason: 'IdentityRefused',
        message: `SPIRE does not take the entry (${statusName(outcome.status)}): ${outcome.message}`,
      }
    case 'registered':
      return outcome.notices.length === 0
        ? undefined
        : { reason: 'IdentityIncomplete', message: outcome.notices.join('; ') }
    case 'unregistered':
    case 'ending':
      return undefined
    default:
      return outcome satisfies never
  }
}
