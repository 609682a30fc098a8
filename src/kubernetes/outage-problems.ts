import type { Outage } from './reflector.ts'

/** A watch, and how to call it before people. */
export interface Watched {
  readonly what: string
  readonly outage: () => Outage | undefined
}

/** How long a watch may be without its API server before somebody has to look at it, in milliseconds. */
const watchPatience = 60_000

/**
 * What was not watched for a while, for people.
 *
 * @param now - epoch milliseconds
 */
export function outageProblems(watches: readonly Watched[], now: number): readonly string[] {
  return watches.flatMap(({ what, outage }) => {
    const known = outage()
    if (known === undefined || now - known.since < watchPatience) return []
    const why = known.error === undefined ? '' : `: ${known.error.message}`
    return [`${what} have not been watched since ${new Date(known.since).toISOString()}${why}`]
  })
}
