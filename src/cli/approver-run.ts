import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { Registry } from 'prom-client'
import { createApproverMetrics, registerApproverFigures } from '../approver/live/approver-metrics.ts'
import { LiveApprover } from '../approver/live/live-approver.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder } from '../kubernetes/events.ts'
import { runAsLeader } from '../kubernetes/lease.ts'
import { systemClock } from '../runtime/clock.ts'
import { stopSignal } from '../runtime/stop-signal.ts'
import { createLog } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { registerProcessMetrics } from '../runtime/process-metrics.ts'
import type { ApproverRunFlags } from './approver-flags.ts'
import { limitsOf, settingsOf } from './approver-settings.ts'
import { connectionConfig, rateLimits } from './connection.ts'
import { UsageError } from './usage-error.ts'
import { programVersion } from './version.ts'

/**
 * Runs the approver until a signal comes.
 *
 * @throws {LeaseLostError} where somebody else decides from now on: the process is to end, and to be started again
 */
export async function runApprover(flags: ApproverRunFlags): Promise<void> {
  checkLeaseTiming(flags)
  const clock = systemClock
  const log = createLog(flags.logLevel)
  const stopping = stopSignal(log)
  const config = await connectionConfig(flags)
  const instance = process.env['POD_NAME'] ?? hostname()
  // Closed in the reverse order, also where the start fails half-way: whatever stays open would keep the process.
  await using parts = new AsyncDisposableStack()
  const client = new KubernetesClient(config, {
    log,
    clock,
    userAgent: `podpass-approver/${programVersion}`,
    ...rateLimits(flags),
  })
  parts.defer(() => client.close())
  const events = new EventRecorder({ client, component: 'podpass-approver', instance, log, clock })
  parts.defer(() => events.close())
  const registry = new Registry()
  const metrics = createApproverMetrics(registry)
  const approver = new LiveApprover({
    client,
    settings: settingsOf(flags),
    limits: limitsOf(flags),
    policyDirectory: flags.policyDir === undefined ? undefined : resolve(flags.policyDir),
    dryRun: flags.dryRun,
    audit: createLog('info'),
    events,
    metrics,
    clock,
    log,
  })
  parts.defer(() => approver.close())
  registerProcessMetrics(registry, programVersion)
  registerApproverFigures(registry, approver.figures)
  const server = await serveMetrics(flags.metricsBindAddress, registry, log, () => approver.problems())
  parts.defer(() => server?.close())
  const work = (leading: AbortSignal): Promise<void> => approver.lead(leading)
  try {
    if (flags.dryRun || !flags.leaderElect) {
      await work(stopping)
      return
    }
    const namespace = flags.leaderElectionNamespace ?? client.namespace
    const lease = {
      client,
      lease: { namespace, name: flags.leaderElectionName },
      identity: `${instance}_${randomUUID()}`,
      leaseDuration: flags.leaderElectionLeaseDuration,
      renewDeadline: flags.leaderElectionRenewDeadline,
      retryPeriod: flags.leaderElectionRetryPeriod,
      onHolder: (holder: string) => log.info({ holder }, holder === '' ? 'nobody leads' : 'this one leads'),
      clock,
      log,
    }
    await runAsLeader(lease, work, stopping)
  } catch (error) {
    if (!stopping.aborted) throw error
  }
}

/** client-go's JitterFactor, as the lease takes it: checked before anything is connected to. */
const jitterFactor = 1.2

function checkLeaseTiming(flags: ApproverRunFlags): void {
  const {
    leaderElectionLeaseDuration: lease,
    leaderElectionRenewDeadline: renew,
    leaderElectionRetryPeriod: retry,
  } = flags
  if (lease > renew && renew > retry * jitterFactor) return
  throw new UsageError(
    '--leader-election-lease-duration must be longer than --leader-election-renew-deadline, and that 1.2 times longer than --leader-election-retry-period',
  )
}
