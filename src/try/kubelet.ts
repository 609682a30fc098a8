import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { type ServiceError, status } from '@grpc/grpc-js'
import { Node, NodeServiceCapability_RPC_Type as Rpc } from '../gen/csi/v1/csi_pb.ts'
import { backoffDelay } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { UnixClient } from '../runtime/grpc-client.ts'
import { type NodeAbilities, publishRequest, targetPath, volumeFolder, volumeHandle } from './kubelet-request.ts'
import type { PlannedVolume } from './plan.ts'

/** Where the played kubelet keeps its pods, and where it finds the driver. */
export interface KubeletGround {
  /** In the place of /var/lib/kubelet. */
  readonly root: string
  /** The driver's socket. */
  readonly socket: string
  readonly driver: string
  readonly nodeName: string
  readonly clock: Clock
}

/** A call that the driver answered with an error that a kubelet does not retry, or did not answer for too long. */
export class CallError extends Error {
  override readonly name = 'CallError'
  readonly code = 'CSI_CALL_FAILED'
  readonly method: string
  /** The name of the gRPC status, such as INVALID_ARGUMENT. */
  readonly status: string

  constructor(method: string, cause: ServiceError) {
    const name = status[cause.code] ?? String(cause.code)
    super(`${method} was answered with ${name}: ${cause.details}`, { cause })
    this.method = method
    this.status = name
  }
}

/** The context of one SetUp or TearDown (kubelet csi_plugin.go csiTimeout), in milliseconds. */
const callTimeout = 120_000

/** How long a volume may stay uncertain before the play gives up; a kubelet never does. In milliseconds. */
const patience = 30_000

/** After these a kubelet takes a publish for undecided and calls again (csi_client.go isFinalError). */
const uncertain: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
])

/**
 * Publishes one volume as a kubelet does when its pod starts: the volume's folder and vol_data.json, NodeGetCapabilities once for
 * each thing it wants to know, then NodePublishVolume, again and again while the answer is undecided.
 *
 * @returns how long it took, in milliseconds
 * @throws {CallError}
 */
export async function publishVolume(
  ground: KubeletGround,
  planned: PlannedVolume,
  signal: AbortSignal,
): Promise<number> {
  const { pod, volume } = planned
  const { clock } = ground
  const start = performance.now()
  const folder = volumeFolder(ground.root, pod.uid, volume.name)
  await mkdir(folder, { recursive: true, mode: 0o750 })
  const data = {
    driverName: ground.driver,
    nodeName: ground.nodeName,
    specVolID: volume.name,
    volumeHandle: volumeHandle(pod.uid, volume.name),
    volumeLifecycleMode: 'Ephemeral',
    attachmentID: '',
  }
  await writeFile(join(folder, 'vol_data.json'), JSON.stringify(data))
  for (let failures = 1; ; failures++) {
    try {
      const abilities = await readAbilities(ground, signal)
      await call(ground, Node.method.nodePublishVolume, publishRequest(ground.root, pod, volume, abilities), signal)
      return performance.now() - start
    } catch (error) {
      signal.throwIfAborted()
      const undecided = error instanceof CallError && uncertain.has((error.cause as ServiceError).code)
      if (!undecided || performance.now() - start > patience) throw error
      await sleep(clock, backoffDelay(failures, { first: 500, cap: 122_000, jitter: 0 }), signal)
    }
  }
}

/**
 * Unpublishes one volume as a kubelet does when its pod has ended, and removes what a kubelet had made for it.
 *
 * @throws {CallError} where the driver refuses
 */
export async function unpublishVolume(
  ground: KubeletGround,
  { pod, volume }: PlannedVolume,
  signal: AbortSignal,
): Promise<void> {
  const target = targetPath(ground.root, pod.uid, volume.name)
  const request = { volumeId: volumeHandle(pod.uid, volume.name), targetPath: target }
  await call(ground, Node.method.nodeUnpublishVolume, request, signal)
  // A kubelet removes its folders one by one, and only where the driver has left nothing in them.
  await rm(join(dirname(target), 'vol_data.json'), { force: true })
  for (let folder = dirname(target); folder !== ground.root; folder = dirname(folder)) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    )
    if (!removed) return
  }
}

/** A kubelet asks anew, on a connection of its own, for each ability. */
async function readAbilities(ground: KubeletGround, signal: AbortSignal): Promise<NodeAbilities> {
  const has = async (type: number): Promise<boolean> => {
    const { capabilities } = await call(ground, Node.method.nodeGetCapabilities, {}, signal)
    return capabilities.some((capability) => capability.type.case === 'rpc' && capability.type.value.type === type)
  }
  return { mountGroup: await has(Rpc.VOLUME_MOUNT_GROUP), multiWriter: await has(Rpc.SINGLE_NODE_MULTI_WRITER) }
}

/** One call on a fresh connection, as a kubelet makes it. */
async function call<Request extends DescMessage, Response extends DescMessage>(
  { socket }: KubeletGround,
  method: DescMethodUnary<Request, Response>,
  request: MessageInitShape<Request>,
  signal: AbortSignal,
): Promise<MessageShape<Response>> {
  signal.throwIfAborted()
  const client = new UnixClient(socket)
  const aborted = new AbortController()
  try {
    return await Promise.race([client.call(method, request, callTimeout), rejectOnAbort(signal, aborted.signal)])
  } catch (error) {
    throw isServiceError(error) ? new CallError(method.name, error) : error
  } finally {
    aborted.abort()
    client.close()
  }
}

/** @param done - forgets the signal */
function rejectOnAbort(signal: AbortSignal, done: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: done })
  })
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error
}
