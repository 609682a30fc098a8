import { certificateSigningRequests } from '../kubernetes/resource.ts'
import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import { type Outage, Reflector } from '../kubernetes/reflector.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { RequestOutcome } from './certificate-request-outcome.ts'
import { RequestGoneError } from './errors.ts'
import { nodeSelector } from './request-identity.ts'
import { ownerOf, type RequestOwner } from './signing-request.ts'
import { signingRequestOutcome } from './signing-request-outcome.ts'

export interface SigningRequestWatchOptions {
  readonly client: KubernetesClient
  readonly signerName: string
  readonly nodeId: string
  readonly log: Log
  readonly clock: Clock
  /** Whether a volume still needs a request; asked of each of this node's requests after a list, and who says no has it deleted. */
  readonly isNeeded: (volumeId: string, requestId: string) => boolean
  /** Told when the API server can be reached again after it could not. */
  readonly onReachable: () => void
}

/** What is kept of each request in memory: whose it is, not what it says. */
interface Kept {
  readonly name: string
  readonly uid: string
  readonly owner: RequestOwner | undefined
}

/** A request that somebody waits for, or is about to. */
interface Awaited {
  uid: string | undefined
  /** Whether the uid is that of the request which somebody waits for, not just of what the watch has shown under its name. */
  isOurs: boolean
  outcome: RequestOutcome
  changed: (() => void) | undefined
}

/** This node's requests to one signer, by one watch. */
export class SigningRequestWatch {
  readonly #options: SigningRequestWatchOptions
  readonly #reflector: Reflector<CertificateSigningRequest, Kept>
  /** By name. */
  readonly #awaited = new Map<string, Awaited>()

  constructor(options: SigningRequestWatchOptions) {
    this.#options = options
    const { client, nodeId, signerName, log, clock } = options
    this.#reflector = new Reflector({
      client,
      log,
      clock,
      resource: certificateSigningRequests,
      labelSelector: nodeSelector(nodeId),
      fieldSelector: `spec.signerName=${signerName}`,
      transform: ({ metadata }) => ({
        name: metadata.name ?? '',
        uid: metadata.uid ?? '',
        owner: ownerOf(metadata, nodeId),
      }),
      handler: {
        added: (request, kept) => {
          this.#tell(request)
          // Its volume may have ended while it was being created.
          this.#deleteUnneeded(kept)
        },
        modified: (request) => this.#tell(request),
        deleted: ({ name, uid }) => this.#change(name, uid, { is: 'gone' }),
      },
      onRecovered: () => {
        this.sweep()
        options.onReachable()
      },
    })
    this.#reflector.synced.then(
      () => this.sweep(),
      () => {},
    )
  }

  /** Since when the requests have not been watched; undefined while they are. */
  get outage(): Outage | undefined {
    return this.#reflector.outage
  }

  /** Takes note of what is told under a name from now on: the watch may tell of a request before its creation is answered. */
  expect(name: string): void {
    const outcome = { is: 'waiting', state: 'it is submitted' } as const
    this.#awaited.set(name, { uid: undefined, isOurs: false, outcome, changed: undefined })
  }

  /** Nobody waits for what has this name. */
  ignore(name: string): void {
    this.#awaited.delete(name)
  }

  /** This is the request that is waited for, as the API server has answered. */
  accept(request: CertificateSigningRequest): void {
    const { name = '', uid } = request.metadata
    const outcome = signingRequestOutcome(request)
    const awaited = this.#awaited.get(name)
    if (awaited === undefined || awaited.uid !== uid) {
      this.#awaited.set(name, { uid, isOurs: true, outcome, changed: undefined })
    } else {
      // What the watch has told of it is as new, or newer.
      awaited.isOurs = true
    }
  }

  /**
   * Waits for the end of a request that was accepted.
   *
   * @param described - the request, for people
   * @returns PEM of the chain, leaf first
   * @throws {IssuanceError}
   */
  async wait(
    name: string,
    described: string,
    signal: AbortSignal,
    progress: ((state: string) => void) | undefined,
  ): Promise<string> {
    const awaited = this.#awaited.get(name)
    if (awaited === undefined) throw new RequestGoneError(described)
    try {
      const outcome = await this.#settled(awaited, signal, progress)
      if (outcome.is === 'issued') return outcome.certificate.chain
      if (outcome.is === 'gone') throw new RequestGoneError(described)
      throw (await this.#readRefusal(name, outcome, signal)).error(described)
    } finally {
      this.#awaited.delete(name)
    }
  }

  /** Deletes what no volume of this node needs any more, such as requests whose volume ended while the API was away. */
  sweep(): void {
    for (const kept of this.#reflector.values()) this.#deleteUnneeded(kept)
  }

  async close(): Promise<void> {
    await this.#reflector.close()
  }

  #settled(
    awaited: Awaited,
    signal: AbortSignal,
    progress: ((state: string) => void) | undefined,
  ): Promise<Exclude<RequestOutcome, { is: 'waiting' }>> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error)
      const settle = (): void => {
        const { outcome } = awaited
        if (outcome.is === 'waiting') {
          progress?.(outcome.state)
          return
        }
        signal.removeEventListener('abort', onAbort)
        resolve(outcome)
      }
      awaited.changed = settle
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      else settle()
    })
  }

  /** The refusal with who has written it, which no watch keeps. */
  async #readRefusal<Refused extends RequestOutcome>(
    name: string,
    known: Refused,
    signal: AbortSignal,
  ): Promise<Refused> {
    try {
      const outcome = signingRequestOutcome(
        await this.#options.client.get(certificateSigningRequests, { name }, { signal }),
      )
      return outcome.is === known.is ? (outcome as Refused) : known
    } catch {
      signal.throwIfAborted()
      return known
    }
  }

  #tell(request: CertificateSigningRequest): void {
    const { name = '', uid = '' } = request.metadata
    if (this.#awaited.has(name)) this.#change(name, uid, signingRequestOutcome(request))
  }

  #change(name: string, uid: string, outcome: RequestOutcome): void {
    const awaited = this.#awaited.get(name)
    // What was, or is, another object of this name says nothing of the one that is waited for.
    if (awaited === undefined || ((awaited.isOurs || outcome.is === 'gone') && awaited.uid !== uid)) return
    awaited.uid = uid
    awaited.outcome = outcome
    awaited.changed?.()
  }

  #deleteUnneeded({ name, uid, owner }: Kept): void {
    const { client, isNeeded, log } = this.#options
    if (owner === undefined || isNeeded(owner.volumeId, owner.requestId)) return
    deleteSigningRequest(client, name, uid).catch((error: unknown) =>
      log.warn({ error, request: name }, 'a request without a volume is left'),
    )
  }
}

/** Deletes a request, unless it is gone or another has its name. */
export async function deleteSigningRequest(
  client: Pick<KubernetesClient, 'delete'>,
  name: string,
  uid: string,
): Promise<void> {
  try {
    await client.delete(certificateSigningRequests, { name }, { preconditions: { uid } })
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return
    throw error
  }
}
