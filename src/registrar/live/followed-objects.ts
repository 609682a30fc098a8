import type { KeyOutcome } from '../sync/key-outcome.ts'
import type { SyncSource } from '../sync/sync-options.ts'
import type { WatchedKind } from './watched-kind.ts'

/** The objects of a cluster that a registrar keeps entries for, with what these are made of, as it follows them. */
export interface FollowedObjects {
  readonly source: SyncSource
  /** Resolves when everything there is was seen once. */
  readonly synced: Promise<void>
  readonly watches: readonly WatchedKind[]
  /** Whether anything asks to federate. */
  readonly federates: boolean
  /** The trust domains that an object asks to federate with. @param key - as {@link source} names it */
  wishes(key: string): readonly string[]
  /** An object was looked at. */
  settled(key: string, outcome: KeyOutcome): void
  /** What there is to write besides entries: until the signal aborts, and resolves when nothing is being written any more. */
  lead?(leading: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** What objects depend on, and whom they tell. */
export interface Surroundings {
  /** The trust domains that the server has bundles of. */
  readonly bundles: () => ReadonlySet<string>
  /** An object is not what it was, or something that its entry rests on. */
  readonly onDirty: (key: string) => void
}
