import { abortable } from '../../kubernetes/abortable.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { BundleService, EntryService } from '../../spire/entry.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import { type KeyState, SyncEngine } from '../sync/sync-engine.ts'
import type { SyncFigures, SyncMetrics } from '../sync/sync-metrics.ts'
import { FederatedBundles } from './federated-bundles.ts'
import type { FollowedObjects, Surroundings } from './followed-objects.ts'
import { entriesToTakeOver, TakeoverRefusedError } from './takeover.ts'
import { watchProblems } from './watched-kind.ts'

export interface LiveRegistrarOptions<Objects extends FollowedObjects> {
  /** Begins to follow the objects of the configuration's mode. */
  readonly follow: (surroundings: Surroundings) => Objects
  readonly entries: EntryService
  readonly bundles: BundleService
  readonly config: RegistrarConfig
  /** Entries of the registrar before this one may be taken over though nothing shows that it has ended. */
  readonly mayTakeOver: boolean
  readonly areDeletesConfirmed: boolean
  readonly metrics: SyncMetrics
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** @returns false where the signal aborts first */
async function isKnownBefore(known: Promise<void>, signal: AbortSignal): Promise<boolean> {
  try {
    await abortable(known, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}

/**
 * Keeps an entry for each object that should have one, as long as it leads; before and after, it follows the cluster, so that it can
 * lead at once.
 */
export class LiveRegistrar<Objects extends FollowedObjects = FollowedObjects> {
  /** What it follows. */
  readonly objects: Objects
  readonly #clock: Clock
  readonly #bundles: FederatedBundles
  readonly #engine: SyncEngine
  /** Whether it is decided that no other registrar is at work. */
  #isAlone: boolean
  /** What begins once it is. */
  #onAlone: (() => void) | undefined

  /** @throws what `follow` throws */
  constructor(options: LiveRegistrarOptions<Objects>) {
    const { config, clock, log, entries, metrics, mayTakeOver, areDeletesConfirmed } = options
    const random = options.random && { random: options.random }
    this.#clock = clock
    this.#isAlone = mayTakeOver || config.leaderElection.enabled
    const objects = options.follow({ bundles: () => this.#bundles.names, onDirty: (key) => this.mark(key) })
    this.objects = objects
    this.#bundles = new FederatedBundles({
      bundles: options.bundles,
      areWanted: () => objects.federates,
      onChange: () => this.#engine.markAll(),
      clock,
      log,
      ...random,
    })
    const { source } = objects
    this.#engine = new SyncEngine({
      entries,
      source: {
        keys: () => source.keys(),
        render: (key) => source.render(key),
        keyOf: (entry) => source.keyOf(entry),
        incarnation: (key) => source.incarnation(key),
        rank: (key) => source.rank(key),
        confirmGone: (asked, signal) => source.confirmGone(asked, signal),
      },
      ids: { prefix: config.entryIdPrefix, cluster: config.cluster },
      fuse: config.deleteFuse,
      areDeletesConfirmed,
      verifyInterval: config.verifyInterval,
      onKnown: (owned) => {
        const others = mayTakeOver ? 0 : entriesToTakeOver(config, owned)
        if (others > 0) throw new TakeoverRefusedError(others)
        this.#isAlone = true
        this.#onAlone?.()
      },
      onOutcome: (key, outcome) => {
        // The server names no field; a bundle that is gone since it was listed is one reason to refuse an entry.
        if (outcome.is === 'failed' && this.#federates(key)) this.#bundles.doubt()
        objects.settled(key, outcome)
      },
      metrics,
      clock,
      log,
      ...random,
    })
  }

  /** Resolves when everything that entries are made of was seen once. */
  get known(): Promise<void> {
    return this.objects.synced
  }

  /** What there is now, for whoever counts it. */
  get figures(): SyncFigures {
    return this.#engine.figures
  }

  /** An object is not what it was: told by whoever hears of it. */
  mark(key: string): void {
    this.#bundles.want(this.objects.wishes(key))
    this.#engine.mark(key)
  }

  /**
   * Writes until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead.
   *
   * @throws {TakeoverRefusedError}
   * @throws where the registrar is closed before it knows everything
   */
  async lead(leading: AbortSignal): Promise<void> {
    const ended = new AbortController()
    const signal = AbortSignal.any([leading, ended.signal])
    if (!(await isKnownBefore(this.known, signal))) return
    await this.#bundles.begin(signal)
    if (signal.aborted) return
    const work = [this.#engine.lead(signal), this.#bundles.follow(signal), this.#leadObjects(signal)]
    try {
      await Promise.all(work)
    } finally {
      ended.abort(new Error('the registrar has ended its work'))
      await Promise.allSettled(work)
    }
  }

  /** Where another registrar may still be at work, nothing is written to the cluster before it is known that there is none. */
  #federates(key: string): boolean {
    const rendering = this.objects.source.render(key)
    return rendering.is === 'entry' && rendering.spec.federatesWith.length > 0
  }

  #leadObjects(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    // At once, so that it hears of the first outcome.
    const begin = (): void => resolve(this.objects.lead?.(signal))
    if (this.#isAlone) begin()
    else this.#onAlone = begin
    signal.addEventListener('abort', () => resolve(), { once: true })
    return promise
  }

  /** Everything that keeps the registrar from its work, for people; empty where nothing does. */
  problems(): readonly string[] {
    return [
      ...watchProblems(this.objects.watches, this.#clock.now()),
      ...(this.#bundles.problem === undefined ? [] : [this.#bundles.problem]),
      ...this.#engine.problems(),
    ]
  }

  /** What is known of an object, for people. */
  describe(key: string): KeyState {
    return this.#engine.describe(key)
  }

  async close(): Promise<void> {
    await this.objects.close()
  }
}
