import { Command, InvalidArgumentError, Option } from 'commander'
import { CsiDriverGuard } from '../driver/csi-driver-guard.ts'
import { mountObstacle, podsDirectoryOf } from '../driver/data-root.ts'
import { type Driver, driverDefaults, startDriver } from '../driver/driver.ts'
import { createDriverMetrics } from '../driver/metrics.ts'
import { CertManagerIssuer } from '../issuer/cert-manager.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder, podReference } from '../kubernetes/events.ts'
import { systemClock } from '../runtime/clock.ts'
import { parseGoDuration } from '../runtime/go-duration.ts'
import { loadLibc } from '../runtime/libc.ts'
import { createLog, type LogLevel } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { mountCommands, SystemMounter, systemCalls } from '../volume/system-mounter.ts'
import { standardDefaults } from '../volume/spec.ts'
import { connectionConfig } from './connection.ts'
import { programVersion } from './version.ts'

interface DriverFlags {
  readonly nodeId: string
  readonly endpoint: string
  readonly driverName: string
  readonly dataRoot: string
  readonly registrationDir?: string
  readonly podsDir?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly kubeApiQps: number
  readonly kubeApiBurst: number
  readonly defaultDuration: number
  readonly defaultLayout: 'default' | 'legacy'
  readonly publishTimeout: number
  readonly keyPool: number
  readonly useTokenRequest?: true
  readonly requireSan?: true
  readonly requireNoswap?: true
  readonly strictIssuer?: true
  readonly metricsBindAddress: string
  readonly logLevel: string
}

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
`

/** The command `podpass driver`: the CSI node plugin of one node. */
export function driverCommand(): Command {
  return new Command('driver')
    .description('Run the CSI node plugin: it gives each pod of this node its own key and certificate.')
    .addOption(new Option('--node-id <name>', 'name of this node').env('NODE_NAME').makeOptionMandatory())
    .addOption(
      new Option('--endpoint <address>', 'socket to serve CSI on, such as unix:///plugin/csi.sock')
        .env('CSI_ENDPOINT')
        .argParser(parseEndpoint)
        .makeOptionMandatory(),
    )
    .option('--driver-name <name>', 'name of the CSI driver', driverDefaults.driverName)
    .option('--data-root <folder>', 'folder that volumes are kept in; a relative one is taken from /', '/csi-data-dir')
    .option('--registration-dir <folder>', "kubelet's plugins_registry folder, to register without a sidecar")
    .option('--pods-dir <folder>', "kubelet's pods folder; told from --endpoint where that lies below the kubelet's")
    .addOption(new Option('--kubeconfig <file>', 'how to reach the API server, outside of a cluster').env('KUBECONFIG'))
    .option('--context <name>', 'context of the kubeconfig file')
    .option('--kube-api-qps <number>', 'API calls a second; 0 and below for no limit', parseNumber, 0)
    .option('--kube-api-burst <number>', 'API calls that may exceed --kube-api-qps at once', parseNumber, 0)
    .addOption(
      new Option('--default-duration <duration>', 'lifetime of certificates whose volume names none')
        .argParser(parseLifetime)
        .default(standardDefaults.duration, '720h'),
    )
    .addOption(
      new Option('--default-layout <layout>', 'legacy adds the file names of the first csi-driver (crt.pem, key.pem)')
        .choices(['default', 'legacy'])
        .default('default'),
    )
    .addOption(
      new Option('--publish-timeout <duration>', 'how long a publish waits for its certificate')
        .argParser(parseLifetime)
        .default(driverDefaults.publishTimeout, '60s'),
    )
    .option(
      '--use-token-request',
      "make requests with the token of the pod's service account, whose rights then decide",
    )
    .option('--key-pool <number>', 'RSA keys of each size to keep ready', parseNumber, driverDefaults.keyPool)
    .option('--require-san', 'refuse volumes without any DNS, IP or URI name')
    .option('--require-noswap', 'refuse volumes where the kernel could write keys to swap')
    .option('--strict-issuer', 'refuse certificates that differ in any way from what was asked for')
    .option('--metrics-bind-address <address>', 'where to serve /metrics, such as :9402; 0 for nowhere', '0')
    .option(
      '-v, --log-level <level>',
      'debug, info, warn or error; a number as the Go driver takes it: 0 to 4 is info, 5 debug',
      'info',
    )
    .addHelpText('after', examples)
    .action(async (flags: DriverFlags) => runDriver(flags))
}

/** Runs until a signal comes, or until the kubelet does not want the driver. */
async function runDriver(flags: DriverFlags): Promise<void> {
  const clock = systemClock
  const log = createLog(logLevelOf(flags.logLevel))
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'stopping')
      stopping.abort(new Error(`stopped by ${signal}`))
    })
  }
  const config = await connectionConfig(flags.kubeconfig, flags.context)
  const qps = Math.max(0, flags.kubeApiQps)
  const limits = qps === 0 ? {} : { qps, burst: Math.max(1, flags.kubeApiBurst) }
  const client = new KubernetesClient(config, { log, clock, userAgent: `podpass-driver/${programVersion}`, ...limits })
  const events = new EventRecorder({ client, component: 'podpass-driver', instance: flags.nodeId, log, clock })
  const useTokenRequest = flags.useTokenRequest === true
  const guard = new CsiDriverGuard(flags.driverName, client, useTokenRequest, clock, log)
  const libc = loadLibc()
  const dataRoot = flags.dataRoot.startsWith('/') ? flags.dataRoot : `/${flags.dataRoot}`
  let driver: Driver | undefined
  const issuer = new CertManagerIssuer({
    client,
    nodeId: flags.nodeId,
    useTokenRequest,
    log,
    clock,
    isNeeded: (volumeId, requestId) => driver?.isNeeded(volumeId, requestId) ?? true,
  })
  const metrics = createDriverMetrics()
  const metricsServer = await serveMetrics(flags.metricsBindAddress, metrics.registry, log)
  let failure: string | undefined
  try {
    const badMounts = await mountObstacle(dataRoot, flags.podsDir ?? podsDirectoryOf(flags.endpoint))
    if (badMounts !== undefined) log.error({}, `no new volume is served: ${badMounts}`)
    driver = await startDriver(
      {
        driverName: flags.driverName,
        nodeId: flags.nodeId,
        version: programVersion,
        endpoint: flags.endpoint,
        dataRoot,
        registrationDirectory: flags.registrationDir,
        defaults: {
          duration: flags.defaultDuration,
          layout: flags.defaultLayout,
          requireSan: flags.requireSan === true,
        },
        publishTimeout: flags.publishTimeout,
        volumeSize: driverDefaults.volumeSize,
        keyPool: flags.keyPool,
        strictIssuer: flags.strictIssuer === true,
        requireNoswap: flags.requireNoswap === true,
        issuerFor: () => issuer,
        mounter: new SystemMounter(libc === undefined ? mountCommands() : systemCalls(libc)),
        events: { record: (pod, type, reason, message) => events.record(podReference(pod), { type, reason, message }) },
        obstacle: () => badMounts ?? guard.obstacle(),
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
    await new Promise<void>((resolve) => {
      if (stopping.signal.aborted) resolve()
      else stopping.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } catch (error) {
    if (!stopping.signal.aborted) throw error
  } finally {
    await driver?.close()
    await Promise.all([guard.close(), issuer.close(), events.close(), metricsServer?.close()])
    await client.close()
  }
  if (failure !== undefined) process.exitCode = 1
}

function parseEndpoint(value: string): string {
  const path = /^unix:(?:\/\/)?(.+)$/.exec(value)?.[1] ?? (value.startsWith('/') ? value : undefined)
  if (path === undefined) throw new InvalidArgumentError('must be a Unix socket, such as unix:///plugin/csi.sock.')
  // The Go driver takes unix://plugin/csi.sock to mean /plugin/csi.sock.
  return path.startsWith('/') ? path : `/${path}`
}

function parseNumber(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number)) throw new InvalidArgumentError('must be a number.')
  return number
}

function parseLifetime(value: string): number {
  let duration: number
  try {
    duration = parseGoDuration(value)
  } catch {
    throw new InvalidArgumentError('must be a duration, such as 720h or 1m30s.')
  }
  if (duration <= 0) throw new InvalidArgumentError('must be longer than 0.')
  return duration
}

function logLevelOf(value: string): LogLevel {
  if (value === 'debug' || value === 'info' || value === 'warn' || value === 'error') return value
  return Number(value) >= 5 ? 'debug' : 'info'
}
