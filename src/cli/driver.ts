import { Command } from 'commander'
import { CsiDriverGuard } from '../driver/csi-driver-guard.ts'
import { mountObstacle, podsDirectoryOf } from '../driver/data-root.ts'
import { type Driver, driverDefaults, startDriver } from '../driver/driver.ts'
import { createDriverMetrics } from '../driver/metrics.ts'
import { openGate, WatchedPodGate } from '../driver/pod-gate.ts'
import { parseReadinessGate } from '../driver/readiness-gate.ts'
import { CertManagerIssuer } from '../issuer/cert-manager.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder, podReference } from '../kubernetes/events.ts'
import { systemClock } from '../runtime/clock.ts'
import { loadLibc } from '../runtime/libc.ts'
import { createLog } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { mountCommands, SystemMounter, systemCalls } from '../volume/system-mounter.ts'
import { connectionConfig } from './connection.ts'
import { addDriverOptions, type DriverFlags } from './driver-flags.ts'
import { inspectCommand, renewCommand } from './driver-inspect.ts'
import { programVersion } from './version.ts'

const examples = `
Examples:
  # As a DaemonSet runs it: the kubelet finds the driver by its registration socket, no sidecar is needed
  podpass driver --node-id "$NODE_NAME" \\
    --endpoint unix:///var/lib/kubelet/plugins/podpass/csi.sock \\
    --registration-dir /var/lib/kubelet/plugins_registry \\
    --data-root /var/lib/kubelet/plugins/podpass/data

  # With the arguments of cert-manager's csi-driver, and its sidecars
  podpass --log-level=1 --driver-name=csi.cert-manager.io --node-id=worker-1 \\
    --endpoint=unix:///plugin/csi.sock --data-root=csi-data-dir

  # What a running driver looks after
  podpass driver inspect --data-root /var/lib/kubelet/plugins/podpass/data
`

/** The command `podpass driver`: the CSI node plugin of one node, and what asks a running one. */
export function driverCommand(): Command {
  const command = new Command('driver')
    .summary('run the CSI node plugin, which gives each pod of this node its own key and certificate')
    .description('Run the CSI node plugin: it gives each pod of this node its own key and certificate.')
    .addHelpText('after', examples)
    .action(async (_flags: DriverFlags, self: Command) => {
      const { config } = self.opts<DriverFlags>()
      if (config !== undefined) {
        const { applyConfigFile } = await import('./config-file.ts')
        await applyConfigFile(self, config)
      }
      await runDriver(required(self))
    })
  addDriverOptions(command)
  command.addCommand(inspectCommand())
  command.addCommand(renewCommand())
  return command
}

/** Looks for the flags that a driver cannot do without; they may come from the configuration file, so not earlier. */
function required(command: Command): DriverFlags & { readonly nodeId: string; readonly endpoint: string } {
  const flags = command.opts<DriverFlags>()
  const { nodeId, endpoint, podReadinessGate, continueOnNotReady } = flags
  if (nodeId === undefined) command.error("error: required option '--node-id <name>' not specified")
  if (endpoint === undefined) command.error("error: required option '--endpoint <address>' not specified")
  if (podReadinessGate.length > 0 && !continueOnNotReady) {
    command.error(
      "error: option '--pod-readiness-gate <gate>' requires --continue-on-not-ready: gates open after a pod has started",
    )
  }
  return { ...flags, nodeId, endpoint }
}

/** Runs until a signal comes, or until the kubelet does not want the driver. */
async function runDriver(flags: DriverFlags & { readonly nodeId: string; readonly endpoint: string }): Promise<void> {
  const { nodeId, endpoint, driverName, useTokenRequest, continueOnNotReady } = flags
  const clock = systemClock
  const log = createLog(flags.logLevel)
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'stopping')
      stopping.abort(new Error(`stopped by ${signal}`))
    })
  }
  const gates = flags.podReadinessGate.map(parseReadinessGate)
  const config = await connectionConfig(flags)
  const qps = Math.max(0, flags.kubeApiQps)
  const limits = qps === 0 ? {} : { qps, burst: Math.max(1, flags.kubeApiBurst) }
  const userAgent = `podpass-driver/${programVersion}`
  const client = new KubernetesClient(config, { log, clock, userAgent, ...limits })
  const events = new EventRecorder({ client, component: 'podpass-driver', instance: nodeId, log, clock })
  const guard = new CsiDriverGuard(driverName, client, useTokenRequest, clock, log)
  let driver: Driver | undefined
  const gate =
    gates.length === 0
      ? undefined
      : new WatchedPodGate(gates, nodeId, client, clock, log, (podUid) => driver?.podChanged(podUid))
  const issuer = new CertManagerIssuer({
    client,
    nodeId,
    useTokenRequest,
    log,
    clock,
    isNeeded: (volumeId, requestId) => driver?.isNeeded(volumeId, requestId) ?? true,
  })
  const libc = loadLibc()
  const dataRoot = flags.dataRoot.startsWith('/') ? flags.dataRoot : `/${flags.dataRoot}`
  const metrics = createDriverMetrics()
  const badMounts = await mountObstacle(dataRoot, flags.podsDir ?? podsDirectoryOf(endpoint))
  if (badMounts !== undefined) log.error({}, `no new volume is served: ${badMounts}`)
  const obstacle = (): string | undefined => badMounts ?? guard.obstacle()
  const readiness = (): string | undefined => (driver === undefined ? 'the socket is not served yet' : obstacle())
  const metricsServer = await serveMetrics(flags.metricsBindAddress, metrics.registry, log, readiness)
  let failure: string | undefined
  try {
    driver = await startDriver(
      {
        driverName,
        nodeId,
        version: programVersion,
        endpoint,
        dataRoot,
        registrationDirectory: flags.registrationDir,
        defaults: { duration: flags.defaultDuration, layout: flags.defaultLayout, requireSan: flags.requireSan },
        publishTimeout: flags.publishTimeout,
        volumeSize: driverDefaults.volumeSize,
        keyPool: flags.keyPool,
        volumeStats: flags.volumeStats,
        strictIssuer: flags.strictIssuer,
        requireNoswap: flags.requireNoswap,
        continueOnNotReady,
        gate: gate ?? openGate,
        issuerFor: () => issuer,
        mounter: new SystemMounter(libc === undefined ? mountCommands() : systemCalls(libc)),
        events: { record: (pod, type, reason, message) => events.record(podReference(pod), { type, reason, message }) },
        obstacle,
        tokensInSecrets: () => guard.tokensInSecrets(),
        libc,
        clock,
        log,
        metrics,
        onFatal: (reason) => {
          failure = reason
          log.error({}, reason)
          stopping.abort(new Error(reason))
        },
      },
      stopping.signal,
    )
    await aborted(stopping.signal)
  } catch (error) {
    if (!stopping.signal.aborted) throw error
  } finally {
    await driver?.close()
    await Promise.all([guard.close(), gate?.close(), issuer.close(), events.close(), metricsServer?.close()])
    await client.close()
  }
  if (failure !== undefined) process.exitCode = 1
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
