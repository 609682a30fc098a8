import { setImmediate as turn } from 'node:timers/promises'
import { backoffDelay } from '../../runtime/backoff.ts'
import { sleep } from '../../runtime/clock.ts'
import type { Rendering } from '../rendering.ts'
import { batchTiming } from './batch-window.ts'
import { DeleteFuse } from './delete-fuse.ts'
import { DeleteGate, heldText } from './delete-gate.ts'
import { DirtyKeys } from './dirty-keys.ts'
import { EntryIds } from './entry-ids.ts'
import { EntryWriter } from './entry-writer.ts'
import type { KeyOutcome } from './key-outcome.ts'
import { OwnedEntries, type OwnedEntry } from './owned-entries.ts'
import { surveyEntries } from './survey.ts'
import type { SyncFigures } from './sync-metrics.ts'
import type { SyncOptions } from './sync-options.ts'

/** What is known of one object, for people. */
export interface KeyState {
  readonly rendering: Rendering
  /** What belongs to it on the server, as far as is known. */
  readonly owned: readonly OwnedEntry[]
  /** What keeps it from its entry; undefined where nothing does. */
  readonly trouble: KeyOutcome | undefined
  readonly isDeleteWaiting: boolean
}

/** While the server is of no use. */
const serverBackoff = { first: 250, cap: 15_000 }

/**
 * Keeps the entries of a SPIRE server as a source of objects says, from events: what has changed is compared and written in batches, and
 * now and then everything is. It writes only while it leads; before and after, it does nothing and costs nothing.
 */
export class SyncEngine {
  readonly #options: SyncOptions
  readonly #random: () => number
  readonly #owned = new OwnedEntries()
  readonly #ids: EntryIds
  readonly #dirty: DirtyKeys
  readonly #gate: DeleteGate
  readonly #fuse: DeleteFuse
  readonly #writer: EntryWriter
  readonly #troubles = new Map<string, KeyOutcome>()
  /** Whether what the server has was read since the process began to lead: changes are noted from then on. */
  #isCurrent = false
  #serverTrouble: Error | undefined

  constructor(options: SyncOptions) {
    this.#options = options
    const { source, clock, log, metrics, timing = batchTiming, random = Math.random } = options
    this.#random = random
    const owned = this.#owned
    this.#ids = new EntryIds({
      scheme: options.ids,
      incarnation: source.incarnation,
      isUsed: (id) => owned.get(id) !== undefined,
    })
    this.#dirty = new DirtyKeys({
      clock,
      random,
      timing,
      isRegistered: (key) => owned.of(key).some(({ certainty }) => certainty !== 'perhaps-created'),
      rank: source.rank,
    })
    this.#fuse = new DeleteFuse(options.fuse, options.areDeletesConfirmed, clock)
    this.#gate = new DeleteGate({
      fuse: this.#fuse,
      confirmGone: source.confirmGone,
      needsLook: (key) => source.render(key).is === 'none',
      owned: () => owned.size,
      onConfirmed: (keys) => this.#dirty.confirm(keys),
      onUnconfirmed: (key, error) => {
        metrics.failures.inc({ kind: 'unconfirmed_delete' })
        log.debug({ key, error }, 'an entry is not deleted: its object cannot be seen to be gone')
        this.#dirty.fail(key, clock.now())
      },
      clock,
      log,
    })
    this.#writer = new EntryWriter({
      ...options,
      owned,
      dirty: this.#dirty,
      gate: this.#gate,
      fuse: this.#fuse,
      ids: this.#ids,
      onOutcome: (key, outcome) => this.#outcome(key, outcome),
    })
  }

  /** What there is now, for whoever counts it. */
  get figures(): SyncFigures {
    const troubled = new Map([...kinds].map((kind) => [kind, 0]))
    for (const { is } of this.#troubles.values()) troubled.set(is, (troubled.get(is) ?? 0) + 1)
    return {
      entries: this.#owned.size,
      dirty: this.#dirty.size,
      retrying: this.#dirty.retrying,
      waitingDeletes: this.#gate.size,
      isFuseTripped: this.#fuse.held !== undefined,
      troubled,
    }
  }

  /**
   * The object, or what its rendering rests on, has changed. Returns at once.
   *
   * @param since - when that became known, in epoch milliseconds
   */
  mark(key: string, since?: number): void {
    if (this.#isCurrent) this.#dirty.add(key, since)
  }

  /** What every rendering rests on has changed. */
  markAll(): void {
    if (!this.#isCurrent) return
    for (const key of this.#options.source.keys()) this.#dirty.add(key)
    // Behind, so that the parents of those who come stay in front: what is only here is to go.
    for (const key of this.#owned.keys()) this.#dirty.add(key)
  }

  /**
   * Writes until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead, and only when
   * the source knows every object. First of all, everything that the server has is read.
   */
  async lead(leading: AbortSignal): Promise<void> {
    if (leading.aborted) return
    const { metrics, log } = this.#options
    metrics.leading.set(1)
    try {
      await this.#read(leading)
      if (leading.aborted) return
      this.#options.onKnown?.([...this.#owned.values()])
      this.#isCurrent = true
      log.info({ entries: this.#owned.size }, 'the entries of the SPIRE server are known, writing begins')
      this.markAll()
      await Promise.all([this.#write(leading), this.#verify(leading)])
    } finally {
      metrics.leading.set(0)
      this.#isCurrent = false
      this.#dirty.clear()
      await this.#gate.clear()
      this.#troubles.clear()
      this.#serverTrouble = undefined
    }
  }

  /** Everything that keeps the registrar from its work, for people; empty where nothing does. */
  problems(): readonly string[] {
    const { held } = this.#fuse
    return [
      ...(this.#serverTrouble === undefined ? [] : [this.#serverTrouble.message]),
      ...(held === undefined ? [] : [heldText(held, this.#owned.size)]),
    ]
  }

  /** What is known of an object, for people. */
  describe(key: string): KeyState {
    return {
      rendering: this.#options.source.render(key),
      owned: this.#owned.of(key),
      trouble: this.#troubles.get(key),
      isDeleteWaiting: this.#gate.has(key),
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      if (await this.#survey(signal, true)) return
      await this.#pause(failures, signal)
    }
  }

  async #verify(signal: AbortSignal): Promise<void> {
    const { verifyInterval, clock } = this.#options
    let failures = 0
    while (!signal.aborted) {
      if (failures === 0) await sleep(clock, verifyInterval, signal).catch(() => {})
      else await this.#pause(failures, signal)
      if (signal.aborted) return
      failures = (await this.#survey(signal, false)) ? 0 : failures + 1
      // Also what is well on the server may not be what it should be, where an event was missed.
      if (failures === 0) this.markAll()
    }
  }

  /** @returns whether everything was seen. Never rejects. */
  async #survey(signal: AbortSignal, isFirst: boolean): Promise<boolean> {
    const { entries, source, clock, metrics, log } = this.#options
    const began = clock.now()
    try {
      const report = await surveyEntries(
        {
          entries,
          owned: this.#owned,
          keyOf: source.keyOf,
          onForeign: (id) => this.#ids.foreign(id),
          onGone: (key, id) => this.#ids.gone(key, id),
        },
        signal,
      )
      this.#ids.prune()
      metrics.verifications.inc({ result: 'success' })
      metrics.verified.set(clock.now() / 1000)
      metrics.callSeconds.observe({ method: 'list' }, (clock.now() - began) / 1000)
      const { missing, changed, unknown } = report
      if (!isFirst) {
        for (const kind of ['missing', 'changed', 'unknown'] as const) metrics.drift.inc({ kind }, report[kind])
        if (missing + changed + unknown > 0) log.warn(report, 'entries on the SPIRE server are not as they were left')
      }
      this.#reached()
      return true
    } catch (error) {
      if (signal.aborted) return false
      metrics.verifications.inc({ result: 'failure' })
      this.#report(error)
      return false
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    let failures = 0
    for (;;) {
      await this.#dirty.ready(signal)
      if (signal.aborted) return
      const trouble = await this.#writer.round(signal)
      if (signal.aborted) return
      if (trouble === undefined) {
        if (failures > 0) this.#reached()
        failures = 0
        if (this.#dirty.size === 0) this.#gate.consider(signal)
        // A round without calls gives nobody else a turn.
        await turn()
      } else {
        this.#report(trouble)
        await this.#pause(++failures, signal)
      }
    }
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const delay = backoffDelay(failures, { ...serverBackoff, random: this.#random })
    await sleep(this.#options.clock, delay, signal).catch(() => {})
  }

  #outcome(key: string, outcome: KeyOutcome): void {
    if (kinds.has(outcome.is)) this.#troubles.set(key, outcome)
    else this.#troubles.delete(key)
    try {
      this.#options.onOutcome(key, outcome)
    } catch (error) {
      this.#options.log.error({ error, key }, 'a handler failed')
    }
  }

  #report(error: unknown): void {
    const trouble = error instanceof Error ? error : new Error(String(error))
    if (this.#serverTrouble === undefined) {
      this.#options.log.warn({ error: trouble }, 'the SPIRE server is of no use, tried again until it is')
    }
    this.#serverTrouble = trouble
  }

  #reached(): void {
    if (this.#serverTrouble !== undefined) this.#options.log.info({}, 'the SPIRE server answers again')
    this.#serverTrouble = undefined
  }
}

/** Outcomes that leave an object without the entry that it should have. */
const kinds: ReadonlySet<KeyOutcome['is']> = new Set(['problem', 'conflict', 'failed'])
