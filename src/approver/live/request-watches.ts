import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import type { Watched } from '../../kubernetes/outage-problems.ts'
import type { Outage } from '../../kubernetes/reflector.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
  type Resource,
} from '../../kubernetes/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type RequestKind, requestKinds, type RequestObject } from '../request/request-object.ts'
import { ServedReflector } from './served-reflector.ts'
import { track, type TrackedRequest } from './tracked-request.ts'

export interface RequestWatchesOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  /** A request as it is now, whole, for the first time or after a change. */
  readonly onSeen: (request: RequestObject, tracked: TrackedRequest) => void
  readonly onGone: (tracked: TrackedRequest) => void
  readonly clock: Clock
  readonly log: Log
}

/** All requests for certificates, of every kind that the cluster has: whole while they are open, and next to nothing of them after. */
export class RequestWatches {
  /** Resolves when every request that there is was seen once. */
  readonly known: Promise<void>
  readonly watches: readonly Watched[]
  readonly #reflectors: Readonly<Record<RequestKind, ServedReflector<KubernetesObject, TrackedRequest>>>

  constructor({ client, onSeen, onGone, clock, log }: RequestWatchesOptions) {
    const follow = (kind: RequestKind, resource: Resource): ServedReflector<KubernetesObject, TrackedRequest> => {
      // The resource says of what type its objects are.
      const requestOf = (object: KubernetesObject): RequestObject => ({ kind, object }) as RequestObject
      return new ServedReflector<KubernetesObject, TrackedRequest>({
        client,
        resource,
        transform: (object) => track(requestOf(object), clock.now()),
        handler: {
          added: (object, tracked) => onSeen(requestOf(object), tracked),
          modified: (object, tracked) => onSeen(requestOf(object), tracked),
          deleted: onGone,
        },
        clock,
        log,
      })
    }
    this.#reflectors = {
      CertificateSigningRequest: follow('CertificateSigningRequest', certificateSigningRequests),
      CertificateRequest: follow('CertificateRequest', certificateRequests),
      PodCertificateRequest: follow('PodCertificateRequest', podCertificateRequests),
    }
    this.watches = requestKinds.map((kind) => ({ what: `${kind}s`, outage: () => this.outage(kind) }))
    this.known = Promise.all(Object.values(this.#reflectors).map(({ known }) => known)).then(() => {})
    // Not everyone waits for it.
    this.known.catch(() => {})
  }

  /** Undefined while requests of a kind are followed, or there is no such kind. */
  outage(kind: RequestKind): Outage | undefined {
    return this.#reflectors[kind].outage
  }

  get(key: string): TrackedRequest | undefined {
    const [kind = '', namespace = '', name = ''] = key.split('/')
    const known = requestKinds.find((one) => one === kind)
    return known === undefined ? undefined : this.#reflectors[known].get(name, namespace === '' ? undefined : namespace)
  }

  values(): readonly TrackedRequest[] {
    return Object.values(this.#reflectors).flatMap((reflector) => Array.from(reflector.values()))
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#reflectors).map((reflector) => reflector.close()))
  }
}
