import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Registry } from 'prom-client'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder } from '../kubernetes/events.ts'
import { runAsRegistrar } from '../registrar/live/leadership.ts'
import { openRegistrar } from '../registrar/live/open-registrar.ts'
import { createSyncMetrics, registerSyncFigures } from '../registrar/sync/sync-metrics.ts'
import { formerWebhookWarnings } from '../registrar/webhook/former-webhooks.ts'
import { systemClock } from '../runtime/clock.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { registerProcessMetrics } from '../runtime/process-metrics.ts'
import { stopSignal } from '../runtime/stop-signal.ts'
import { connectionConfig, rateLimits } from './connection.ts'
import { type RegistrarFlags, registrarSettings } from './registrar-flags.ts'
import { connectServer } from './registrar-server.ts'
import { programVersion } from './version.ts'

/**
 * Runs the registrar until a signal comes.
 *
 * @throws {UsageError} for a file that is wrong
 * @throws {LeaseLostError} where somebody else writes from now on: the process is to end, and to be started again
 * @throws {TakeoverRefusedError}
 */
export async function runRegistrar(flags: RegistrarFlags): Promise<void> {
  const { config, warnings, connection, logLevel } = await registrarSettings(flags)
  const clock = systemClock
  const log = createLog(logLevel, config.log)
  for (const warning of warnings) log.warn({ config: flags.config }, warning)
  const stopping = stopSignal(log)
  const instance = process.env['POD_NAME'] ?? hostname()
  // Closed in the reverse order, also where the start fails half-way: whatever stays open would keep the process.
  await using parts = new AsyncDisposableStack()
  const client = new KubernetesClient(await connectionConfig(connection), {
    log,
    clock,
    userAgent: `podpass-registrar/${programVersion}`,
    ...rateLimits(flags),
  })
  parts.defer(() => client.close())
  const { server, ownId: whoAmI } = connectServer(parts, config.server, config.trustDomain, clock, log)
  // Nothing can be written before it is there, and its entry must be known from the first look on.
  const ownId = await whoAmI(stopping)
  if (ownId !== undefined) log.info({ spiffeId: ownId }, 'this registrar has an SVID')
  const events = new EventRecorder({ client, component: 'podpass-registrar', instance, log, clock })
  parts.defer(() => events.close())
  const registry = new Registry()
  const registrar = await openRegistrar({
    client,
    server,
    config,
    namespace: process.env['MY_POD_NAMESPACE'] ?? client.namespace,
    ownId,
    mayTakeOver: flags.takeover,
    areDeletesConfirmed: flags.confirmDeletes,
    events,
    metrics: createSyncMetrics(registry),
    clock,
    log,
  })
  parts.defer(() => registrar.close())
  if (config.mode !== 'webhook') void warnOfFormerWebhooks(client, log, stopping)
  registerProcessMetrics(registry, programVersion)
  registerSyncFigures(registry, () => registrar.figures)
  const metrics = await serveMetrics(config.metricsAddress, registry, log, () => registrar.problems())
  parts.defer(() => metrics?.close())
  const work = (leading: AbortSignal): Promise<void> => registrar.lead(leading)
  try {
    if (!config.leaderElection.enabled) {
      await work(stopping)
      return
    }
    const leadership = {
      client,
      config: config.leaderElection,
      // Where the registrar before this one takes its own from.
      namespace: process.env['MY_POD_NAMESPACE'] ?? client.namespace,
      identity: `${instance}_${randomUUID()}`,
      onHolder: (holder: string) => log.info({ holder }, holder === '' ? 'nobody leads' : 'this one leads'),
      clock,
      log,
    }
    await runAsRegistrar(leadership, work, stopping)
  } catch (error) {
    if (!stopping.aborted) throw error
  }
}

/** Never rejects: without the right to look, nothing is said. */
async function warnOfFormerWebhooks(client: KubernetesClient, log: Log, signal: AbortSignal): Promise<void> {
  try {
    for (const warning of await formerWebhookWarnings(client, signal)) log.warn({}, warning)
  } catch (error) {
    if (!signal.aborted) log.debug({ error }, 'whether there is a webhook configuration left over cannot be read')
  }
}
