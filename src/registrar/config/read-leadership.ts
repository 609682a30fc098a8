import type { Fields } from './fields.ts'
import { type Findings, placed } from './findings.ts'
import type { LeaderElectionConfig } from './registrar-config.ts'

/** The kinds of lock that client-go has had, with the object besides a Lease that the old registrar holds for each. */
const locks: Readonly<Record<string, LeaderElectionConfig['formerLock']>> = {
  leases: undefined,
  configmaps: 'configmaps',
  configmapsleases: 'configmaps',
  endpoints: 'endpoints',
  endpointsleases: 'endpoints',
}

/** @param name - of the lock */
export function readLeadership(fields: Fields, findings: Findings, name: string): LeaderElectionConfig {
  const { own, warnings } = findings
  const enabled = fields.boolean('leader_election', false)
  const lock = fields.text('leader_election_resource_lock')
  const at = fields.place('leader_election_resource_lock')
  if (lock !== '' && !Object.hasOwn(locks, lock)) {
    const problem = `leader_election_resource_lock must be leases, and is ${JSON.stringify(lock)}`
    own.push(placed(at, problem))
  } else if (lock !== '' && lock !== 'leases') {
    const warning = `leader_election_resource_lock ${lock}: a Lease is held, and the older lock with it while it exists`
    warnings.push(placed(at, warning))
  }
  if (enabled && !/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(name)) {
    const problem = `controller_name begins the name of the lock, ${JSON.stringify(name)}, which cannot name an object`
    own.push(placed(fields.place('controller_name'), problem))
  }
  // Until SPIRE 1.4 it was a ConfigMap where the file named none.
  return { enabled, name, formerLock: lock === '' ? 'configmaps' : locks[lock] }
}
