import { grpcStatus } from '../runtime/grpc-status.ts'
import { formatTime } from '../x509/chain.ts'
import { adminEntryCommand, adminEntryHint } from './admin-command.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

/** What is known of a call that failed. */
export interface CallTrouble {
  /** A gRPC status code. */
  readonly status: number
  readonly details: string
  readonly by: 'socket' | 'tcp'
  readonly trustDomain: string
  /** The caller's own; undefined over the socket, and where there is none yet. */
  readonly identity: WorkloadIdentity | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

/**
 * What a person can do about a call that failed.
 *
 * @returns sentences; undefined where the server's own words must do
 */
export function callAdvice(trouble: CallTrouble): string | undefined {
  const { status, by } = trouble
  if (status === grpcStatus.PERMISSION_DENIED || status === grpcStatus.UNAUTHENTICATED) {
    return by === 'socket' ? undefined : rightsAdvice(trouble)
  }
  if (status === grpcStatus.UNIMPLEMENTED) {
    return by === 'socket'
      ? "The socket is not that of a SPIRE server's API; an agent's socket belongs into agent_socket_path."
      : "What answers there is not a SPIRE server's API."
  }
  if (status === grpcStatus.UNAVAILABLE) return by === 'socket' ? socketAdvice(trouble) : connectionAdvice(trouble)
  return undefined
}

function rightsAdvice({ trustDomain, identity }: CallTrouble): string {
  const command = adminEntryCommand(trustDomain, identity?.spiffeId)
  const caller = identity === undefined ? 'The caller' : `The caller, ${identity.spiffeId},`
  return `${caller} is no administrator of the server. To make it one: ${command} . ${adminEntryHint}`
}

function socketAdvice({ details }: CallTrouble): string | undefined {
  if (details.includes('EACCES')) return 'The socket belongs to another user or group: run as one that may use it.'
  return /ENOENT|ECONNREFUSED/.test(details)
    ? "Is the server running on this node, and its socket's folder mounted here?"
    : undefined
}

function connectionAdvice({ details, identity, trustDomain, now }: CallTrouble): string | undefined {
  const end = identity?.chain[0].notAfter
  if (end !== undefined && end < now) {
    return `The caller's own SVID has expired at ${formatTime(end)}: the agent on this node does not renew it.`
  }
  // OpenSSL's words for a chain that does not end in the bundle.
  return /unable to (verify|get)|self.signed|certificate (signature|has expired)/i.test(details)
    ? `Its certificate is not under the bundle of ${trustDomain} that the Workload API gives: is it the server of that trust domain?`
    : undefined
}
