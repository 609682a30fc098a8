import type { Clock } from '../runtime/clock.ts'
import { outageProblems, type Watched } from '../kubernetes/outage-problems.ts'
import type { Driver } from './driver.ts'

export interface ReadinessSources {
  /** Undefined until the socket is served. */
  readonly driver: () => Pick<Driver, 'obstacles'> | undefined
  /** Why no new volume may be served: mounts that the host does not see, or a CSIDriver object that is wrong or unread. */
  readonly obstacle: () => string | undefined
  readonly watches: readonly Watched[]
  readonly clock: Clock
}

/**
 * Everything that keeps a driver from serving new volumes, for people; empty where nothing does. What pods run with is renewed
 * meanwhile as well as it can be, so that none of it is a reason to restart.
 */
export async function readinessProblems(sources: ReadinessSources): Promise<readonly string[]> {
  const driver = sources.driver()
  const obstacle = sources.obstacle()
  return [
    ...(driver === undefined ? ['the socket is not served yet'] : await driver.obstacles()),
    ...(obstacle === undefined ? [] : [obstacle]),
    ...outageProblems(sources.watches, sources.clock.now()),
  ]
}
