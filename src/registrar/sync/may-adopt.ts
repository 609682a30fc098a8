import type { Entry } from '../../spire/entry.ts'
import type { OwnedEntries } from './owned-entries.ts'
import type { SyncSource } from './sync-options.ts'

/**
 * Whether an entry that stands in the way of an object's own belongs to the object, or to one that wants none any more, such as a resource
 * that was renamed.
 */
export function mayAdopt(
  key: string,
  entry: Entry,
  owned: Pick<OwnedEntries, 'get'>,
  source: Pick<SyncSource, 'keyOf' | 'render'>,
): boolean {
  const told = source.keyOf(entry)
  const owner = told === undefined ? undefined : (owned.get(entry.id)?.key ?? told)
  return owner !== undefined && (owner === key || source.render(owner).is === 'none')
}
