import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import type { CertificateRequest, Condition, ObjectName } from '../kubernetes/object.ts'
import { type Outage, Reflector } from '../kubernetes/reflector.ts'
import { certificateRequests } from '../kubernetes/resource.ts'
import type { Clock } from '../runtime/clock.ts'
import { formatGoDuration } from '../runtime/go-duration.ts'
import type { Log } from '../runtime/log.ts'
import { requestOutcome, type RequestOutcome } from './certificate-request-outcome.ts'
import { createError } from './cert-manager-error.ts'
import { RequestGoneError } from './errors.ts'
import type { IssuanceRequest, IssuedCertificate, Issuer, PodCredentials, RequestHandle } from './issuer.ts'
import { ownCaller, type RequestCaller, requestCaller } from './request-caller.ts'
import { identityMetadata, nodeSelector, volumeOf } from './request-identity.ts'

export interface CertManagerOptions {
  readonly client: KubernetesClient
  readonly nodeId: string
  /** Whether requests are created with the token of the pod's service account, so that its rights and policies decide. */
  readonly useTokenRequest: boolean
  readonly log: Log
  readonly clock: Clock
  /** Whether a volume still needs a request; asked of each of this node's requests after a list, and who says no has it deleted. */
  readonly isNeeded: (volumeId: string, requestId: string) => boolean
  /** Told when the API server can be reached again after it could not. */
  readonly onReachable?: () => void
}

/** What is kept of each of this node's requests in memory: who it belongs to, not what it says. */
interface Kept extends ObjectName {
  readonly namespace: string
  readonly uid: string
  readonly volumeId: string | undefined
  readonly ready: ReadyStatus
}

/** Unknown where there is no such condition yet. */
type ReadyStatus = 'True' | 'False' | 'Unknown'

/** A request that somebody waits for, or is about to. */
interface Awaited {
  /** Undefined until the API server has told it, by its answer or by the watch, whichever comes first. */
  uid: string | undefined
  outcome: RequestOutcome
  changed: (() => void) | undefined
}

function readyStatus(conditions: readonly Condition[] = []): ReadyStatus {
  const status = conditions.find(({ type }) => type === 'Ready')?.status
  return status === 'True' || status === 'False' ? status : 'Unknown'
}

const namePrefix = 'podpass-'

/**
 * cert-manager, by its CertificateRequest. One watch, scoped to the node by a label, tells of every answer.
 *
 * A request is named by its id, so that it can be created twice and exist once: on 409 its bytes and annotations are compared.
 */
export class CertManagerIssuer implements Issuer {
  readonly #options: CertManagerOptions
  readonly #reflector: Reflector<CertificateRequest, Kept>
  /** By namespace and name. */
  readonly #awaited = new Map<string, Awaited>()

  constructor(options: CertManagerOptions) {
    this.#options = options
    const { client, nodeId, log, clock } = options
    let troubled = false
    this.#reflector = new Reflector({
      client,
      log,
      clock,
      resource: certificateRequests,
      labelSelector: nodeSelector(nodeId),
      transform: ({ metadata, status }) => ({
        namespace: metadata.namespace ?? '',
        name: metadata.name ?? '',
        uid: metadata.uid ?? '',
        volumeId: volumeOf(metadata, nodeId),
        ready: readyStatus(status?.conditions),
      }),
      handler: {
        added: (request, kept) => {
          this.#tell(request)
          // Its volume may have ended while it was being created.
          this.#deleteUnneeded(kept)
        },
        modified: (request) => this.#tell(request),
        deleted: (kept) => this.#change(kept, kept.uid, { is: 'gone' }),
      },
      onTrouble: (trouble) => {
        if (!troubled)
          log.warn({ error: trouble }, 'certificate requests cannot be watched; tried again until they can')
        troubled = true
      },
      onRecovered: () => {
        troubled = false
        log.info({}, 'certificate requests are watched again')
        this.#sweep()
        this.#options.onReachable?.()
      },
    })
    this.#reflector.synced.then(
      () => this.#sweep(),
      () => {},
    )
  }

  /** Since when this node's requests have not been watched; undefined while they are. */
  outage(): Outage | undefined {
    return this.#reflector.outage
  }

  /** How many requests of this node there are, by the status of their Ready condition. */
  requestCounts(): Readonly<Record<ReadyStatus, number>> {
    const counts = { True: 0, False: 0, Unknown: 0 }
    for (const { ready } of this.#reflector.values()) counts[ready]++
    return counts
  }

  async submit(request: IssuanceRequest, signal: AbortSignal, credentials?: PodCredentials): Promise<RequestHandle> {
    const caller = requestCaller(this.#options.useTokenRequest, request.pod, credentials)
    const object = this.#objectOf(request)
    const { namespace, name } = nameOf(object)
    const key = keyOf({ namespace, name })
    // The watch may tell of the request before its creation is answered.
    const awaited: Awaited = {
      uid: undefined,
      outcome: { is: 'waiting', state: 'it is submitted' },
      changed: undefined,
    }
    this.#awaited.set(key, awaited)
    let stored: CertificateRequest
    try {
      stored = await this.#createOnce(object, caller, signal)
    } catch (error) {
      this.#awaited.delete(key)
      throw error
    }
    const uid = stored.metadata.uid ?? ''
    if (awaited.uid !== uid) this.#tell(stored)
    return {
      id: request.id,
      name: `CertificateRequest ${namespace}/${name}`,
      reference: { namespace, name, uid, volume: request.volumeId },
    }
  }

  async wait(
    handle: RequestHandle,
    signal: AbortSignal,
    progress?: (state: string) => void,
  ): Promise<IssuedCertificate> {
    const { namespace = '', name = '', uid } = handle.reference
    const key = keyOf({ namespace, name })
    const awaited = this.#awaited.get(key) ?? { uid, outcome: await this.#look(handle, signal), changed: undefined }
    this.#awaited.set(key, awaited)
    try {
      return await new Promise((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason as Error)
        const settle = (): void => {
          const { outcome } = awaited
          if (outcome.is === 'waiting') {
            progress?.(outcome.state)
            return
          }
          signal.removeEventListener('abort', onAbort)
          if (outcome.is === 'issued') resolve(outcome.certificate)
          else reject(outcome.is === 'gone' ? new RequestGoneError(handle.name) : outcome.error(handle.name))
        }
        awaited.changed = settle
        signal.addEventListener('abort', onAbort, { once: true })
        if (signal.aborted) onAbort()
        else settle()
      })
    } finally {
      this.#awaited.delete(key)
    }
  }

  async discard(handle: RequestHandle): Promise<void> {
    const { namespace = '', name = '', uid = '' } = handle.reference
    this.#awaited.delete(keyOf({ namespace, name }))
    await this.#delete({ namespace, name, uid })
  }

  /** Deletes what was told of a volume before it ended, and never by the answer to its creation, which was not waited for. */
  async forget(volumeId: string): Promise<void> {
    for (const kept of this.#reflector.values()) if (kept.volumeId === volumeId) this.#deleteUnneeded(kept)
  }

  async close(): Promise<void> {
    await this.#reflector.close()
  }

  /** Creates a request, or finds the one that an earlier attempt has created. */
  async #createOnce(
    object: CertificateRequest,
    caller: RequestCaller,
    signal: AbortSignal,
  ): Promise<CertificateRequest> {
    const { client } = this.#options
    const { namespace, name } = nameOf(object)
    try {
      return await client.create(certificateRequests, object, { signal, ...caller.options })
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') {
        signal.throwIfAborted()
        throw createError(error, `${namespace}/${name}`, caller.name)
      }
    }
    const found = await this.#read({ namespace, name }, signal)
    if (found === undefined) throw new RequestGoneError(`CertificateRequest ${namespace}/${name}`)
    if (!this.#isSame(found, object)) {
      throw new RequestGoneError(`CertificateRequest ${namespace}/${name}`, 'exists already and is not this request')
    }
    return found
  }

  #isSame(found: CertificateRequest, wanted: CertificateRequest): boolean {
    const volumeId = volumeOf(found.metadata, this.#options.nodeId)
    return (
      volumeId !== undefined &&
      volumeId === volumeOf(wanted.metadata, this.#options.nodeId) &&
      found.spec.request === wanted.spec.request
    )
  }

  async #look(handle: RequestHandle, signal: AbortSignal): Promise<RequestOutcome> {
    const { namespace = '', name = '', uid } = handle.reference
    const found = await this.#read({ namespace, name }, signal)
    return found === undefined || found.metadata.uid !== uid ? { is: 'gone' } : requestOutcome(found)
  }

  /** Reads one request by a list of one, because the right to get is not among those that the Go driver was given. */
  async #read({ namespace, name }: ObjectName, signal: AbortSignal): Promise<CertificateRequest | undefined> {
    try {
      const fieldSelector = `metadata.name=${name}`
      const { items } = await this.#options.client.list(certificateRequests, { namespace, fieldSelector, signal })
      return items[0]
    } catch (error) {
      signal.throwIfAborted()
      throw createError(error, `${namespace}/${name}`, ownCaller.name)
    }
  }

  #tell(request: CertificateRequest): void {
    const name = nameOf(request)
    if (this.#awaited.has(keyOf(name))) this.#change(name, request.metadata.uid ?? '', requestOutcome(request))
  }

  #change(name: { readonly namespace: string; readonly name: string }, uid: string, outcome: RequestOutcome): void {
    const awaited = this.#awaited.get(keyOf(name))
    // The end of an earlier object of the same name says nothing of this one.
    if (awaited === undefined || (outcome.is === 'gone' && awaited.uid !== uid)) return
    awaited.uid = uid
    awaited.outcome = outcome
    awaited.changed?.()
  }

  /** Deletes what no volume of this node needs any more, such as requests whose volume ended while the API was away. */
  #sweep(): void {
    for (const kept of this.#reflector.values()) this.#deleteUnneeded(kept)
  }

  #deleteUnneeded({ namespace, name, uid, volumeId }: Kept): void {
    if (volumeId === undefined || !name.startsWith(namePrefix)) return
    if (this.#options.isNeeded(volumeId, name.slice(namePrefix.length))) return
    this.#delete({ namespace, name, uid }).catch((error: unknown) =>
      this.#options.log.warn({ error, request: `${namespace}/${name}` }, 'a request without a volume is left'),
    )
  }

  async #delete({ namespace, name, uid }: Pick<Kept, 'namespace' | 'name' | 'uid'>): Promise<void> {
    if (uid === '') return
    try {
      await this.#options.client.delete(certificateRequests, { namespace, name }, { preconditions: { uid } })
    } catch (error) {
      // Gone, or another object of the same name: either way there is nothing of ours to delete.
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return
      throw error
    }
  }

  #objectOf(request: IssuanceRequest): CertificateRequest {
    const { pod, issuer, usages, isCA, duration, csr, id, volumeId } = request
    const { labels, annotations } = identityMetadata(this.#options.nodeId, volumeId)
    return {
      metadata: {
        name: namePrefix + id,
        namespace: pod.namespace,
        labels,
        annotations: { ...request.annotations, ...annotations },
        // The garbage collector deletes the request with its pod, also where no driver is left to do it.
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }],
      },
      spec: {
        request: Buffer.from(csr).toString('base64'),
        issuerRef: { name: issuer.name, kind: issuer.kind, group: issuer.group },
        usages,
        duration: formatGoDuration(duration),
        ...(isCA ? { isCA } : {}),
      },
    }
  }
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`
}

function nameOf({ metadata }: CertificateRequest): { readonly namespace: string; readonly name: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '' }
}
