import type { ServerAddress } from '../registrar/config/registrar-config.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { ServerClient } from '../spire/server-client.ts'
import { WorkloadApi } from '../spire/workload-api.ts'

/** A SPIRE server, and who this process is to it. */
export interface ConnectedServer {
  readonly server: ServerClient
  /** This process' own SPIFFE ID, once there is one; undefined over the server's own socket, where nobody has any. */
  readonly ownId: (signal: AbortSignal) => Promise<string | undefined>
}

/** Opens what a registrar's file says of its SPIRE server. */
export function connectServer(
  parts: AsyncDisposableStack,
  address: ServerAddress,
  trustDomain: string,
  clock: Clock,
  log: Log,
): ConnectedServer {
  if (address.by === 'socket') {
    const server = new ServerClient({ endpoint: { by: 'socket', path: address.path }, trustDomain, clock })
    parts.defer(() => server.close())
    return { server, ownId: async () => undefined }
  }
  const identity = new WorkloadApi({ address: address.agentSocketPath, trustDomain, clock, log })
  parts.defer(() => identity.close())
  const server = new ServerClient({ endpoint: { by: 'tcp', address: address.address, identity }, trustDomain, clock })
  parts.defer(() => server.close())
  return {
    server,
    ownId: async (signal) => {
      const { spiffeId } = await identity.current(signal)
      return spiffeId
    },
  }
}
