import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  sensitiveHeaders,
} from 'node:http2'
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  type ConnectionOptions as TlsOptions,
  type TLSSocket,
} from 'node:tls'
import type { Clock, Timer } from '../runtime/clock.ts'
import { abortable } from './abortable.ts'
import { ConnectionError } from './errors.ts'
import { StreamSlots } from './stream-slots.ts'

/** The server's address and how it proves itself. */
export interface Endpoint {
  readonly url: URL
  readonly serverName: string | undefined
  readonly insecure: boolean
}

/** What a connection presents and trusts, as PEM. */
export interface TlsIdentity {
  readonly ca: Buffer | undefined
  readonly certificate: Buffer | undefined
  readonly key: Buffer | undefined
}

export interface ConnectionTiming {
  readonly clock: Clock
  /** Milliseconds. */
  readonly connectTimeout: number
  readonly pingInterval: number
  readonly pingTimeout: number
}

export interface WireRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** A response whose headers have arrived and whose body has not been read. */
export interface WireResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly stream: ClientHttp2Stream
}

/** What a connection is doing. */
type ConnectionState =
  | { readonly is: 'open' }
  /** It finishes what it carries and takes nothing new. */
  | { readonly is: 'draining' }
  | { readonly is: 'lost'; readonly error: ConnectionError }

/** Bytes that the server may send ahead, for one stream and for all together. Lists of thousands of objects come in one go. */
const streamWindow = 1 << 20
const connectionWindow = 8 << 20

/**
 * Connects with TLS and HTTP/2, up to the server's first SETTINGS.
 *
 * @throws {ConnectionError}
 * @throws the signal's reason
 */
export async function openConnection(
  endpoint: Endpoint,
  identity: TlsIdentity,
  timing: ConnectionTiming,
  signal: AbortSignal,
): Promise<Connection> {
  const { origin, host } = endpoint.url
  let socket: TLSSocket
  try {
    socket = connectTls(tlsOptions(endpoint, identity))
  } catch (error) {
    // A certificate that does not fit its key throws here, before any I/O.
    throw unreachable(host, error)
  }
  const session = connect(origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: streamWindow },
  })
  const attempt = new Promise<Connection>((resolve, reject) => {
    const timer = timing.clock.timer(timing.connectTimeout, () => {
      reject(unreachable(host, new Error(`no connection within ${timing.connectTimeout / 1000} s`)))
    })
    const fail = (error: unknown): void => {
      timer.cancel()
      reject(unreachable(host, error))
    }
    session.on('error', fail)
    session.once('close', () => fail(new Error('the server closed the connection')))
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol === 'h2') session.setLocalWindowSize(connectionWindow)
      else fail(new Error('the server does not offer HTTP/2 (ALPN h2)'))
    })
    // Before its SETTINGS it is not known how many streams the server allows (RFC 9113 §5.1.2).
    session.once('remoteSettings', () => {
      timer.cancel()
      session.off('error', fail)
      resolve(new Connection(session, socket, host, timing))
    })
  })
  try {
    return await abortable(attempt, signal)
  } catch (error) {
    session.destroy()
    socket.destroy()
    throw error
  }
}

/** One HTTP/2 connection. It is used until it is lost, drained or closed, and never repaired. */
export class Connection {
  /** Resolves when nothing of it is left. */
  readonly closed: Promise<void>
  readonly #session: ClientHttp2Session
  readonly #socket: TLSSocket
  readonly #host: string
  readonly #timing: ConnectionTiming
  readonly #streams: StreamSlots
  readonly #longLived = new Set<ClientHttp2Stream>()
  #state: ConnectionState = { is: 'open' }
  #drained = false
  #lastStream = Number.POSITIVE_INFINITY
  #bytesRead = 0
  #timer: Timer

  constructor(session: ClientHttp2Session, socket: TLSSocket, host: string, timing: ConnectionTiming) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#session = session
    this.#socket = socket
    this.#host = host
    this.#timing = timing
    this.#streams = new StreamSlots(allowedStreams(session))
    session.on('remoteSettings', () => this.#streams.resize(allowedStreams(session)))
    session.on('goaway', (_code: number, lastStream: number) => {
      this.#lastStream = lastStream
      this.#retire({ is: 'draining' })
    })
    session.on('error', (error) => this.#lose(error))
    session.on('close', () => {
      this.#lose(new Error('the server closed the connection'))
      resolve()
    })
    this.#timer = timing.clock.timer(timing.pingInterval, () => this.#listen())
  }

  get isOpen(): boolean {
    return this.#state.is === 'open' && !this.#session.closed && !this.#session.destroyed
  }

  /** Whether its end was our own wish, and nothing was lost with it. */
  get wasDrained(): boolean {
    return this.#drained
  }

  /**
   * Sends a request, and waits for the headers of its response.
   *
   * @param isWatch - whether the response goes on until somebody ends it
   * @param signal - ends the request, its response included
   * @throws {ConnectionError}
   * @throws the signal's reason
   */
  async send(request: WireRequest, isWatch: boolean, signal: AbortSignal): Promise<WireResponse> {
    const release = await this.#streams.take(signal)
    if (!this.isOpen || signal.aborted) {
      release()
      signal.throwIfAborted()
      throw this.#notExecuted()
    }
    const stream = this.#session.request(this.#headersOf(request), { endStream: request.body === undefined, signal })
    stream.once('close', () => {
      release()
      this.#longLived.delete(stream)
    })
    // Whoever reads the body gets the error from there; without a listener it would end the process.
    stream.on('error', () => {})
    if (isWatch) this.#longLived.add(stream)
    if (request.body !== undefined) stream.end(request.body)
    return await new Promise((resolve, reject) => {
      stream.once('response', (headers) => resolve({ status: headers[':status'] ?? 0, headers, stream }))
      stream.once('error', (error) => reject(this.explain(stream, signal, error)))
      stream.once('close', () => reject(this.explain(stream, signal, undefined)))
    })
  }

  /** Why a stream ended without a whole response. */
  explain(stream: ClientHttp2Stream, signal: AbortSignal, error: unknown): Error {
    if (signal.aborted) return signal.reason as Error
    const cause = this.#state.is === 'lost' ? this.#state.error.cause : error
    const why = cause instanceof Error ? cause.message : `the server reset the stream with code ${stream.rstCode ?? 0}`
    // RFC 9113 §8.7: neither streams above the last one of a GOAWAY nor refused ones were acted on; nor were those never sent.
    const notExecuted =
      stream.id === undefined || stream.id > this.#lastStream || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
    return new ConnectionError(
      `connection to ${this.#host} lost: ${why}`,
      notExecuted ? 'not-executed' : 'unknown',
      cause,
    )
  }

  /** Lets calls finish, ends watches, then closes. */
  drain(): void {
    this.#drained = true
    this.#retire({ is: 'draining' })
    for (const stream of this.#longLived) stream.close(constants.NGHTTP2_CANCEL)
    this.#session.close()
  }

  /** Drops everything at once. */
  destroy(error: Error): void {
    this.#lose(error)
    this.#session.destroy(error)
    this.#socket.destroy()
  }

  #retire(state: ConnectionState): void {
    if (this.#state.is === 'lost') return
    this.#state = state
    this.#streams.close(this.#notExecuted())
  }

  #lose(error: Error): void {
    this.#timer.cancel()
    this.#retire({ is: 'lost', error: new ConnectionError(error.message, 'unknown', error) })
  }

  #notExecuted(): ConnectionError {
    const cause = this.#state.is === 'lost' ? this.#state.error.cause : undefined
    return new ConnectionError(`connection to ${this.#host} lost before the request was sent`, 'not-executed', cause)
  }

  /** A peer that vanished without a FIN is found by its silence (client-go: ReadIdleTimeout and PingTimeout). */
  #listen(): void {
    const { clock, pingInterval, pingTimeout } = this.#timing
    if (this.#socket.bytesRead !== this.#bytesRead) {
      this.#bytesRead = this.#socket.bytesRead
      this.#timer = clock.timer(pingInterval, () => this.#listen())
      return
    }
    this.#timer = clock.timer(pingTimeout, () => {
      this.destroy(new Error(`no sign of life for ${(pingInterval + pingTimeout) / 1000} s`))
    })
    this.#session.ping((error) => {
      if (error !== null || this.#state.is === 'lost') return
      this.#timer.cancel()
      this.#timer = clock.timer(pingInterval, () => this.#listen())
    })
  }

  #headersOf(request: WireRequest): OutgoingHttpHeaders {
    return {
      ':method': request.method,
      ':path': request.path,
      ':scheme': 'https',
      ':authority': this.#host,
      ...request.headers,
      // Never in a compression table, neither here nor in a proxy (RFC 7541 §7.1.3).
      [sensitiveHeaders]: ['authorization'],
    }
  }
}

function allowedStreams(session: ClientHttp2Session): number {
  return session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
}

function tlsOptions(endpoint: Endpoint, identity: TlsIdentity): TlsOptions {
  // URL keeps the brackets of an IPv6 address.
  const host = endpoint.url.hostname.replace(/^\[|\]$/g, '')
  const expected = endpoint.serverName ?? host
  return {
    host,
    port: Number(endpoint.url.port || 443),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: !endpoint.insecure,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(expected, certificate),
    // SNI carries names, never addresses (RFC 6066 §3).
    ...(isIP(expected) === 0 ? { servername: expected } : {}),
    ...(identity.ca === undefined ? {} : { ca: identity.ca }),
    ...(identity.certificate === undefined ? {} : { cert: identity.certificate }),
    ...(identity.key === undefined ? {} : { key: identity.key }),
  }
}

function unreachable(host: string, error: unknown): ConnectionError {
  return new ConnectionError(`cannot connect to ${host}: ${textOf(error)}`, 'not-executed', error)
}

/** Node tries every address of a name, and joins the failures in an error without a text of its own. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(textOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
