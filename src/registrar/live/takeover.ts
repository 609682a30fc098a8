import type { RegistrarConfig } from '../config/registrar-config.ts'
import { isOwnEntryId } from '../sync/entry-id.ts'
import type { OwnedEntry } from '../sync/owned-entries.ts'

/** Nothing shows whether the registrar before this one still writes, and its entries are there. */
export class TakeoverRefusedError extends Error {
  override readonly name = 'TakeoverRefusedError'
  readonly code = 'REGISTRAR_TAKEOVER_REFUSED'
  /** How many there are of another registrar's making. */
  readonly entries: number

  constructor(entries: number) {
    super(
      `${entries} entries under this registrar's parent IDs were made by another one, and without leader_election nothing shows whether it ` +
        'still runs. Stop it, then start this one with --takeover, or set leader_election = true in both',
    )
    this.entries = entries
  }
}

type TakeoverConfig = Pick<RegistrarConfig, 'entryIdPrefix' | 'cluster' | 'leaderElection'>

/**
 * How many entries there are of the making of another registrar that perhaps still runs: 0 where a lock tells whether it does. Where
 * this registrar has written before, that was decided before.
 *
 * @param owned - all that are this registrar's now
 */
export function entriesToTakeOver(
  { entryIdPrefix, cluster, leaderElection }: TakeoverConfig,
  owned: readonly Pick<OwnedEntry, 'entry'>[],
): number {
  if (leaderElection.enabled) return 0
  const ids = { prefix: entryIdPrefix, cluster }
  const others = owned.filter(({ entry }) => !isOwnEntryId(ids, entry.id))
  return others.length === owned.length ? others.length : 0
}
