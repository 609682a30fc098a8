import { resolve } from 'node:path'
import { Command } from 'commander'
import type { Registry } from 'prom-client'
import { registerApiMetrics } from '../driver/api-metrics.ts'
import { CsiDriverGuard } from '../driver/csi-driver-guard.ts'
import { mountObstacle, podsDirectoryOf } from '../driver/data-root.ts'
import { type Driver, driverDefaults, startDriver } from '../driver/driver.ts'
import { createDriverMetrics } from '../driver/metrics.ts'
import { openGate, WatchedPodGate } from '../driver/pod-gate.ts'
import { apiPodMetadata } from '../driver/pod-metadata.ts'
import { parseReadinessGate } from '../driver/readiness-gate.ts'
import { readinessProblems } from '../driver/readiness.ts'
import { CertManagerIssuer } from '../issuer/cert-manager.ts'
import { KubernetesCsrIssuer } from '../issuer/kubernetes-csr.ts'
import { parseConfiguredTrust } from '../issuer/trust-config-map.ts'
import { ownGroup, unknownIssuer } from '../issuer/unknown-issuer.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder, podReference } from '../kubernetes/events.ts'
import { systemClock } from '../runtime/clock.ts'
import { loadLibc } from '../runtime/libc.ts'
import { stopSignal } from '../runtime/stop-signal.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { registerProcessMetrics } from '../runtime/process-metrics.ts'
import { signerGroup } from '../volume/signer-rules.ts'
import { mountCommands, SystemMounter, systemCalls } from '../volume/system-mounter.ts'
import { connectionConfig, rateLimits } from './connection.ts'
import { addDriverOptions, type DriverFlags } from './driver-flags.ts'
import { inspectCommand, renewCommand } from './driver-inspect.ts'
import { type CheckedFlags, checkFlags } from './driver-requirements.ts'
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

Where a flag is not given, its environment variable counts, then the --config file, then the default. kubectl's other flags for the
API server are taken too (--token, --as and the like), and HTTPS_PROXY and NO_PROXY are honoured.
SIGTERM and SIGINT end it: whoever waits is answered, and what pods see stays.`

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
      await runDriver(checkFlags(self.opts<DriverFlags>()))
    })
  addDriverOptions(command)
  command.addCommand(inspectCommand())
  command.addCommand(renewCommand())
  return command
}

/** Runs until a signal comes. */
async function runDriver(flags: CheckedFlags): Promise<void> {
  const { nodeId, endpoint, dataRoot, driverName, useTokenRequest, continueOnNotReady } = flags
  const clock = systemClock
  const log = createLog(flags.logLevel)
  const stopping = stopSignal(log)
  const gates = flags.podReadinessGate.map(parseReadinessGate)
  const config = await connectionConfig(flags)
  const userAgent = `podpass-driver/${programVersion}`
  // Closed in the reverse order, also where the start fails half-way: whatever stays open would keep the process.
  await using parts = new AsyncDisposableStack()
  // A kubelet that waits for the socket is served first, and only then is the API server asked.
  const serving = Promise.withResolvers<void>()
  parts.defer(() => serving.resolve())
  const client = new KubernetesClient(config, {
    log,
    clock,
    userAgent,
    startAfter: serving.promise,
    ...rateLimits(flags),
  })
  parts.defer(() => client.close())
  const events = new EventRecorder({ client, component: 'podpass-driver', instance: nodeId, log, clock })
  parts.defer(() => events.close())
  const guard = new CsiDriverGuard(driverName, client, useTokenRequest, clock, log)
  parts.defer(() => guard.close())
  let driver: Driver | undefined
  const gate =
    gates.length === 0
      ? undefined
      : new WatchedPodGate(gates, nodeId, client, clock, log, (podUid) => driver?.podChanged(podUid))
  parts.defer(() => gate?.close())
  const requests = {
    client,
    nodeId,
    useTokenRequest,
    log,
    clock,
    isNeeded: (volumeId: string, requestId: string) => driver?.isNeeded(volumeId, requestId) ?? true,
    onReachable: () => driver?.issuerIsBack(),
  }
  const issuer = new CertManagerIssuer(requests)
  parts.defer(() => issuer.close())
  const signers = new KubernetesCsrIssuer({ ...requests, trust: flags.signerTrust.map(parseConfiguredTrust) })
  parts.defer(() => signers.close())
  const metrics = createDriverMetrics()
  const named = await openNamedIssuers(flags.issuersConfig, guard, metrics.registry, log)
  parts.defer(() => named.close())
  const libc = loadLibc()
  const badMounts = await mountObstacle(dataRoot, flags.podsDir ?? podsDirectoryOf(endpoint))
  if (badMounts !== undefined) log.error({}, `no new volume is served: ${badMounts}`)
  const obstacle = (): string | undefined => badMounts ?? guard.obstacle()
  const problems = (): Promise<readonly string[]> =>
    readinessProblems({
      driver: () => driver,
      obstacle,
      watches: [
        { what: 'certificate requests', outage: () => issuer.outage() },
        { what: 'certificate signing requests', outage: () => signers.outage() },
        { what: 'CSIDriver objects', outage: () => guard.outage() },
        { what: 'pods', outage: () => gate?.outage() },
      ],
      clock,
    })
  registerProcessMetrics(metrics.registry, programVersion)
  registerApiMetrics(metrics.registry, {
    load: () => client.load,
    requestCounts: () => issuer.requestCounts(),
    problems,
  })
  const metricsServer = await serveMetrics(flags.metricsBindAddress, metrics.registry, log, problems)
  parts.defer(() => metricsServer?.close())
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
        podMetadata: apiPodMetadata(client),
        issuerFor: (reference) => {
          if (reference.group === ownGroup) return named.issuerFor(reference)
          return reference.group === signerGroup ? signers : issuer
        },
        mounter: new SystemMounter(libc === undefined ? mountCommands() : systemCalls(libc)),
        events: { record: (pod, type, reason, message) => events.record(podReference(pod), { type, reason, message }) },
        obstacle,
        onServing: serving.resolve,
        tokensInSecrets: () => guard.tokensInSecrets(),
        libc,
        clock,
        log,
        metrics,
      },
      stopping,
    )
    const running = driver
    parts.defer(() => running.close())
    await aborted(stopping)
  } catch (error) {
    if (!stopping.aborted) throw error
  }
}

/** The issuers of the administrator's file. Loaded when there is one: YAML takes memory. */
async function openNamedIssuers(file: string | undefined, guard: CsiDriverGuard, registry: Registry, log: Log) {
  if (file === undefined) {
    const nobody = unknownIssuer(
      () => `this node has no issuers of the group ${ownGroup}: name them by --issuers-config`,
    )
    return { issuerFor: () => nobody, close: async () => {} }
  }
  const { NamedIssuers } = await import('../issuer/named-issuers.ts')
  const tokenObstacle = (audience: string): string | undefined => guard.tokenObstacle(audience)
  return NamedIssuers.open({ file: resolve(file), clock: systemClock, log, registry, tokenObstacle })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
