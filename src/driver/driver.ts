import { Server } from '@grpc/grpc-js'
import { randomBytes } from 'node:crypto'
import { Identity, Node } from '../gen/csi/v1/csi_pb.ts'
import type { Issuer, IssuerReference } from '../issuer/issuer.ts'
import type { Clock } from '../runtime/clock.ts'
import { implementation, serviceDefinition } from '../runtime/grpc-service.ts'
import type { Libc } from '../runtime/libc.ts'
import type { Log } from '../runtime/log.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { UnixServer } from '../runtime/unix-server.ts'
import type { Mounter } from '../volume/mounter.ts'
import type { SpecDefaults } from '../volume/spec.ts'
import { createKeyGenerator } from '../x509/key.ts'
import { KeyPool } from '../x509/key-pool.ts'
import { rememberingTrusted } from '../x509/trusted-certificates.ts'
import { serveControl } from './control.ts'
import { openDataRoot, readBootId, swapIsOn } from './data-root.ts'
import { identityService } from './identity-service.ts'
import { createDriverMetrics, type DriverMetrics, registerKeyPoolMetrics } from './metrics.ts'
import { nodeService } from './node-service.ts'
import type { PodEvents } from './pod-events.ts'
import { openGate, type PodGate } from './pod-gate.ts'
import { noPodMetadataSource, type PodMetadataSource } from './pod-metadata.ts'
import { type KubeletRegistration, registerWithKubelet } from './registration.ts'
import { registerVolumeMetrics } from './volume-metrics.ts'
import type { VolumeReport } from './volume-report.ts'
import { Volumes } from './volumes.ts'

export interface DriverOptions {
  readonly driverName: string
  readonly nodeId: string
  readonly version: string
  /** Absolute path of the CSI socket. */
  readonly endpoint: string
  /** Absolute path of the folder that volumes are kept in. */
  readonly dataRoot: string
  /** The kubelet's plugins_registry folder; undefined where a sidecar registers the driver. */
  readonly registrationDirectory: string | undefined
  readonly defaults: SpecDefaults
  /** The longest that a publish waits for a certificate, in milliseconds. */
  readonly publishTimeout: number
  /** The most that a volume's files may take, in bytes. */
  readonly volumeSize: number
  /** How many RSA keys are kept ready: {@link import('../x509/key-pool.ts').KeyPoolOptions.capacity}. */
  readonly keyPool: number
  readonly strictIssuer: boolean
  readonly requireNoswap: boolean
  readonly issuerFor: (reference: IssuerReference) => Issuer
  readonly mounter: Mounter
  readonly events: PodEvents
  readonly gate: PodGate
  readonly podMetadata: PodMetadataSource
  /** Whether a pod whose gates are closed is started with an empty volume. */
  readonly continueOnNotReady: boolean
  /** Whether the kubelet is told how full and how well each volume is. */
  readonly volumeStats: boolean
  /** Why no new volume may be served, for people; undefined where it may. */
  readonly obstacle: () => string | undefined
  /** Whether the CSIDriver object says that tokens come as CSI secrets. */
  readonly tokensInSecrets: () => boolean
  readonly libc: Libc | undefined
  readonly clock: Clock
  readonly log: Log
  readonly metrics?: DriverMetrics
  /** In [0, 1), for what must not happen at the same time on all nodes. @default {Math.random} */
  readonly random?: () => number
  /** Whether any swap is on. @default {what /proc/swaps says} */
  readonly swapOn?: () => Promise<boolean>
  /** Called once the socket serves, which is long before all volumes are taken up. */
  readonly onServing?: () => void
}

export const driverDefaults = {
  driverName: 'csi.cert-manager.io',
  publishTimeout: 60_000,
  volumeSize: 4 * 1024 * 1024,
  // A wave of pods that fills half of a node of 110.
  keyPool: 64,
  gate: openGate,
  podMetadata: noPodMetadataSource,
  continueOnNotReady: false,
  volumeStats: false,
} as const

/** A node plugin at work. */
export interface Driver {
  readonly endpoint: string
  readonly metrics: DriverMetrics
  /** What keeps it from taking new volumes, for people: the kubelet has not taken it, or the data root cannot be written to. */
  obstacles(): Promise<readonly string[]>
  /** Tells that a pod has changed, so that its gates are looked at. */
  podChanged(podUid: string): void
  /** Tells that an issuer can be reached again, so that what could not reach it is tried soon. */
  issuerIsBack(): void
  /** What it looks after, for people. */
  inspect(): VolumeReport[]
  /** Whether somebody here still needs a request, which the issuer then must keep. */
  isNeeded(volumeId: string, requestId: string): boolean
  /** Answers whoever waits, stops all work and gives the socket back. What pods see stays. */
  close(): Promise<void>
}

/** How many RSA keys are made at once. More would keep Node's four I/O threads from files and name look-ups. */
const rsaSlots = 2
/** grpc-js would count every call for a debugging service (channelz) that nobody can reach here. */
const serverOptions = { 'grpc.enable_channelz': 0 }
/** What a volume gets that asks for nothing else, in bits; such keys are made ahead. */
const usualRsaSize = 2048
/** How long calls that are being answered may take when the driver stops, in milliseconds. */
const drainTime = 2000

/**
 * Starts the node plugin: takes up the volumes that are there, then serves. None of it needs the API server.
 *
 * @param signal - gives up waiting for a predecessor that holds the data root or the socket
 */
export async function startDriver(options: DriverOptions, signal: AbortSignal): Promise<Driver> {
  const { clock, log, libc, driverName, endpoint, version } = options
  const dumpable = libc?.forbidDumps()
  if (dumpable !== undefined) log.warn({ reason: dumpable }, 'core dumps could not be switched off')
  // Closed in the reverse order, also where the start fails half-way.
  await using parts = new AsyncDisposableStack()
  const dataRoot = await openDataRoot(options.dataRoot, libc, clock, log, signal)
  parts.defer(() => dataRoot.close())
  const keys = new KeyPool({
    generator: createKeyGenerator(new Semaphore(rsaSlots)),
    capacity: options.keyPool,
    clock,
  })
  parts.defer(() => keys.close())
  const metrics = options.metrics ?? createDriverMetrics()
  const volumes = new Volumes({
    ...options,
    defaults: { ...options.defaults, nodeName: options.nodeId },
    metrics,
    directory: dataRoot.volumes,
    formerDirectory: dataRoot.former,
    bootId: await readBootId(),
    keys,
    random: options.random ?? Math.random,
    newRequestId: () => randomBytes(16).toString('hex'),
    readTrusted: rememberingTrusted(),
    swapOn: options.swapOn ?? swapIsOn,
  })
  registerVolumeMetrics(metrics.registry, () => volumes.reports(), clock)
  registerKeyPoolMetrics(metrics.registry, keys)
  parts.defer(() => volumes.close())

  const server = new Server(serverOptions)
  server.addService(serviceDefinition(Identity), implementation<typeof Identity>(identityService(driverName, version)))
  const node = nodeService({ ...options, volumes, metrics })
  server.addService(serviceDefinition(Node), implementation<typeof Node>(node))
  const socket = await UnixServer.listen(endpoint, server, clock, log, signal)
  parts.defer(() => socket.close())
  parts.defer(async () => {
    // Whoever waits is answered before the connections go.
    await volumes.close()
    await drain(server, clock)
  })
  options.onServing?.()
  // The socket first: calls that need to know the volumes wait for them, and a kubelet or a probe sees that the driver is there.
  const restored = volumes.restore()
  restored.catch(() => {})
  const control = await serveControl(options.dataRoot, {
    inspect: () => volumes.reports(),
    renew: (volumeId) => volumes.renew(volumeId),
  })
  parts.defer(() => control.close())
  const directory = options.registrationDirectory
  let registration: KubeletRegistration | undefined
  if (directory !== undefined) {
    registration = await registerWithKubelet({ directory, driverName, endpoint, clock, log }, signal)
    parts.defer(() => registration?.close())
  }
  await restored
  // Not before: to make keys keeps a core busy for seconds.
  keys.keep(usualRsaSize)
  log.info({ socket: endpoint, volumes: volumes.reports().length, memory: options.mounter.description }, 'serving')

  const whole = parts.move()
  return {
    endpoint,
    metrics,
    obstacles: async () =>
      [registration?.obstacle(), await dataRoot.obstacle()].filter((obstacle) => obstacle !== undefined),
    podChanged: (podUid) => volumes.podChanged(podUid),
    issuerIsBack: () => volumes.issuerIsBack(),
    inspect: () => volumes.reports(),
    isNeeded: (volumeId, requestId) => volumes.isNeeded(volumeId, requestId),
    close: () => whole.disposeAsync(),
  }
}

/** Lets calls end that are being answered, then closes every connection. */
async function drain(server: Server, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.timer(drainTime, resolve)
    server.tryShutdown(() => {
      timer.cancel()
      resolve()
    })
  })
  server.forceShutdown()
}
