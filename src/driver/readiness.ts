import type { Clock } from '../runtime/clock.ts'
import type { Outage } from '../kubernetes/reflector.ts'
import type { Driver } from './driver.ts'

/** How long a watch may be without its API server before new volumes are better sent elsewhere, in milliseconds. */
const watchPatience = 60_000

/** A watch that the driver's work depends on. */
export interface WatchedKind {
  /** For people, such as "certificate requests". */
  readonly what: string
  readonly outage: () => Outage | undefined
}

export interface ReadinessSources {
  /** Undefined until the socket is served. */
  readonly driver: () => Pick<Driver, 'obstacles'> | undefined
  /** Why no new volume may be served: mounts that the host does not see, or a CSIDriver object that is wrong or unread. */
  readonly obstacle: () => string | undefined
  readonly watches: readonly WatchedKind[]
  readonly clock: Clock
}

/**
 * Everything that keeps a driver from serving new volumes, for people; empty where nothing does. What pods run with is renewed
 * meanwhile as well as it can be, so that none of it is a reason to restart.
 */
export async function readinessProblems(sources: ReadinessSources): Promise<readonly string[]> {
  const driver = sources.driver()
  const obstacle = sources.obstacle()
  const now = sources.clock.now()
  return [
    ...(driver === undefined ? ['the socket is not served yet'] : await driver.obstacles()),
    ...(obstacle === undefined ? [] : [obstacle]),
    ...sources.watches.flatMap(({ what, outage }) => describe(what, outage(), now) ?? []),
  ]
}

function describe(what: string, outage: Outage | undefined, now: number): string | undefined {
  if (outage === undefined || now - outage.since < watchPatience) return undefined
  const why = outage.error === undefined ? '' : `: ${outage.error.message}`
  return `${what} have not been watched since ${new Date(outage.since).toISOString()}${why}`
}
