import { outageProblems, type Watched } from '../../kubernetes/outage-problems.ts'
import type { Outage } from '../../kubernetes/reflector.ts'

/** A watch, and whether it has shown everything once. */
export interface WatchedKind extends Watched {
  readonly hasSynced: () => boolean
}

/** @param what - how to call it before people, such as "pods" */
export function watchedKind(
  what: string,
  reflector: { readonly hasSynced: boolean; readonly outage: Outage | undefined },
): WatchedKind {
  return { what, hasSynced: () => reflector.hasSynced, outage: () => reflector.outage }
}

/**
 * What was never seen, or not for a while, for people.
 *
 * @param now - epoch milliseconds
 */
export function watchProblems(watches: readonly WatchedKind[], now: number): readonly string[] {
  const unseen = watches.filter(({ hasSynced }) => !hasSynced()).map(({ what }) => what)
  return [
    ...(unseen.length === 0 ? [] : [`${unseen.join(' and ')} have not been listed yet`]),
    ...outageProblems(
      watches.filter(({ hasSynced }) => hasSynced()),
      now,
    ),
  ]
}
