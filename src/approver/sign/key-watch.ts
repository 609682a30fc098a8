import type { PodCertificateRequest } from '../../kubernetes/certificates.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { Watched } from '../../kubernetes/outage-problems.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Decision } from '../decide.ts'
import type { KeyOwners } from '../key-ledger.ts'
import { liveObjectsOf } from '../live-objects.ts'
import { endOfLeaf } from '../live/granted-keys.ts'
import { RequestKeys } from '../live/request-keys.ts'
import { RequestWatches } from '../live/request-watches.ts'
import { keyOfRequest, type TrackedRequest } from '../live/tracked-request.ts'
import type { RequestObject } from '../request/request-object.ts'
import type { Drivers } from '../subject.ts'
import { UndecidedError } from './undecided-error.ts'

export interface KeyWatchOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  readonly drivers: Drivers
  /** Told when every request that there is was seen once. */
  readonly onKnown: () => void
  readonly clock: Clock
  readonly log: Log
}

/** Requests are told from what the API server attested in them: a driver's counts as the driver's own. */
const nothing = liveObjectsOf([])

/**
 * Whose the keys of a cluster's requests are, of every kind and for every signer: read from what the API server holds when the first pod
 * asks, and followed from then on. Where no pod ever asks nothing is read, for whoever approves the other kinds keeps a ledger of its own.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions
  readonly #keys: RequestKeys
  #requests: RequestWatches | undefined
  #isKnown = false

  constructor(options: KeyWatchOptions) {
    this.#options = options
    this.#keys = new RequestKeys(options.drivers, options.clock)
    this.#keys.complete(nothing)
  }

  /** What it follows; nothing before a pod has asked. */
  get watches(): readonly Watched[] {
    return this.#requests?.watches ?? []
  }

  /**
   * Whose keys are, as it looks to a pod's request.
   *
   * @throws {UndecidedError} before all requests were seen, and while one of the kinds is not followed
   */
  seenBy(request: PodCertificateRequest): KeyOwners {
    this.#requests ??= this.#follow()
    if (!this.#isKnown) throw new UndecidedError('whose keys are is being read from the requests of the cluster')
    for (const { what, outage } of this.#requests.watches) {
      const known = outage()
      if (known !== undefined)
        throw new UndecidedError(`${what} are not watched now, and a key of the request may be in one`, {
          cause: known.error,
        })
    }
    return this.#keys.seenBy(keyOf(request))
  }

  /**
   * Notes a key as its owner's. To be called between the decision and the signature.
   *
   * @param until - the end of the leaf, epoch milliseconds
   * @returns whether it is the owner's
   */
  claim(object: PodCertificateRequest, decision: Pick<Decision, 'asked' | 'owner'>, until: number): boolean {
    return this.#keys.grant(keyOf(object), { kind: 'PodCertificateRequest', object }, decision, until)
  }

  async close(): Promise<void> {
    await this.#requests?.close()
  }

  #follow(): RequestWatches {
    const { client, clock, log, onKnown } = this.#options
    const requests = new RequestWatches({
      client,
      onSeen: (request, tracked) => this.#seen(request, tracked),
      onGone: ({ key }) => this.#keys.forget(key),
      clock,
      log,
    })
    requests.known.then(
      () => {
        this.#isKnown = true
        onKnown()
      },
      // Closed before.
      () => {},
    )
    return requests
  }

  #seen(request: RequestObject, { key, approval }: TrackedRequest): void {
    if (approval !== undefined || endOfLeaf(request) !== undefined) this.#keys.granted(key, request, nothing)
  }
}

function keyOf({ metadata: { name = '', namespace } }: PodCertificateRequest): string {
  return keyOfRequest('PodCertificateRequest', name, namespace)
}
