import type { IssuerReference, RequestHandle } from '../issuer/issuer.ts'
import type { Clock } from '../runtime/clock.ts'
import { RefusedError } from './errors.ts'
import { refusalDelay } from './retry.ts'

/** A request that an issuer refused, and that it still holds for people to look at. */
export interface RefusedRequest {
  readonly issuer: IssuerReference
  readonly handle: RequestHandle
}

/** What is remembered of a volume whose first request was refused. Nothing else of it is left. */
interface Denial {
  readonly text: string
  readonly attempts: number
  readonly nextAttempt: number
  readonly request: RefusedRequest | undefined
}

/** How many denials are remembered; the oldest go first. */
const mostDenials = 1000

/** Remembers denials, so that the kubelet's retries do not become requests: a minute passes before the next, doubling to an hour. */
export class Denials {
  readonly #clock: Clock
  readonly #discard: (request: RefusedRequest) => void
  readonly #byVolume = new Map<string, Denial>()

  /** @param discard - told of requests that nobody needs to look at any more */
  constructor(clock: Clock, discard: (request: RefusedRequest) => void) {
    this.#clock = clock
    this.#discard = discard
  }

  remember(volumeId: string, text: string, request: RefusedRequest | undefined): void {
    const attempts = (this.#byVolume.get(volumeId)?.attempts ?? 0) + 1
    const nextAttempt = this.#clock.now() + refusalDelay(attempts)
    this.#byVolume.delete(volumeId)
    this.#byVolume.set(volumeId, { text, attempts, nextAttempt, request })
    const [oldest] = this.#byVolume.keys()
    if (this.#byVolume.size > mostDenials && oldest !== undefined) this.forget(oldest)
  }

  /**
   * Lets a new request be made, if it is time for one.
   *
   * @throws {RefusedError} with the same text as before, where it is not
   */
  check(volumeId: string): void {
    const denial = this.#byVolume.get(volumeId)
    if (denial === undefined) return
    if (denial.nextAttempt > this.#clock.now()) {
      const next = new Date(denial.nextAttempt).toISOString()
      throw new RefusedError(`${denial.text} (a new request is made at ${next} at the earliest)`)
    }
    if (denial.request !== undefined) this.#discard(denial.request)
    this.#byVolume.set(volumeId, { ...denial, request: undefined })
  }

  /** Whether a request is the one that was refused. */
  holds(volumeId: string, requestId: string): boolean {
    return this.#byVolume.get(volumeId)?.request?.handle.id === requestId
  }

  forget(volumeId: string): void {
    const denial = this.#byVolume.get(volumeId)
    if (denial?.request !== undefined) this.#discard(denial.request)
    this.#byVolume.delete(volumeId)
  }
}
