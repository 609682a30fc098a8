import { cutText } from '../../kubernetes/event-object.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import type { SpiffeIdResource } from './read-spiffe-id.ts'
import type { Violation } from './spiffe-id-rules.ts'
import type { SpiffeIdCondition, SpiffeIdStatus } from './spiffe-id-resource.ts'

/** Whether a SpiffeID has its entry, and why not. */
export interface Standing {
  readonly isReady: boolean
  /** UpperCamelCase, for machines. */
  readonly reason: string
  readonly message: string
  /** The entry on the server; undefined while there is none that is known. */
  readonly entryId: string | undefined
}

/** Longer than any list of mistakes that a person reads, in bytes. */
const longestMessage = 4096

/**
 * How a SpiffeID stands, in words for whoever made it.
 *
 * @param violation - the rule that it breaks; undefined where it breaks none
 */
export function standingOf(outcome: KeyOutcome, violation: Violation | undefined): Standing {
  const notReady = { isReady: false, entryId: undefined }
  switch (outcome.is) {
    case 'registered': {
      const leftOut = outcome.notices.length === 0 ? '' : `; ${outcome.notices.join('; ')}`
      const { id } = outcome.entry
      return { isReady: true, reason: 'Registered', message: `the SPIRE server holds the entry${leftOut}`, entryId: id }
    }
    case 'problem': {
      const { problem, entry } = outcome
      const kept = entry === undefined ? '' : '; its last good entry stays'
      const message = `${problem}${kept}`
      return { isReady: false, reason: violation?.reason ?? 'Invalid', message, entryId: entry?.id }
    }
    case 'conflict': {
      const { id } = outcome.by
      const message = `the SPIRE server has an entry ${id} with the same SPIFFE ID, parent and selectors, which is somebody else's; delete one of both`
      return { ...notReady, reason: 'Conflict', message }
    }
    // While there is an entry, it is named: a process that begins later knows by this whose it is.
    case 'failed':
      return { isReady: false, reason: 'ServerRefused', message: outcome.message, entryId: outcome.entry?.id }
    case 'ending':
    case 'unregistered': {
      const entryId = outcome.is === 'ending' ? outcome.entry?.id : undefined
      return { isReady: false, reason: violation?.reason ?? 'NotRegistered', message: outcome.reason, entryId }
    }
  }
}

/**
 * What a SpiffeID's status is to say.
 *
 * @param generation - of the resource that was judged
 * @param now - epoch milliseconds
 * @returns a merge patch of `status`; undefined where it says so already
 */
export function statusPatch(
  { status }: Pick<SpiffeIdResource, 'status'>,
  standing: Standing,
  generation: number,
  now: number,
): SpiffeIdStatus | undefined {
  const { isReady, reason, entryId } = standing
  const message = cutText(standing.message, longestMessage)
  const state = isReady ? 'True' : 'False'
  const before = status.conditions?.find(({ type }) => type === 'Ready')
  const isSaid =
    (status.entryId ?? undefined) === entryId &&
    status.observedGeneration === generation &&
    before?.status === state &&
    before.reason === reason &&
    before.message === message
  if (isSaid) return undefined
  const changed = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
  const lastTransitionTime = before?.status === state ? (before.lastTransitionTime ?? changed) : changed
  const ready: SpiffeIdCondition = {
    type: 'Ready',
    status: state,
    reason,
    message,
    lastTransitionTime,
    observedGeneration: generation,
  }
  const others = status.conditions?.filter(({ type }) => type !== 'Ready') ?? []
  return { entryId: entryId ?? null, observedGeneration: generation, conditions: [...others, ready] }
}
