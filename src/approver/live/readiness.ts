import type { WatchedKind } from './cluster-view.ts'

/** How long a watch may be without its API server before somebody has to look at it, in milliseconds. */
const watchPatience = 60_000

/**
 * What was not watched for a while, for people.
 *
 * @param now - epoch milliseconds
 */
export function outageProblems(watches: readonly WatchedKind[], now: number): readonly string[] {
  return watches.flatMap(({ what, outage }) => {
    const known = outage()
    if (known === undefined || now - known.since < watchPatience) return []
    const why = known.error === undefined ? '' : `: ${known.error.message}`
    return [`${what} have not been watched since ${new Date(known.since).toISOString()}${why}`]
  })
}
