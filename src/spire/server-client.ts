import { type ChannelOptions, Client, credentials, type ServiceError } from '@grpc/grpc-js'
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { DeadlineExceeded, startDeadline } from '../kubernetes/deadline.ts'
import { backoffDelay } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { callUnary } from '../runtime/grpc-call.ts'
import { grpcStatus } from '../runtime/grpc-status.ts'
import { checkSocketPath } from '../runtime/socket-path.ts'
import { encodePrivateKey } from '../x509/key.ts'
import { printable } from '../x509/printable.ts'
import { callAdvice } from './call-advice.ts'
import { SpireError } from './errors.ts'
import { plainDetails } from './plain-details.ts'
import { checkServerId } from './server-identity.ts'
import type { IdentitySource } from './workload-api.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

/** How a SPIRE server is reached. */
export type ServerEndpoint =
  /** @param path - of the server's own socket; whoever reaches it is an administrator */
  | { readonly by: 'socket'; readonly path: string }
  /**
   * @param address - `host:port`
   * @param identity - of this process, which an entry makes an administrator
   */
  | { readonly by: 'tcp'; readonly address: string; readonly identity: IdentitySource }

export interface ServerClientOptions {
  readonly endpoint: ServerEndpoint
  readonly trustDomain: string
  readonly clock: Clock
  /** In [0, 1). @default {Math.random} */
  readonly random?: () => number
}

export interface ServerCallOptions {
  readonly signal: AbortSignal
  /** Milliseconds that the server has for its answer. @default {60 s} */
  readonly timeout?: number
  /** Whether it only reads, so that it is made again where the connection was lost. @default {false} */
  readonly repeatable?: boolean
}

/** A page of 1,000 entries has some 300 kB; one with many DNS names in each entry a few MB. */
const longestAnswer = 32 * 1024 * 1024

const channelOptions: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': longestAnswer,
  'grpc.service_config_disable_resolution': 1,
  // A server that restarts, or that DNS has moved, is found again within seconds.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 3000,
  'grpc.dns_min_time_between_resolutions_ms': 5000,
  // A peer that has vanished is noticed while a call waits for it. gRPC for Go bears such pings as long as it answers in between.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
}

/** The server ends each connection after three minutes (MaxConnectionAge), and a restart takes a second or two. */
const retry = { first: 50, cap: 1000 }
const mostAttempts = 5

/** How long a call waits for the first SVID of this process, in milliseconds. */
const identityPatience = 10_000

/** A channel, and whose it is. */
interface Connection {
  readonly client: Client
  /** Undefined over the socket. */
  readonly identity: WorkloadIdentity | undefined
  calls: number
}

/** Calls the APIs of a SPIRE server: over its socket, or over TCP with the SVID of this process, whichever the newest is. */
export class ServerClient {
  /** For people: `unix:///run/spire/server.sock`, or `host:port`. */
  readonly address: string
  readonly #options: ServerClientOptions
  /** Where new calls go. */
  #connection: Connection | undefined
  #closed = false

  /** @throws {SocketError} where the path is too long */
  constructor(options: ServerClientOptions) {
    const { endpoint } = options
    if (endpoint.by === 'socket') checkSocketPath(endpoint.path)
    this.address = endpoint.by === 'socket' ? `unix://${endpoint.path}` : endpoint.address
    this.#options = options
  }

  /** Whether the server takes whoever calls for an administrator and answers health checks. */
  get isLocal(): boolean {
    return this.#options.endpoint.by === 'socket'
  }

  /**
   * @throws {SpireError}
   * @throws the signal's reason
   */
  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    options: ServerCallOptions,
  ): Promise<MessageShape<Output>> {
    const { clock, random = Math.random } = this.#options
    for (let failures = 1; ; failures++) {
      const identity = await this.#identity(method, options.signal)
      try {
        return await this.#attempt(method, request, identity, options)
      } catch (error) {
        const isLost = error instanceof SpireError && error.status === grpcStatus.UNAVAILABLE
        if (!isLost || !options.repeatable || failures === mostAttempts || this.#closed) throw error
        await sleep(clock, backoffDelay(failures, { ...retry, random }), options.signal)
      }
    }
  }

  /** Calls in flight go on; new ones fail. */
  close(): void {
    this.#closed = true
    this.#turnTo(undefined)
  }

  async #attempt<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    identity: WorkloadIdentity | undefined,
    { signal, timeout = 60_000 }: ServerCallOptions,
  ): Promise<MessageShape<Output>> {
    if (this.#closed) throw this.#failure(method, grpcStatus.CANCELLED, 'the client was closed', identity)
    const connection = this.#connect(identity)
    connection.calls++
    try {
      return await callUnary(connection.client, method, request, { timeout, signal })
    } catch (error) {
      signal.throwIfAborted()
      const { code, details } = error as ServiceError
      const text = printable(plainDetails(details ?? (error as Error).message))
      throw this.#failure(method, code ?? grpcStatus.INTERNAL, text, identity, error)
    } finally {
      connection.calls--
      this.#release(connection)
    }
  }

  async #identity(method: DescMethodUnary, signal: AbortSignal): Promise<WorkloadIdentity | undefined> {
    const { endpoint, clock } = this.#options
    if (endpoint.by === 'socket') return undefined
    const deadline = startDeadline(clock, identityPatience, signal)
    try {
      return await endpoint.identity.current(deadline.signal)
    } catch (error) {
      signal.throwIfAborted()
      const why = error instanceof DeadlineExceeded ? endpoint.identity.problem : (error as Error).message
      throw this.#failure(
        method,
        grpcStatus.UNAVAILABLE,
        `this process has no SVID. ${why ?? 'The Workload API has not answered yet'}`,
        undefined,
        error,
      )
    } finally {
      deadline.clear()
    }
  }

  /** A new SVID or bundle takes a new channel; calls in flight end on the one that they began on. */
  #connect(identity: WorkloadIdentity | undefined): Connection {
    if (this.#connection !== undefined && this.#connection.identity === identity) return this.#connection
    return this.#turnTo({ client: this.#open(identity), identity, calls: 0 })
  }

  #turnTo<Next extends Connection | undefined>(next: Next): Next {
    const before = this.#connection
    this.#connection = next
    if (before !== undefined) this.#release(before)
    return next
  }

  #release(connection: Connection): void {
    if (connection.calls === 0 && connection !== this.#connection) connection.client.close()
  }

  #open(identity: WorkloadIdentity | undefined): Client {
    const { endpoint, trustDomain } = this.#options
    if (endpoint.by === 'socket' || identity === undefined) {
      return new Client(this.address, credentials.createInsecure(), {
        ...channelOptions,
        'grpc.default_authority': 'localhost',
      })
    }
    const context = createSecureContext({
      minVersion: 'TLSv1.2',
      key: encodePrivateKey(identity.key, 'PKCS8'),
      cert: identity.chain.map(({ pem }) => pem).join(''),
      ca: identity.bundle.map(({ pem }) => pem),
      // An authority of a bundle may be an intermediate one, below an organisation's root that the bundle does not hold.
      allowPartialTrustChain: true,
    })
    const secure = credentials.createFromSecureContext(context, { checkServerIdentity: checkServerId(trustDomain) })
    return new Client(`dns:${endpoint.address}`, secure, {
      ...channelOptions,
      ...serverName(endpoint.address, trustDomain),
    })
  }

  #failure(
    method: DescMethodUnary,
    status: number,
    details: string,
    identity: WorkloadIdentity | undefined,
    cause?: unknown,
  ): SpireError {
    const { endpoint, trustDomain, clock } = this.#options
    const advice = callAdvice({ status, details, by: endpoint.by, trustDomain, identity, now: clock.now() })
    const name = `${method.parent.name}.${method.name}`
    return new SpireError({ status, method: name, address: this.address, details, advice }, cause)
  }
}

/** RFC 6066 §3 allows no address as the server name of a handshake. */
function serverName(address: string, trustDomain: string): ChannelOptions {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': trustDomain }
}
