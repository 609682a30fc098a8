import type { DeleteResult, Entry, EntryResult } from '../../spire/entry.ts'
import { statusName } from '../../runtime/grpc-status.ts'
import { SpireError } from '../../spire/errors.ts'
import { type ItemAnswer, sendBatch } from './batch-call.ts'
import type { DeleteFuse } from './delete-fuse.ts'
import type { DirtyKey } from './dirty-keys.ts'
import type { KeyOutcome } from './key-outcome.ts'
import { mayAdopt } from './may-adopt.ts'
import { type CreateItem, type DeleteItem, planRound, type PlanRoundOptions, type UpdateItem } from './plan-round.ts'
import type { SyncOptions } from './sync-options.ts'

export interface EntryWriterOptions
  extends Omit<PlanRoundOptions, 'source'>, Pick<SyncOptions, 'entries' | 'source' | 'metrics' | 'clock'> {
  readonly fuse: DeleteFuse
}

/** One kind of call. */
interface Sending<Item, Result> {
  readonly method: 'create' | 'update' | 'delete'
  readonly items: readonly Item[]
  readonly idOf: (item: Item) => string
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>
  /** @param began - when the call began, in epoch milliseconds */
  readonly answered: (item: Item, result: Result, began: number) => void
  /** The item may or may not have been carried out. */
  readonly unknown: (item: Item) => void
}

/** gRPC status codes of single items. */
const [ok, notFound, alreadyExists] = [0, 5, 6] as const

/** Writes what dirty keys need: creates, then updates, then deletes, so that no identity ends before another begins. */
export class EntryWriter {
  readonly #options: EntryWriterOptions

  constructor(options: EntryWriterOptions) {
    this.#options = options
  }

  /**
   * Looks at the first dirty keys and sends up to one batch of each kind. Never rejects.
   *
   * @returns what keeps the server from being of use, undefined where nothing does; what was not carried out so is dirty again
   */
  async round(signal: AbortSignal): Promise<unknown> {
    const { entries, dirty } = this.#options
    const round = planRound(dirty.take(), this.#options)
    const creates: Sending<CreateItem, EntryResult> = {
      method: 'create',
      items: round.creates,
      idOf: ({ entry }) => entry.id,
      send: (items) =>
        entries.create(
          items.map(({ entry }) => entry),
          signal,
        ),
      answered: (item, result, began) => this.#created(item, result, began),
      unknown: ({ dirty: { key }, entry }) =>
        this.#hold(key, { ...entry, revision: 0n, admin: false }, 'perhaps-created'),
    }
    const updates: Sending<UpdateItem, EntryResult> = {
      method: 'update',
      items: round.updates,
      idOf: ({ before }) => before.id,
      send: (items) =>
        entries.update(
          items.map(({ update }) => update),
          signal,
        ),
      answered: (item, result) => this.#updated(item, result),
      unknown: ({ dirty: { key }, before }) => this.#hold(key, before, 'perhaps-changed'),
    }
    const deletes: Sending<DeleteItem, DeleteResult> = {
      method: 'delete',
      items: round.deletes,
      idOf: ({ entry }) => entry.id,
      send: (items) =>
        entries.delete(
          items.map(({ entry }) => entry.id),
          signal,
        ),
      answered: (item, result) => this.#deleted(item, result),
      unknown: ({ dirty: { key }, entry }) => this.#hold(key, entry, 'perhaps-changed'),
    }
    const createTrouble = await this.#send(creates, signal, undefined)
    const updateTrouble = await this.#send(updates, signal, createTrouble)
    return await this.#send(deletes, signal, updateTrouble)
  }

  /** @param before - trouble that an earlier call met: nothing more is sent */
  async #send<Item extends { readonly dirty: DirtyKey }, Result>(
    { method, items, idOf, send, answered, unknown }: Sending<Item, Result>,
    signal: AbortSignal,
    before: unknown,
  ): Promise<unknown> {
    const { dirty, owned, clock, metrics } = this.#options
    if (before !== undefined || signal.aborted) {
      for (const {
        dirty: { key, since },
      } of items)
        dirty.add(key, since)
      return before
    }
    const began = clock.now()
    const call = { send: (part: readonly Item[]) => this.#call(method, () => send(part)), onRepeat: unknown }
    const { answers, trouble } = await owned.whileWritten(items.map(idOf), () => sendBatch(items, call))
    for (const [place, item] of items.entries()) {
      const answer: ItemAnswer<Result> = answers[place] ?? { is: 'unknown' }
      const { key, since } = item.dirty
      if (answer.is === 'answered') {
        answered(item, answer.result, began)
      } else if (answer.is === 'refused') {
        this.#failed(item.dirty, { code: answer.error.status, message: answer.error.message })
      } else {
        if (answer.is === 'unknown') {
          unknown(item)
          metrics.failures.inc({ kind: 'unknown_outcome' })
        }
        dirty.add(key, since)
      }
    }
    return trouble
  }

  async #call<Result>(method: string, send: () => Promise<Result>): Promise<Result> {
    const { metrics, clock, dirty } = this.#options
    const began = clock.now()
    dirty.called()
    try {
      const result = await send()
      metrics.calls.inc({ method, code: statusName(ok) })
      return result
    } catch (error) {
      metrics.calls.inc({ method, code: error instanceof SpireError ? statusName(error.status) : 'OTHER' })
      throw error
    } finally {
      metrics.callSeconds.observe({ method }, (clock.now() - began) / 1000)
    }
  }

  #created({ dirty, entry: asked, notices }: CreateItem, { code, message, entry }: EntryResult, began: number): void {
    const { owned, source, metrics, clock } = this.#options
    const { key, since } = dirty
    if (code === ok && entry !== undefined) {
      // A server before 1.8 makes ids of its own; whether the one that was asked for was used, it tells by this answer.
      if (entry.id !== asked.id) owned.remove(asked.id)
      owned.put(key, entry)
      const now = clock.now()
      metrics.identitySeconds.observe({ phase: 'queue' }, (began - since) / 1000)
      metrics.identitySeconds.observe({ phase: 'call' }, (now - began) / 1000)
      metrics.identitySeconds.observe({ phase: 'total' }, (now - since) / 1000)
      this.#succeeded(key, { is: 'registered', entry, change: 'created', notices })
      return
    }
    if (code === alreadyExists && entry !== undefined) {
      if (entry.id !== asked.id) owned.remove(asked.id)
      if (mayAdopt(key, entry, owned, source)) {
        owned.put(key, entry)
        this.#options.dirty.add(key, since)
        return
      }
      metrics.failures.inc({ kind: 'conflict' })
      this.#options.onOutcome(key, { is: 'conflict', by: entry })
      this.#options.dirty.fail(key, since)
      return
    }
    // The id is taken: by a create of ours that was thought lost. It says which entry that is, but not what is in it.
    if (code === alreadyExists) this.#hold(key, { ...asked, revision: 0n, admin: false }, 'perhaps-changed')
    this.#failed(dirty, { code, message })
  }

  #updated({ dirty, before, notices }: UpdateItem, { code, message, entry }: EntryResult): void {
    const { owned } = this.#options
    const { key, since } = dirty
    if (code === ok && entry !== undefined) {
      owned.put(key, entry)
      this.#succeeded(key, { is: 'registered', entry, change: 'updated', notices })
      // What it has beside this one can go now.
      if (owned.of(key).length > 1) this.#options.dirty.add(key, since)
      return
    }
    if (code === notFound) {
      const wasSure = owned.get(before.id)?.certainty === 'sure'
      this.#gone(key, before.id)
      if (wasSure) {
        this.#options.metrics.drift.inc({ kind: 'missing' })
        this.#options.dirty.add(key, since)
        return
      }
    }
    this.#failed(dirty, { code, message })
  }

  #deleted({ dirty, entry }: DeleteItem, { code, message }: DeleteResult): void {
    if (code !== ok && code !== notFound) {
      this.#failed(dirty, { code, message })
      return
    }
    const { key } = dirty
    const { owned, fuse } = this.#options
    this.#gone(key, entry.id)
    if (code === ok) fuse.deleted(1)
    // While it has others, it stands where it stood: with one that stays, or with several that go.
    if (!owned.has(key)) this.#succeeded(key, { is: 'unregistered', reason: 'its entry was deleted' })
  }

  #gone(key: string, id: string): void {
    this.#options.owned.remove(id)
    this.#options.ids.gone(key, id)
  }

  #hold(key: string, entry: Entry, certainty: 'perhaps-created' | 'perhaps-changed'): void {
    this.#options.owned.put(key, entry, certainty)
  }

  /** What the server is known to hold, in this form or another. */
  #lastGood(key: string): Entry | undefined {
    return this.#options.owned.of(key).find(({ certainty }) => certainty !== 'perhaps-created')?.entry
  }

  #succeeded(key: string, outcome: KeyOutcome): void {
    this.#options.dirty.succeed(key)
    this.#options.onOutcome(key, outcome)
  }

  #failed({ key, since }: DirtyKey, { code, message }: { readonly code: number; readonly message: string }): void {
    this.#options.metrics.failures.inc({ kind: 'refused' })
    this.#options.onOutcome(key, { is: 'failed', status: code, message, entry: this.#lastGood(key) })
    this.#options.dirty.fail(key, since)
  }
}
