import type { CertificateSigningRequest, PodCertificateRequest } from '../../kubernetes/certificates.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import { type EventRecorder, podReference } from '../../kubernetes/events.ts'
import type { ObjectReference } from '../../kubernetes/object.ts'
import { certificateSigningRequests, podCertificateRequests, type Resource } from '../../kubernetes/resource.ts'
import { backoffDelay } from '../../runtime/backoff.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { WorkQueue } from '../../runtime/work-queue.ts'
import type { Decision } from '../decide.ts'
import { auditFields } from '../live/decision-record.ts'
import { formatRequest, type RequestObject } from '../request/request-object.ts'
import { type CaChoice, type CaShelf, chooseCa } from './ca-shelf.ts'
import { creatorObstacle } from './creator-admission.ts'
import { isOpen, podTask, shortestPodLife, withPodCertificate, withPodCondition } from './pod-request.ts'
import type { SignMetrics } from './sign-metrics.ts'
import type { SignerProfile } from './signer-profile.ts'
import { shortestLife, signingTask, withCertificate, withFailure } from './signing-request.ts'
import type { TrustPublisher } from './trust-publisher.ts'
import { UndecidedError } from './undecided-error.ts'

/** Decides the requests of pods, and remembers whose their keys are. */
export interface PodDecider {
  /** Decides now, on objects read now. */
  decide(request: PodCertificateRequest, signal: AbortSignal): Promise<Decision>
  /**
   * Notes the key as its owner's. To be asked between the decision and the signature.
   *
   * @param until - the end of the leaf, epoch milliseconds
   * @returns whether it is the owner's
   */
  claim(request: PodCertificateRequest, decision: Decision, until: number): boolean
}

export interface SignerOptions {
  readonly profile: SignerProfile
  readonly shelf: CaShelf
  readonly trust: Pick<TrustPublisher, 'maySignFrom' | 'reserve'>
  readonly client: Pick<KubernetesClient, 'get' | 'update'>
  /** Undefined where pods' requests are not signed. */
  readonly pods: PodDecider | undefined
  /** Whether to sign pods' requests although nothing binds their creators to their nodes. */
  readonly trustCreators: boolean
  readonly metrics: SignMetrics
  readonly events: Pick<EventRecorder, 'record'>
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

type Kind = 'CertificateSigningRequest' | 'PodCertificateRequest'

/** A request that is not settled, as a watch has shown it last, and how often it was looked at since. */
interface OpenRequest {
  readonly request: RequestObject
  looks: number
}

/** How many requests are worked on at a time: mostly they wait for the API server. */
const workers = 16
/** The wait between two looks at what cannot be done yet, in milliseconds. */
const retry = { first: 1_000, cap: 30_000 }

/** Something that holds up a request until it is over. Nobody is told that it failed. */
interface Wait {
  readonly reason: string
  readonly why: string
  /** Whether it is for the people of the pod to know, too. */
  readonly isNews: boolean
}

/**
 * Signs the requests for one signer name: CertificateSigningRequests that somebody approved, and PodCertificateRequests that policy
 * allows. Its sources offer it every request in every state; it takes what is its own. One of it may run at a time.
 *
 * The order of each issue: choose a CA whose root is published, sign, make the root stay for as long as the leaf lives, and only then
 * serve it. All that is temporary is tried again, for as long as the request is there.
 */
export class Signer {
  readonly #options: SignerOptions
  /** By UID. */
  readonly #open = new Map<string, OpenRequest>()
  readonly #queue: WorkQueue

  constructor(options: SignerOptions) {
    this.#options = options
    const { clock, random, log } = options
    this.#queue = new WorkQueue({
      work: (uid, signal) => this.#work(uid, signal),
      workers,
      onFailure: (uid, error) => log.error({ error, uid }, 'a request cannot be looked at, tried again'),
      clock,
      random,
      log,
    })
  }

  /** How many requests are not settled. */
  get waiting(): number {
    return this.#open.size
  }

  /** A request as a watch has shown it. */
  offer(request: RequestObject): void {
    const { object, kind } = request
    if (kind === 'CertificateRequest' || object.spec.signerName !== this.#options.profile.signerName) return
    const isOurs =
      kind === 'CertificateSigningRequest'
        ? signingTask(object, this.#options.profile).is !== 'nothing'
        : isOpen(object) && this.#options.pods !== undefined
    const { uid = '' } = object.metadata
    if (!isOurs) {
      this.forget(uid)
      return
    }
    this.#open.set(uid, { request, looks: 0 })
    this.#queue.add(uid)
  }

  /** A request that is gone, by its UID. */
  forget(uid: string): void {
    this.#open.delete(uid)
    this.#queue.forget(uid)
  }

  /** CAs, trust, policies or what these rest on have changed: whatever waits is looked at again. */
  wake(): void {
    for (const [uid, open] of this.#open) {
      open.looks = 0
      this.#queue.add(uid)
    }
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  async #work(uid: string, signal: AbortSignal): Promise<number | undefined> {
    const open = this.#open.get(uid)
    if (open === undefined) return undefined
    open.looks += 1
    const isSettled = await this.#look(open.request, open.looks, signal)
    // What has come meanwhile is looked at next.
    if (this.#open.get(uid) !== open) return undefined
    if (!isSettled) return backoffDelay(Math.max(1, open.looks), { ...retry, random: this.#options.random })
    this.#open.delete(uid)
    return undefined
  }

  /**
   * Does what can be done about a request.
   *
   * @param look - 1 the first time
   * @returns whether nothing is left to be done
   */
  async #look(request: RequestObject, look: number, signal: AbortSignal): Promise<boolean> {
    if (request.kind === 'CertificateRequest') return true
    const { kind } = request
    try {
      const wait =
        request.kind === 'CertificateSigningRequest'
          ? await this.#signRequest(
              await this.#latest(certificateSigningRequests, request.object, look, signal),
              signal,
            )
          : await this.#signForPod(await this.#latest(podCertificateRequests, request.object, look, signal), signal)
      if (wait === undefined) return true
      this.#reportWait(request, kind, wait)
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status === 404)) return true
      this.#options.metrics.waits.inc({ signer: this.#options.profile.signerName, kind, reason: 'Trouble' })
      // Changed by somebody, or the answer to our own write got lost: it is read again. The other is no trouble, it only takes time.
      const isExpected = error instanceof UndecidedError || (error instanceof ApiError && error.status === 409)
      if (!isExpected) this.#options.log.warn({ error, request: formatRequest(request) }, 'signing is tried again')
    }
    return false
  }

  /** The first look takes what the watch has shown, which the version guards; every other one reads it. */
  async #latest<T extends CertificateSigningRequest | PodCertificateRequest>(
    resource: Resource<T>,
    object: T,
    look: number,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    if (look === 1) return object
    const { name = '', namespace, uid } = object.metadata
    const latest = await this.#options.client.get(resource, { name, namespace }, { signal })
    return latest.metadata.uid === uid ? latest : undefined
  }

  async #signRequest(object: CertificateSigningRequest | undefined, signal: AbortSignal): Promise<Wait | undefined> {
    const { profile, clock, client } = this.#options
    const task = object === undefined ? undefined : signingTask(object, profile)
    if (object === undefined || task === undefined || task.is === 'nothing') return undefined
    const request = { kind: 'CertificateSigningRequest', object } as const
    if (task.is === 'fail') {
      await client.update(certificateSigningRequests, withFailure(object, task.why), { subresource: 'status', signal })
      const text = { type: 'Warning', reason: 'SignerValidationFailure', message: task.why } as const
      this.#reportEnd(request, 'failed', { username: object.spec.username }, text)
      return undefined
    }
    const now = clock.now()
    const choice = this.#chooseCa(now + shortestLife, now)
    if (choice.is === 'none') return { reason: 'NoCertificateAuthority', why: choice.why, isNews: true }
    const signed = task.sign(choice.ca, now)
    await this.#options.trust.reserve(choice.ca.root, signed.leaf.notAfter, signal)
    await client.update(certificateSigningRequests, withCertificate(object, signed), { subresource: 'status', signal })
    this.#reportEnd(request, 'issued', { username: object.spec.username, serial: signed.leaf.serial })
    return undefined
  }

  async #signForPod(object: PodCertificateRequest | undefined, signal: AbortSignal): Promise<Wait | undefined> {
    const { profile, clock, client, pods, random, trust } = this.#options
    if (object === undefined || pods === undefined || !isOpen(object)) return undefined
    const request = { kind: 'PodCertificateRequest', object } as const
    const obstacle = this.#options.trustCreators ? undefined : await creatorObstacle(client, object, signal)
    if (obstacle !== undefined) return { reason: 'CreatorNotBound', why: obstacle, isNews: true }
    const decision = await pods.decide(object, signal)
    const now = clock.now()
    const choice = this.#chooseCa(now + shortestPodLife, now)
    if (choice.is === 'none' && decision.is === 'approve') {
      return { reason: 'NoCertificateAuthority', why: choice.why, isNews: true }
    }
    const task = podTask(decision, profile, choice.is === 'ca' ? choice.ca : undefined, now, random())
    switch (task.is) {
      case 'nothing':
        return { reason: decision.reason, why: decision.message, isNews: false }
      case 'wait':
        return { reason: task.reason, why: task.why, isNews: true }
      case 'deny': {
        const denied = withPodCondition(object, 'Denied', task.reason, task.why, now)
        await client.update(podCertificateRequests, denied, { subresource: 'status', signal })
        const text = { type: 'Warning', reason: task.reason, message: task.why } as const
        this.#reportEnd(request, 'denied', auditFields(request, decision, false), text)
        return undefined
      }
      case 'sign': {
        const { times } = task
        if (!pods.claim(object, decision, times.notAfter)) {
          return { reason: 'KeyInUse', why: 'the key belongs to another owner', isNews: true }
        }
        const signed = task.sign()
        await trust.reserve(task.ca.root, times.notAfter, signal)
        const issued = withPodCertificate(object, signed, times, now)
        await client.update(podCertificateRequests, issued, { subresource: 'status', signal })
        this.#reportEnd(request, 'issued', { ...auditFields(request, decision, false), serial: signed.leaf.serial })
        return undefined
      }
    }
  }

  #chooseCa(end: number, now: number): CaChoice {
    const { shelf, trust } = this.#options
    const choice = chooseCa(shelf.cas, ({ root }) => trust.maySignFrom(root), end, now)
    if (choice.is === 'ca') shelf.keepFrom(choice.ca)
    return choice
  }

  #reportEnd(
    request: Exclude<RequestObject, { kind: 'CertificateRequest' }>,
    outcome: 'issued' | 'failed' | 'denied',
    audit: object,
    text?: { readonly type: 'Warning'; readonly reason: string; readonly message: string },
  ): void {
    const { metrics, profile, log, events } = this.#options
    metrics.decisions.inc({ signer: profile.signerName, kind: request.kind, outcome })
    const { name = '', namespace, uid } = request.object.metadata
    log.info(
      {
        ...audit,
        audit: true,
        signer: profile.signerName,
        kind: request.kind,
        namespace,
        name,
        uid,
        outcome,
        why: text?.message,
      },
      outcome,
    )
    if (text !== undefined) for (const about of subjectsOf(request)) events.record(about, text)
  }

  #reportWait(
    request: Exclude<RequestObject, { kind: 'CertificateRequest' }>,
    kind: Kind,
    { reason, why, isNews }: Wait,
  ): void {
    const { metrics, profile, events, log } = this.#options
    metrics.waits.inc({ signer: profile.signerName, kind, reason })
    log.debug({ request: formatRequest(request), reason, why }, 'it is not signed yet')
    if (!isNews) return
    for (const about of subjectsOf(request)) events.record(about, { type: 'Warning', reason, message: why })
  }
}

/** The request, and the pod that waits for it. */
function subjectsOf({ kind, object }: Exclude<RequestObject, { kind: 'CertificateRequest' }>): ObjectReference[] {
  const { name = '', uid = '', namespace } = object.metadata
  const own = { apiVersion: 'certificates.k8s.io/v1', kind, name, uid, ...(namespace !== undefined && { namespace }) }
  if (kind === 'CertificateSigningRequest') return [own]
  const { podName, podUID } = object.spec
  return [own, podReference({ namespace: namespace ?? '', name: podName, uid: podUID })]
}
