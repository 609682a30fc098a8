import {
  Health,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponse_ServingStatusSchema,
} from '../gen/grpc/health/v1/health_pb.ts'
import { Bundle as BundleApi } from '../gen/spire/api/server/bundle/v1/bundle_pb.ts'
import { grpcStatus } from '../runtime/grpc-status.ts'
import { SpireError } from './errors.ts'
import type { ServerClient } from './server-client.ts'

/** How long a server may take to say that it is well, in milliseconds. */
const timeout = 5000

/**
 * Resolves where the server serves. Over TCP it answers no health checks, so it is asked for the name of its bundle, which anybody may.
 *
 * @throws {SpireError}
 */
export async function checkHealth(client: ServerClient, signal: AbortSignal): Promise<void> {
  if (!client.isLocal) {
    await client.call(BundleApi.method.getBundle, { outputMask: {} }, { signal, timeout })
    return
  }
  const { status } = await client.call(Health.method.check, {}, { signal, timeout })
  if (status === HealthCheckResponse_ServingStatus.SERVING) return
  const details = `the server says ${HealthCheckResponse_ServingStatusSchema.value[status]?.name ?? status}`
  throw new SpireError({ status: grpcStatus.UNAVAILABLE, method: 'Health.Check', address: client.address, details })
}
