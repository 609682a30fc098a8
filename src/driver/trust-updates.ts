import type { Issuer, RequestHandle } from '../issuer/issuer.ts'
import { backoffDelay } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

export interface TrustUpdatesOptions {
  /** The volume's issuer, as it is configured at the moment. */
  readonly issuer: () => Issuer
  /** Puts another trust in place: PEM. Told of the same one more than once. */
  readonly apply: (ca: string) => Promise<void>
  /** In [0, 1), for backoff. */
  readonly random: () => number
  readonly clock: Clock
  readonly log: Log
}

/** How the waits grow after trust could not be followed or written, in milliseconds. */
const backoff = { first: 1000, cap: 300_000 }

/** Keeps the trust of one volume current, with issuers that tell of it without a new certificate. */
export class TrustUpdates {
  readonly #options: TrustUpdatesOptions
  #ending: AbortController | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(options: TrustUpdatesOptions) {
    this.#options = options
  }

  /** Follows the trust of a certificate, in the place of an earlier one: at first what it is now, as it may have changed meanwhile. */
  follow(handle: RequestHandle): void {
    this.#ending?.abort()
    const { signal } = (this.#ending = new AbortController())
    this.#running = this.#running.then(() => this.#run(handle, signal))
  }

  /** Resolves once nothing is written any more. */
  async close(): Promise<void> {
    this.#ending?.abort()
    await this.#running
  }

  async #run(handle: RequestHandle, signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#options
    for (let failures = 0; !signal.aborted;) {
      try {
        const updates = this.#options.issuer().trust?.(handle, signal)
        if (updates === undefined) return
        for await (const { ca } of updates) {
          if (signal.aborted) return
          await this.#options.apply(ca)
          failures = 0
        }
        return
      } catch (error) {
        if (signal.aborted) return
        failures++
        log.warn({ error, request: handle.name }, 'the trust of a volume cannot be kept current; it is tried again')
        await sleep(clock, backoffDelay(failures, { ...backoff, random }), signal).catch(() => {})
      }
    }
  }
}
