import { ApiError } from '../../kubernetes/errors.ts'
import { type LeaseOptions, runAsLeader } from '../../kubernetes/lease.ts'
import { silentLog } from '../../runtime/log.ts'
import type { LeaderElectionConfig } from '../config/registrar-config.ts'
import { formerLockClient, formerLocks } from './former-lock.ts'

export interface LeadershipOptions extends Omit<LeaseOptions, 'lease'> {
  readonly config: LeaderElectionConfig
  /** The registrar's own. */
  readonly namespace: string
}

/**
 * Works while it holds the lock of the registrar before this one: the Lease of its name, and where there is one, the older object with
 * it. That one then waits, and this one for it, whichever came first.
 *
 * @throws {import('../../kubernetes/lease.ts').LeaseLostError} when one of them is lost: whoever led must not go on
 * @throws what the work throws
 * @throws the signal's reason, where it aborts while the process still waits
 */
export async function runAsRegistrar(
  { config, namespace, ...options }: LeadershipOptions,
  work: (leading: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const election: LeaseOptions = { ...options, lease: { namespace, name: config.name } }
  await runAsLeader(
    election,
    async (leading) => {
      const former = config.formerLock
      if (former === undefined || !(await hasFormerLock(election, former, leading))) return await work(leading)
      const client = formerLockClient(options.client, formerLocks[former])
      await runAsLeader({ ...election, client, onHolder: () => {} }, work, leading)
    },
    signal,
  )
}

/** Whether the older lock exists. Without the right to read it, whoever installed this registrar knows of none. */
async function hasFormerLock(
  { client, lease: name, log = silentLog }: LeaseOptions,
  kind: NonNullable<LeaderElectionConfig['formerLock']>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.get(formerLocks[kind], name, { signal })
  } catch (error) {
    if (!(error instanceof ApiError && (error.status === 404 || error.status === 403))) throw error
    if (error.status === 403) log.debug({ error }, 'whether there is an older lock cannot be read')
    return false
  }
  log.info({ kind, name: name.name }, 'the older lock is held, too')
  return true
}
