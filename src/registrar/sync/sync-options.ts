import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Entry, EntryService } from '../../spire/entry.ts'
import type { Rendering } from '../rendering.ts'
import type { BatchTiming } from './batch-window.ts'
import type { DeleteLimit } from './delete-fuse.ts'
import type { EntryIdScheme } from './entry-id.ts'
import type { KeyOutcome } from './key-outcome.ts'
import type { OwnedEntry } from './owned-entries.ts'
import type { SyncMetrics } from './sync-metrics.ts'

/**
 * What synchronisation has to know of the objects whose entries it keeps. Objects are named by keys, such as `pod/shop/web-0`; nothing
 * here knows what they are.
 */
export interface SyncSource {
  /** Every object there is, whether it wants an entry or not. */
  readonly keys: () => Iterable<string>
  /** What an object should have, as seen now. Pure but for what has been seen; does not throw. */
  readonly render: (key: string) => Rendering
  /**
   * The object that an entry belongs to: one of the registrar's own even where no such object exists (any more).
   *
   * @returns undefined for the entries of others: they are never touched
   */
  readonly keyOf: (entry: Entry) => string | undefined
  /** Tells objects apart that have the same key one after the other, such as a pod's UID; undefined where there is no such object. */
  readonly incarnation: (key: string) => string | undefined
  /** 0 for objects whose entries are parents of others, which are made first. */
  readonly rank: (key: string) => 0 | 1
  /**
   * Looks at objects as they are at this moment, in the API server and not in what was seen of it, before their entries are deleted.
   *
   * @returns those that want none, for certain
   * @throws where that cannot be told
   */
  readonly confirmGone: (keys: readonly string[], signal: AbortSignal) => Promise<ReadonlySet<string>>
}

export interface SyncOptions {
  readonly entries: EntryService
  readonly source: SyncSource
  /** Where the ids of new entries come from. */
  readonly ids: EntryIdScheme
  readonly fuse: DeleteLimit
  /** A person has confirmed that as many entries are to be deleted as are. */
  readonly areDeletesConfirmed: boolean
  /** Milliseconds from the end of one comparison of everything to the beginning of the next. */
  readonly verifyInterval: number
  /**
   * Told, before anything is written, what there is of the registrar's own.
   *
   * @throws where nothing is to be written: whoever leads then ends with that
   */
  readonly onKnown?: (owned: readonly OwnedEntry[]) => void
  /** Told each time an object was looked at, also where nothing has changed. Synchronous. */
  readonly onOutcome: (key: string, outcome: KeyOutcome) => void
  readonly metrics: SyncMetrics
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
  readonly timing?: BatchTiming
}
