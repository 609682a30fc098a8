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
/** How soon it is asked again for the sake of a wish: one answer is for all that come in the meantime. */
const pause = 5_000
/** Until it has answered once. */
const backoff = { first: 250, cap: 15_000 }

/** The trust domains that the server has bundles of: an entry that asks for another is refused as a whole. */
export class FederatedBundles {
  readonly #options: FederatedBundlesOptions
  #names: ReadonlySet<string> = new Set()
  #problem: string | undefined
  /** Somebody asks for what is not known, and it was not looked for since. */
  #isMissed = false
  #sleep = new AbortController()

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

  /** Something asks to federate with these. What is not known may have come since the server was asked: it is asked soon. */
  want(trustDomains: readonly string[]): void {
    if (!trustDomains.every((name) => this.#names.has(name))) this.doubt()
  }

  /** What is known may be no longer so, as where the server refuses an entry that federates: it is asked soon. */
  doubt(): void {
    this.#isMissed = true
    this.#sleep.abort(new Error('the bundles are doubted'))
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
    this.#isMissed = false
    const names = await this.#options.bundles.federatedTrustDomains(signal)
    const isSame = names.size === this.#names.size && this.#names.isSubsetOf(names)
    this.#names = names
    if (!isSame) this.#options.onChange()
  }

  /** Asks again and again until the signal aborts. Never rejects: what was known last stands. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, areWanted, log } = this.#options
    while (!signal.aborted) {
      await sleep(clock, pause, signal).catch(() => {})
      if (!this.#isMissed) await this.#wait(interval - pause, signal)
      this.#isMissed = false
      if (signal.aborted || !areWanted()) continue
      await this.refresh(signal).catch((error: unknown) => {
        if (!signal.aborted) log.debug({ error }, 'the federated bundles of the SPIRE server cannot be listed')
      })
    }
  }

  /** Until the time is over, or something is missed. */
  async #wait(time: number, signal: AbortSignal): Promise<void> {
    this.#sleep = new AbortController()
    await sleep(this.#options.clock, time, AbortSignal.any([signal, this.#sleep.signal])).catch(() => {})
  }
}
