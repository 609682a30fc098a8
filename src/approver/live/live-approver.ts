import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError, ConnectionError, CredentialError } from '../../kubernetes/errors.ts'
import { outageProblems } from '../../kubernetes/outage-problems.ts'
import type { Outage } from '../../kubernetes/reflector.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { WorkQueue } from '../../runtime/work-queue.ts'
import type { ApproverSettings } from '../decide.ts'
import type { PolicyLimits } from '../policy/policy-problems.ts'
import type { RequestKind, RequestObject } from '../request/request-object.ts'
import type { ApproverFigures, ApproverMetrics } from './approver-metrics.ts'
import { ClusterView } from './cluster-view.ts'
import { DecisionRecord, type DecisionRecordOptions } from './decision-record.ts'
import { ForeignApprovals } from './foreign-approvals.ts'
import { endOfLeaf } from './granted-keys.ts'
import { PolicySet } from './policy-set.ts'
import { writePolicyStatus } from './policy-status.ts'
import { MissingRightError, RequestDecider, StaleViewError } from './request-decider.ts'
import { RequestKeys } from './request-keys.ts'
import { RequestWatches } from './request-watches.ts'
import { byAge, type TrackedRequest } from './tracked-request.ts'

export interface LiveApproverOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'list' | 'pages' | 'watch' | 'create' | 'update' | 'apply'>
  readonly settings: ApproverSettings
  readonly limits: PolicyLimits
  /** A folder of policies beside those of the API server. */
  readonly policyDirectory: string | undefined
  /** Decides and tells, and writes nothing. */
  readonly dryRun: boolean
  /** Takes one line for each decision. */
  readonly audit: Log
  readonly events: DecisionRecordOptions['events']
  readonly metrics: ApproverMetrics
  readonly clock: Clock
  readonly log: Log
}

/** Decisions mostly wait for the API server, which has its own bounds (API priority and fairness). */
const workers = 64
const statusWorkers = 4

/**
 * Decides every request that a policy is for, as long as it leads; before and after, it follows everything, so that it can lead at once.
 * What was decided is in the requests themselves: whoever leads next reads it there.
 */
export class LiveApprover {
  /** Resolves when everything that decisions rest on was seen once, the keys of all granted requests among it. */
  readonly known: Promise<void>
  readonly #options: LiveApproverOptions
  readonly #view: ClusterView
  readonly #policies: PolicySet
  readonly #requests: RequestWatches
  readonly #keys: RequestKeys
  readonly #foreign: ForeignApprovals
  readonly #record: DecisionRecord
  readonly #decider: RequestDecider
  #queue: WorkQueue | undefined
  #statuses: WorkQueue | undefined
  #isKnown = false
  /** Rights that are missing, and whose writes wait for them, by request. */
  readonly #refusals = new Map<string, string>()

  constructor(options: LiveApproverOptions) {
    this.#options = options
    const { client, settings, limits, policyDirectory, clock, log } = options
    const { drivers } = settings
    this.#record = new DecisionRecord(options)
    this.#keys = new RequestKeys(drivers, clock)
    this.#foreign = new ForeignApprovals({ ...options, drivers })
    this.#view = new ClusterView({
      client,
      driverNames: drivers.driverNames,
      onChange: (change) => {
        if (this.#queue === undefined) return
        for (const key of this.#decider.concernedBy(change)) this.#queue.add(key)
      },
      clock,
      log,
    })
    this.#policies = new PolicySet({
      client,
      directory: policyDirectory,
      limits,
      onChange: () => this.#lookAtAll(),
      clock,
      log,
    })
    this.#requests = new RequestWatches({
      client,
      onSeen: (request, tracked) => this.#seen(request, tracked),
      onGone: (tracked) => this.#gone(tracked),
      clock,
      log,
    })
    this.#decider = new RequestDecider({
      ...options,
      find: (key) => this.#requests.get(key),
      live: this.#view.objects,
      policies: this.#policies,
      outages: (kind) => this.#outages(kind),
      keys: this.#keys,
      foreign: this.#foreign,
      record: this.#record,
    })
    this.known = Promise.all([this.#view.synced, this.#policies.known, this.#requests.known]).then(() => {
      this.#keys.complete(this.#view.objects)
      this.#isKnown = true
    })
    // Not everyone waits for it.
    this.known.catch(() => {})
  }

  /** What there is now, for whoever counts it. */
  get figures(): ApproverFigures {
    return {
      waiting: () => this.#decider.waiting,
      policies: () => {
        const { policies, unready } = this.#policies.current ?? { policies: [], unready: [] }
        return { used: policies.length, unready: unready.length }
      },
      queued: () => (this.#queue === undefined ? 0 : this.#queue.waiting + this.#queue.working),
      ready: () => this.problems().length === 0,
    }
  }

  /**
   * Decides until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead.
   *
   * @throws where the approver is closed before it knows everything
   */
  async lead(leading: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>()
    if (leading.aborted) return
    leading.addEventListener('abort', () => ended.resolve(), { once: true })
    await Promise.race([this.known, ended.promise])
    if (leading.aborted) return
    const { metrics, dryRun, log } = this.#options
    const [queue, statuses] = [this.#requestQueue(), this.#statusQueue()]
    this.#queue = queue
    if (!dryRun) this.#statuses = statuses
    metrics.leading.set(1)
    log.info({ requests: this.#requests.values().length, dryRun }, 'deciding')
    this.#lookAtAll()
    await ended.promise
    metrics.leading.set(0)
    this.#queue = undefined
    this.#statuses = undefined
    await Promise.all([queue.close(), statuses.close()])
  }

  /** Everything that keeps the approver from its work, for people; empty where nothing does. */
  problems(): readonly string[] {
    const watches = [
      ...this.#view.watches,
      ...this.#requests.watches,
      { what: 'policies', outage: () => this.#policies.outage },
    ]
    const [refusal] = this.#refusals.values()
    return [
      ...(this.#isKnown ? [] : ['not everything that decisions rest on was seen yet']),
      ...outageProblems(watches, this.#options.clock.now()),
      ...(this.#policies.isMissing
        ? ['there are no policies: the cluster has no CertificatePolicy, and no --policy-dir is given']
        : []),
      ...(refusal === undefined ? [] : [refusal]),
      ...this.#foreign.problems(),
    ]
  }

  async close(): Promise<void> {
    await Promise.all([this.#view.close(), this.#policies.close(), this.#requests.close()])
  }

  #seen(request: RequestObject, tracked: TrackedRequest): void {
    const { key, isOpen } = tracked
    if (isOpen) this.#decider.opened(key)
    else this.#closed(key)
    if (tracked.approval !== undefined || endOfLeaf(request) !== undefined) {
      this.#keys.granted(key, request, this.#view.objects)
    }
    if (tracked.request !== undefined) this.#queue?.add(key)
  }

  #gone({ key }: TrackedRequest): void {
    this.#closed(key)
    this.#keys.forget(key)
    this.#queue?.forget(key)
    this.#record.forget(key)
    this.#foreign.forget(key)
  }

  #closed(key: string): void {
    this.#decider.closed(key)
    this.#refusals.delete(key)
    // They may have waited for its key.
    for (const rival of this.#keys.closed(key)) this.#queue?.add(rival)
  }

  #lookAtAll(): void {
    for (const { object } of this.#policies.reports) this.#statuses?.add(object.metadata.name ?? '')
    if (this.#queue === undefined) return
    const undecided = this.#requests.values().filter(({ request }) => request !== undefined)
    for (const { key } of undecided.toSorted(byAge)) this.#queue.add(key)
  }

  #outages(kind: RequestKind): readonly Outage[] {
    const all = [
      this.#requests.outage(kind),
      this.#policies.outage,
      ...this.#view.watches.map(({ outage }) => outage()),
    ]
    return all.filter((outage) => outage !== undefined)
  }

  #requestQueue(): WorkQueue {
    const { clock, log } = this.#options
    return new WorkQueue({
      work: async (key, signal) => {
        const again = await this.#decider.look(key, signal)
        this.#refusals.delete(key)
        return again
      },
      workers,
      onFailure: (key, error) => this.#failed(key, error),
      clock,
      log,
    })
  }

  #statusQueue(): WorkQueue {
    const { client, clock, log } = this.#options
    return new WorkQueue({
      work: async (name, signal) => {
        const report = this.#policies.reports.find(({ object }) => object.metadata.name === name)
        if (report !== undefined) await writePolicyStatus(client, report, clock.now(), signal)
        return undefined
      },
      workers: statusWorkers,
      onFailure: (policy, error) => log.warn({ error, policy }, 'the status of a policy is not written, tried again'),
      clock,
      log,
    })
  }

  #failed(key: string, error: unknown): void {
    const { log, metrics } = this.#options
    const reason = failureReason(error)
    const kind = this.#requests.get(key)?.request?.kind
    if (kind !== undefined) metrics.failures.inc({ kind, reason })
    const isNew = error instanceof MissingRightError && !this.#refusals.has(key)
    if (error instanceof MissingRightError) this.#refusals.set(key, error.message)
    if (isNew) log.warn({ error, key }, 'a request cannot be decided for want of rights, tried again')
    else if (reason === 'other') log.error({ error, key }, 'a request cannot be decided, tried again')
    else log.debug({ error, key }, 'a request is looked at again')
  }
}

function failureReason(error: unknown): string {
  if (error instanceof MissingRightError) return 'refused'
  if (error instanceof StaleViewError) return 'stale'
  if (error instanceof ApiError && error.status === 409) return 'conflict'
  if (error instanceof ApiError && error.status === 404) return 'gone'
  if (error instanceof ConnectionError || error instanceof CredentialError) return 'unreachable'
  return 'other'
}
