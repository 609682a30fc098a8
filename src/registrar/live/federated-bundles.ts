import { backoffDelay } from '../../runtime/backoff.ts'
import { sleep, type Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { BundleService } from '../../spire/entry.ts'

export interface FederatedBundlesOptions {
  readonly bundles: BundleService
  /** Whether anything depends on them: the server is not asked for what nobody wants. */
  readonly areWanted: () => boolean
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** How often the server is asked, in milliseconds. It tells nobody that a bundle has come. */
const interval = 60_000
/** Until it has answered once. */
const backoff = { first: 250, cap: 15_000 }

/** The trust domains that the server has bundles of: an entry that asks for another is refused as a whole. */
export class FederatedBundles {
  readonly #options: FederatedBundlesOptions
  #names: ReadonlySet<string> = new Set()
  #problem: string | undefined

  constructor(options: FederatedBundlesOptions) {
    this.#options = options
  }

  get names(): ReadonlySet<string> {
    return this.#names
  }

  /** What keeps the server from telling, while nothing can be done without its answer. */
  get problem(): string | undefined {
    return this.#problem
  }

  /**
   * Asks until the server has answered. To be awaited before the first write: what an entry may not ask for would be taken from those
   * that have it. Never rejects; an abort ends it.
   */
  async begin(signal: AbortSignal): Promise<void> {
    const { clock, log, random = Math.random } = this.#options
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await this.refresh(signal)
        break
      } catch (error) {
        if (signal.aborted) break
        if (failures === 1)
          log.warn({ error }, 'the federated bundles of the SPIRE server cannot be listed, tried again')
        this.#problem = error instanceof Error ? error.message : String(error)
        await sleep(clock, backoffDelay(failures, { ...backoff, random }), signal).catch(() => {})
      }
    }
    this.#problem = undefined
  }

  /**
   * Asks the server.
   *
   * @throws {import('../../spire/errors.ts').SpireError}
   */
  async refresh(signal: AbortSignal): Promise<void> {
    const names = await this.#options.bundles.federatedTrustDomains(signal)
    const isSame = names.size === this.#names.size && this.#names.isSubsetOf(names)
    this.#names = names
    if (!isSame) this.#options.onChange()
  }

  /** Asks again and again until the signal aborts. Never rejects: what was known last stands. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, areWanted, log } = this.#options
    while (!signal.aborted) {
      await sleep(clock, interval, signal).catch(() => {})
      if (signal.aborted || !areWanted()) continue
      await this.refresh(signal).catch((error: unknown) => {
        if (!signal.aborted) log.debug({ error }, 'the federated bundles of the SPIRE server cannot be listed')
      })
    }
  }
}
