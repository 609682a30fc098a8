import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { Outage } from '../../kubernetes/reflector.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type ApproverSettings, type Decision, decide } from '../decide.ts'
import type { LiveObjects } from '../live-objects.ts'
import type { Reading } from '../request/asked-certificate.ts'
import { readRequest } from '../request/read-request.ts'
import { formatRequest, type RequestKind, type RequestObject } from '../request/request-object.ts'
import { covers } from '../selection.ts'
import type { ApproverMetrics } from './approver-metrics.ts'
import type { ClusterChange } from './cluster-view.ts'
import type { DecisionRecord } from './decision-record.ts'
import type { ForeignApprovals } from './foreign-approvals.ts'
import { Interests } from './interests.ts'
import { Lookups, podsOf } from './lookups.ts'
import type { PolicySet, PolicySnapshot } from './policy-set.ts'
import type { RequestKeys } from './request-keys.ts'
import { topicsOf } from './topics.ts'
import type { TrackedRequest } from './tracked-request.ts'
import { type ApprovableRequest, writeDecision } from './write-decision.ts'

export interface RequestDeciderOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>
  readonly settings: ApproverSettings
  /** Decides and tells, and writes nothing. */
  readonly dryRun: boolean
  readonly find: (key: string) => TrackedRequest | undefined
  readonly live: LiveObjects
  readonly policies: Pick<PolicySet, 'current' | 'settled' | 'confirm'>
  /** Watches that decisions on a kind rest on and that do not follow their objects now. */
  readonly outages: (kind: RequestKind) => readonly Outage[]
  readonly keys: RequestKeys
  readonly foreign: ForeignApprovals
  readonly record: DecisionRecord
  readonly metrics: Pick<ApproverMetrics, 'seconds'>
  readonly clock: Clock
}

/** What a decision would have to rest on is not seen, or changes while it is looked at. It is tried again. */
export class StaleViewError extends Error {
  override readonly name = 'StaleViewError'
  readonly code = 'APPROVER_STALE_VIEW'
}

/** The API server refuses a write for want of rights. */
export class MissingRightError extends Error {
  override readonly name = 'MissingRightError'
  readonly code = 'APPROVER_MISSING_RIGHT'
}

/** How often a decision may ask for more to be read before it is begun anew. */
const mostRounds = 4
/** How often RBAC is asked again, of whose changes nothing tells, in milliseconds. */
const reviewPeriod = 60_000

/** A decision, and what it was made on. */
interface Made {
  readonly decision: Decision
  readonly policies: PolicySnapshot
  readonly hasReviews: boolean
}

/** Decides single requests on what is true at the moment, writes what was decided, and knows what a waiting request waits for. */
export class RequestDecider {
  readonly #options: RequestDeciderOptions
  readonly #interests = new Interests()
  /** Requests that wait, by key. */
  readonly #waiting = new Map<string, RequestKind>()
  /** When open requests were first seen, epoch milliseconds. */
  readonly #firstSeen = new Map<string, number>()

  constructor(options: RequestDeciderOptions) {
    this.#options = options
  }

  /** How many requests wait for what a policy wants, by kind. */
  get waiting(): ReadonlyMap<RequestKind, number> {
    const counts = new Map<RequestKind, number>()
    for (const kind of this.#waiting.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    return counts
  }

  /** An open request was seen. */
  opened(key: string): void {
    if (!this.#firstSeen.has(key)) this.#firstSeen.set(key, this.#options.clock.now())
  }

  /** A request is not open any more. */
  closed(key: string): void {
    this.#interests.delete(key)
    this.#waiting.delete(key)
    this.#firstSeen.delete(key)
  }

  /** The requests that may be decided otherwise after a change. */
  concernedBy(change: ClusterChange): ReadonlySet<string> {
    return this.#interests.of(change)
  }

  /**
   * Looks at a request, and decides it where it is open and a policy may be for it.
   *
   * @returns milliseconds until it is to be looked at again, whatever changes; undefined where only a change helps
   * @throws {StaleViewError}
   * @throws {MissingRightError}
   * @throws {ApiError | ConnectionError | CredentialError}
   */
  async look(key: string, signal: AbortSignal): Promise<number | undefined> {
    const { find, policies, foreign, live } = this.#options
    await policies.settled()
    const tracked = find(key)
    if (tracked?.request === undefined) return undefined
    const { request } = tracked
    const snapshot = this.#policiesNow()
    if (!snapshot.policies.some(({ spec }) => covers(spec, request))) {
      this.closed(key)
      return undefined
    }
    if (request.kind === 'PodCertificateRequest') {
      // Who signs it decides it (docs/adr/0009). What counts here is that it asked for its key.
      const { keys, settings } = this.#options
      if (tracked.isOpen) keys.wanted(tracked, request, readRequest(request), live, settings.patience)
      return undefined
    }
    if (tracked.isOpen) return await this.#decide(tracked, request, signal)
    foreign.look(tracked, request, snapshot.policies, live)
    return undefined
  }

  async #decide(tracked: TrackedRequest, request: ApprovableRequest, signal: AbortSignal): Promise<number | undefined> {
    const { key } = tracked
    const { client, settings, live, keys, policies, find } = this.#options
    const reading = readRequest(request)
    keys.wanted(tracked, request, reading, live, settings.patience)
    const lookups = new Lookups(client, request)
    lookups.want(podsOf(request, live, settings.drivers))
    for (let round = 0; round < mostRounds; round++) {
      // Before they are read: a change of what was read a moment ago must not be missed.
      this.#interests.set(key, topicsOf(request, lookups.podNames))
      await lookups.read(signal)
      await policies.settled()
      this.#requireView(request.kind)
      const made = this.#make(request, reading, key, lookups)
      const { pod, namespace } = made.decision.subject
      if (pod !== undefined && namespace !== undefined) lookups.want([{ namespace, name: pod.name }])
      if (lookups.isIncomplete) continue
      this.#interests.set(key, topicsOf(request, lookups.podNames, made.decision.subject))
      // It has changed meanwhile, and is in the queue again.
      if (find(key)?.resourceVersion !== tracked.resourceVersion) return undefined
      return await this.#act(tracked, request, made, signal)
    }
    throw new StaleViewError('the objects that the request is about change faster than they are read')
  }

  #make(request: RequestObject, reading: Reading, key: string, lookups: Lookups): Made {
    const { settings, clock, keys, live } = this.#options
    const policies = this.#policiesNow()
    const decision = decide({
      request,
      reading,
      policies: policies.policies,
      unready: policies.unready,
      live: lookups.over(live),
      keys: keys.seenBy(key),
      settings,
      now: clock.now(),
    })
    return { decision, policies, hasReviews: lookups.hasReviews }
  }

  /** Does what was decided. */
  async #act(
    tracked: TrackedRequest,
    request: ApprovableRequest,
    made: Made,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { key } = tracked
    const { decision } = made
    const { record } = this.#options
    switch (decision.is) {
      case 'leave alone':
        this.#waiting.delete(key)
        if (decision.reason === 'TooLate') record.note(key, request, decision)
        return made.hasReviews && decision.reason !== 'TooLate' ? this.#nextLook(tracked, made) : undefined
      case 'wait':
        this.#waiting.set(key, request.kind)
        record.note(key, request, decision)
        return this.#nextLook(tracked, made)
      case 'approve':
        this.#waiting.delete(key)
        if (!this.#options.keys.grant(key, request, decision))
          throw new StaleViewError('the key is somebody else’s now')
        await this.#write(tracked, request, made, 'approve', signal)
        return undefined
      case 'deny':
        this.#waiting.delete(key)
        await this.#write(tracked, request, made, 'deny', signal)
        return undefined
    }
  }

  async #write(
    { key }: TrackedRequest,
    request: ApprovableRequest,
    { decision, policies }: Made,
    is: 'approve' | 'deny',
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, dryRun, metrics, record } = this.#options
    const { reason, message } = decision
    const isConfirmed = await this.#options.policies.confirm(policies, signal)
    if (!isConfirmed) throw new StaleViewError('the policies have changed since the decision')
    if (!dryRun)
      await this.#refusable(request, () => writeDecision(client, request, { is, reason, message }, clock.now(), signal))
    record.note(key, request, decision)
    const since = this.#firstSeen.get(key)
    if (since !== undefined) {
      metrics.seconds.observe({ kind: request.kind, decision: is }, Math.max(0, clock.now() - since) / 1000)
    }
  }

  async #refusable(request: RequestObject, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 403 && !isWebhookRefusal(error))) throw error
      throw new MissingRightError(`${formatRequest(request)} cannot be decided: ${error.message}`, { cause: error })
    }
  }

  /** When waiting ends, or what it waits for ends without anybody telling. @returns undefined where it has ended */
  #nextLook({ key, created }: TrackedRequest, { decision, hasReviews }: Made): number | undefined {
    const { clock, settings, keys } = this.#options
    const now = clock.now()
    if (created + settings.patience <= now) return undefined
    const claim = decision.asked && keys.seenBy(key).claimOf(decision.asked.keyHash, now)
    const isHeldUp = claim !== undefined && claim.owner !== decision.owner
    const times = [
      created + settings.patience,
      ...(isHeldUp ? [claim.until] : []),
      ...(hasReviews ? [now + reviewPeriod] : []),
    ]
    // A moment later, so that it is over then.
    return Math.max(0, Math.min(...times) - now) + 1
  }

  #policiesNow(): PolicySnapshot {
    const { current } = this.#options.policies
    if (current === undefined) throw new StaleViewError('policies are being read')
    return current
  }

  #requireView(kind: RequestKind): void {
    const [outage] = this.#options.outages(kind)
    if (outage === undefined) return
    const why = outage.error === undefined ? '' : `: ${outage.error.message}`
    throw new StaleViewError(`objects that decisions rest on are not watched now${why}`)
  }
}

/** cert-manager's webhook checks who may approve for an issuer, and its refusal has the status of an invalid object. */
function isWebhookRefusal(error: ApiError): boolean {
  return error.message.includes('does not have permissions to set approved/denied conditions')
}
