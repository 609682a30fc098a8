import { create } from '@bufbuild/protobuf'
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import {
  type Node,
  NodeGetCapabilitiesResponseSchema,
  NodeGetInfoResponseSchema,
  type NodePublishVolumeRequest,
  NodePublishVolumeResponseSchema,
  type NodeGetVolumeStatsRequest,
  NodeServiceCapability_RPC_Type as Capability,
  type NodeUnpublishVolumeRequest,
  NodeUnpublishVolumeResponseSchema,
} from '../gen/csi/v1/csi_pb.ts'
import type { Clock } from '../runtime/clock.ts'
import type { ServiceMethods } from '../runtime/grpc-service.ts'
import type { Log } from '../runtime/log.ts'
import { passwordsOf } from '../volume/passwords.ts'
import { isSelinuxContext, selinuxContextIn } from '../volume/tmpfs-options.ts'
import { InvalidCallError } from './errors.ts'
import { callStatus } from './grpc-status.ts'
import type { DriverMetrics } from './metrics.ts'
import { readPodTokens } from './pod-tokens.ts'
import type { PublishCall, Volumes } from './volumes.ts'

export interface NodeServiceOptions {
  readonly nodeId: string
  readonly volumes: Volumes
  readonly clock: Clock
  readonly log: Log
  readonly metrics: DriverMetrics
  /** Whether the CSIDriver object says that tokens come as CSI secrets. */
  readonly tokensInSecrets: () => boolean
  /** The longest that a publish waits for a certificate, in milliseconds. */
  readonly publishTimeout: number
  /** Whether the kubelet is told how full and how well each volume is. */
  readonly volumeStats: boolean
}

/** How long before the caller's own deadline a publish answers, in milliseconds, so that its text still arrives. */
const deadlineMargin = 5000

/** The CSI node service. It parses calls and answers them; what they do is in {@link Volumes}. */
export function nodeService(options: NodeServiceOptions): ServiceMethods<typeof Node> {
  const { volumes, clock, log, metrics, publishTimeout } = options

  const { VOLUME_MOUNT_GROUP, GET_VOLUME_STATS, VOLUME_CONDITION } = Capability
  const offered = options.volumeStats ? [VOLUME_MOUNT_GROUP, GET_VOLUME_STATS, VOLUME_CONDITION] : [VOLUME_MOUNT_GROUP]

  const answerWith = async <Response>(
    method: string,
    { volumeId, targetPath }: { readonly volumeId: string; readonly targetPath: string },
    answer: sendUnaryData<Response>,
    work: () => Promise<Response>,
  ): Promise<void> => {
    const names = { volume: volumeId, target: targetPath }
    // A clock that does not jump.
    const started = performance.now()
    const took = (): number => Math.round(performance.now() - started)
    let outcome: keyof typeof status = 'OK'
    try {
      answer(null, await work())
      log.debug({ method, ...names, took: took() }, 'call answered')
    } catch (error) {
      const failure = callStatus(error)
      outcome = status[failure.code] as keyof typeof status
      // The request itself is never logged: it may hold tokens and passwords.
      const fields = { method, ...names, code: outcome, reason: failure.details, took: took() }
      log.warn(outcome === 'INTERNAL' ? { ...fields, error } : fields, 'call refused')
      answer(failure)
    }
    if (method === 'NodePublishVolume')
      metrics.publishSeconds.observe({ outcome }, (performance.now() - started) / 1000)
  }

  return {
    nodePublishVolume: (call, answer) => {
      void answerWith('NodePublishVolume', call.request, answer, () => publish(call))
    },
    nodeUnpublishVolume: (call, answer) => {
      void answerWith('NodeUnpublishVolume', call.request, answer, () => unpublish(call.request))
    },
    nodeGetVolumeStats: (call, answer) => {
      void answerWith(
        'NodeGetVolumeStats',
        { volumeId: call.request.volumeId, targetPath: call.request.volumePath },
        answer,
        () => stats(call.request),
      )
    },
    // The kubelet asks before every publish, on a connection of its own; the answer depends on nothing.
    nodeGetCapabilities: (_call, answer) => {
      const capabilities = offered.map((type) => ({ type: { case: 'rpc', value: { type } } as const }))
      answer(null, create(NodeGetCapabilitiesResponseSchema, { capabilities }))
    },
    nodeGetInfo: (_call, answer) => answer(null, create(NodeGetInfoResponseSchema, { nodeId: options.nodeId })),
  }

  async function stats({ volumeId, volumePath }: NodeGetVolumeStatsRequest) {
    requireField('volume_id', volumeId)
    requirePath('volume_path', volumePath)
    return volumes.stats(volumeId, volumePath)
  }

  async function publish(call: ServerUnaryCall<NodePublishVolumeRequest, unknown>) {
    const parsed = parsePublish(call.request, options.tokensInSecrets())
    const cancelled = new AbortController()
    call.on('cancelled', () => cancelled.abort())
    const limit = new Date(call.getDeadline()).getTime() - deadlineMargin
    const deadline = Math.min(clock.now() + publishTimeout, Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit)
    await volumes.publish(parsed, deadline, cancelled.signal)
    return create(NodePublishVolumeResponseSchema)
  }

  async function unpublish({ volumeId, targetPath }: NodeUnpublishVolumeRequest) {
    requireField('volume_id', volumeId)
    requirePath('target_path', targetPath)
    await volumes.unpublish(volumeId, targetPath)
    return create(NodeUnpublishVolumeResponseSchema)
  }
}

/** Looks at the fields in the order in which csi-sanity leaves them out. */
function parsePublish(request: NodePublishVolumeRequest, tokensInSecrets: boolean): PublishCall {
  const { volumeId, targetPath, volumeCapability, volumeContext, secrets } = request
  requireField('volume_id', volumeId)
  requirePath('target_path', targetPath)
  if (volumeCapability === undefined) throw new InvalidCallError('volume_capability is missing')
  const { accessType } = volumeCapability
  if (accessType.case === 'block') {
    throw new InvalidCallError('volume_capability asks for a block device; certificates are files, so ask for a mount')
  }
  const flags = accessType.value?.mountFlags ?? []
  const selinuxContext = selinuxContextIn(flags)
  if (selinuxContext !== undefined && !isSelinuxContext(selinuxContext)) {
    throw new InvalidCallError(
      `mount_flags has an SELinux context that is not valid: ${JSON.stringify(selinuxContext)}; look at the pod's seLinuxOptions`,
    )
  }
  return {
    volumeId,
    target: targetPath,
    context: volumeContext,
    mountGroup: accessType.value?.volumeMountGroup || undefined,
    passwords: passwordsOf(secrets),
    tokens: readPodTokens(secrets, volumeContext, tokensInSecrets),
    selinuxContext,
  }
}

function requireField(name: string, value: string): void {
  if (value === '') throw new InvalidCallError(`${name} is missing`)
}

function requirePath(name: string, value: string): void {
  requireField(name, value)
  if (!value.startsWith('/') || value.split('/').includes('..') || value.includes('\0')) {
    throw new InvalidCallError(`${name} ${JSON.stringify(value)} is not valid: must be an absolute path without ".."`)
  }
}
