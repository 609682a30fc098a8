import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  sensitiveHeaders,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Clock, Timer } from '../runtime/clock.ts'
import { ConnectionError } from './errors.ts'
import { StreamSlots } from './stream-slots.ts'

/** How long a connection may be silent, in milliseconds. */
export interface PingTiming {
  readonly clock: Clock
  /** After this long it is asked for a sign of life. */
  readonly pingInterval: number
  /** If none comes for this long, it is given up. */
  readonly pingTimeout: number
}

export interface WireRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[]>>
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

/** One HTTP/2 connection. It is used until it is lost, drained or closed, and never repaired. */
export class Connection {
  /** Resolves when nothing of it is left. */
  readonly closed: Promise<void>
  readonly #session: ClientHttp2Session
  readonly #socket: TLSSocket
  readonly #host: string
  readonly #timing: PingTiming
  readonly #streams: StreamSlots
  readonly #watches = new Set<ClientHttp2Stream>()
  #state: ConnectionState = { is: 'open' }
  #drained = false
  #lastStream = Number.POSITIVE_INFINITY
  #bytesRead = 0
  #timer: Timer

  constructor(session: ClientHttp2Session, socket: TLSSocket, host: string, timing: PingTiming) {
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
    if (isWatch) this.#watches.add(stream)
    stream.once('close', () => {
      release()
      this.#watches.delete(stream)
    })
    // Whoever reads the body gets the error from there; without a listener it would end the process.
    stream.on('error', () => {})
    if (request.body !== undefined) stream.end(request.body)
    return await new Promise((resolve, reject) => {
      const fail = (error?: unknown): void => reject(this.explain(stream, signal, error))
      stream.once('error', fail)
      stream.once('close', fail)
      stream.once('response', (headers) => {
        stream.off('error', fail)
        stream.off('close', fail)
        resolve({ status: headers[':status'] ?? 0, headers, stream })
      })
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
    for (const stream of this.#watches) stream.close(constants.NGHTTP2_CANCEL)
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
      this.#bytesRead = this.#socket.bytesRead
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
