import { type Clock, sleep } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { abortable } from './abortable.ts'
import { apiErrorFrom } from './answer.ts'
import { bodyChunks, parseBody, readBody } from './body.ts'
import type { Endpoint } from './connect.ts'
import type { Connection, WireResponse } from './connection.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { Credentials } from './credentials.ts'
import { type Deadline, startDeadline } from './deadline.ts'
import { ConfigurationError, ConnectionError, CredentialError } from './errors.ts'
import { impersonationHeaders } from './impersonation.ts'
import { repetition } from './repetition.ts'
import { type ApiRequest, inContext } from './request.ts'
import { Session } from './session.ts'
import { rateLimit } from './token-bucket.ts'

/** The answer to a watch, whose body goes on. */
export interface OpenWatch {
  readonly chunks: AsyncIterable<Buffer>
  /** Why the body ended with an error; undefined where that was for a change of connections, and nothing is wrong. */
  explain(error: unknown): Error | undefined
  /** Ends it. Call it always. */
  close(): void
}

/** All of {@link ClientOptions}, decided. */
export interface TransportOptions {
  readonly log: Log
  readonly clock: Clock
  readonly random: () => number
  readonly userAgent: string
  readonly timeout: number
  readonly maxInFlight: number
  readonly qps: number
  readonly burst: number
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly reloadInterval: number
  readonly startAfter: Promise<unknown> | undefined
}

export interface CallLimits {
  readonly signal?: AbortSignal | undefined
  readonly timeout?: number | undefined
  readonly token?: string | undefined
}

/** One way to the API server, with the credentials that go with it. */
interface Route {
  readonly session: Session
  readonly credentials: Credentials
  /** Who to act as. */
  readonly impersonation: Readonly<Record<string, string | string[]>>
}

/** An answer and the connection it came by. */
interface Reply {
  readonly response: WireResponse
  readonly connection: Connection
  readonly token: string | undefined
}

/** Milliseconds. */
const connectTimeout = 10_000

/** Carries calls and watches to the API server: limits, credentials, time limits, repetitions. */
export class Transport {
  readonly #config: ConnectionConfig
  readonly #options: TransportOptions
  readonly #endpoint: Endpoint
  /** The path that an API server behind a proxy is mounted at. */
  readonly #prefix: string
  readonly #inFlight: Semaphore
  readonly #turn: (signal: AbortSignal) => Promise<void>
  readonly #own: Route
  #bearer: Route | undefined
  readonly #closing = new AbortController()
  /** Undefined once nothing has to be waited for. */
  #startAfter: Promise<unknown> | undefined

  constructor(config: ConnectionConfig, options: TransportOptions) {
    const url = URL.parse(config.server)
    if (url?.protocol !== 'https:') {
      throw new ConfigurationError(`expected the API server as https://host:port, got ${JSON.stringify(config.server)}`)
    }
    this.#config = config
    this.#options = options
    const { serverName, insecure, proxy } = config
    this.#endpoint = { url, serverName, insecure, proxy }
    this.#prefix = url.pathname.replace(/\/+$/, '')
    this.#inFlight = new Semaphore(options.maxInFlight)
    this.#turn = rateLimit(options.qps, options.burst, options.clock)
    this.#own = this.#route(config)
    const start = (): void => (this.#startAfter = undefined)
    this.#startAfter = options.startAfter?.then(start, start)
  }

  /** How many calls are in flight, and how many wait for their turn. */
  get load(): { readonly inFlight: number; readonly waiting: number } {
    return { inFlight: this.#inFlight.running, waiting: this.#inFlight.waiting }
  }

  /**
   * Sends a request and reads its whole answer.
   *
   * @returns the parsed body
   * @throws {ApiError | ConnectionError | CredentialError}
   * @throws the signal's reason
   */
  async call(request: ApiRequest, limits: CallLimits): Promise<unknown> {
    const { clock, timeout } = this.#options
    const deadline = startDeadline(clock, limits.timeout ?? timeout, limits.signal)
    const progress = { sent: false }
    try {
      await this.#turn(deadline.signal)
      return await this.#inFlight.run(() => this.#attempts(request, limits.token, deadline, progress), deadline.signal)
    } catch (error) {
      throw inContext(error, request, progress.sent)
    } finally {
      deadline.clear()
    }
  }

  /**
   * Opens a watch. It counts neither as a call in flight nor against the rate, and is not tried again.
   *
   * @throws {ApiError | ConnectionError | CredentialError}
   * @throws the signal's reason
   */
  async watch(request: ApiRequest, signal: AbortSignal | undefined): Promise<OpenWatch> {
    const deadline = startDeadline(this.#options.clock, this.#options.timeout, signal)
    try {
      const reply = await this.#authenticated(request, undefined, deadline.signal, { sent: false }, true)
      if (reply.response.status !== 200) throw await this.#refusal(request, reply, deadline.signal)
      deadline.restart(undefined)
      const { connection, response } = reply
      const { stream } = response
      return {
        chunks: bodyChunks(stream),
        explain(error) {
          if (connection.wasDrained && !deadline.signal.aborted) return undefined
          return inContext(connection.explain(stream, deadline.signal, error), request, true) as Error
        },
        close() {
          deadline.clear()
          if (!stream.closed) stream.close(cancel)
        },
      }
    } catch (error) {
      deadline.clear()
      throw inContext(error, request, true)
    }
  }

  async close(): Promise<void> {
    const error = new ConnectionError('the client is closed', 'not-executed')
    this.#closing.abort(error)
    await Promise.all([this.#own.session.close(), this.#bearer?.session.close()])
  }

  async #attempts(
    request: ApiRequest,
    token: string | undefined,
    deadline: Deadline,
    progress: { sent: boolean },
  ): Promise<unknown> {
    const { clock, random } = this.#options
    const failed = { lost: 0, refused: 0 }
    for (;;) {
      try {
        const reply = await this.#authenticated(request, token, deadline.signal, progress, false)
        if (reply.response.status >= 300) throw await this.#refusal(request, reply, deadline.signal)
        return parseBody(await this.#body(reply, deadline.signal))
      } catch (error) {
        const next = progress.sent
          ? repetition({ method: request.method, error, ...failed, remaining: deadline.remaining(), random })
          : undefined
        if (next === undefined) throw error
        failed[next.because] += 1
        await sleep(clock, next.delay, AbortSignal.any([deadline.signal, this.#closing.signal]))
      }
    }
  }

  /** A 401 may only mean that the own credentials were replaced: they are read again, and the request is sent once more. */
  async #authenticated(
    request: ApiRequest,
    token: string | undefined,
    signal: AbortSignal,
    progress: { sent: boolean },
    isWatch: boolean,
  ): Promise<Reply> {
    const reply = await this.#send(request, token, signal, progress, isWatch)
    if (reply.response.status !== 401 || token !== undefined) return reply
    const { session, credentials } = this.#own
    credentials.forget(reply.token)
    await session.refresh()
    const isNew = (await credentials.token()) !== reply.token || !reply.connection.isOpen
    if (!isNew) return reply
    reply.response.stream.close(cancel)
    return await this.#send(request, undefined, signal, progress, isWatch)
  }

  async #send(
    request: ApiRequest,
    token: string | undefined,
    signal: AbortSignal,
    progress: { sent: boolean },
    isWatch: boolean,
  ): Promise<Reply> {
    const { session, credentials, impersonation } = token === undefined ? this.#own : this.#bearerRoute()
    if (this.#startAfter !== undefined) await abortable(this.#startAfter, signal)
    const bearer = token ?? (await credentials.token())
    if (bearer !== undefined && !bearerToken.test(bearer)) {
      throw new CredentialError('expected a bearer token of visible ASCII characters, got one with others')
    }
    const connection = await session.connection(signal)
    progress.sent = true
    const response = await connection.send(
      {
        method: request.method,
        path: this.#prefix + request.path + queryString(request.query),
        headers: {
          accept: request.accept ?? 'application/json',
          'user-agent': this.#options.userAgent,
          ...impersonation,
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          ...(request.contentType === undefined ? {} : { 'content-type': request.contentType }),
        },
        body: request.body,
      },
      isWatch,
      signal,
    )
    session.answered(connection)
    return { response, connection, token: bearer }
  }

  async #refusal(request: ApiRequest, reply: Reply, signal: AbortSignal): Promise<Error> {
    const { status, headers } = reply.response
    const body = await this.#body(reply, signal)
    return apiErrorFrom(`${request.method} ${request.path}`, status, headers, body, this.#options.clock.now())
  }

  async #body({ connection, response }: Reply, signal: AbortSignal): Promise<Buffer> {
    try {
      return await readBody(response.stream)
    } catch (error) {
      throw connection.explain(response.stream, signal, error)
    }
  }

  /**
   * The API server prefers a client certificate to a token, so a request with a token must come by a connection that presents none;
   * and whoever has a token acts as himself.
   */
  #bearerRoute(): Route {
    this.#bearer ??= this.#route({
      ...this.#config,
      clientCertificate: undefined,
      authentication: { by: 'nothing' },
      impersonation: undefined,
    })
    return this.#bearer
  }

  #route(config: ConnectionConfig): Route {
    const { clock, log, random, pingInterval, pingTimeout, reloadInterval } = this.#options
    const credentials = new Credentials(config, { clock, log, reloadInterval })
    const session = new Session({
      endpoint: this.#endpoint,
      identity: () => credentials.tls(),
      timing: { clock, connectTimeout, pingInterval, pingTimeout },
      reloadInterval,
      random,
      log,
    })
    const { impersonation } = config
    return {
      session,
      credentials,
      impersonation: impersonation === undefined ? {} : impersonationHeaders(impersonation),
    }
  }
}

/** More than RFC 6750 §2.1 has, as some issue tokens with a colon. Node lets line breaks pass, which a proxy could take for further headers. */
const bearerToken = /^[\x21-\x7e]+$/
/** RFC 9113 §7: the stream is no longer needed. */
const cancel = 0x8

function queryString(query: Readonly<Record<string, string>> | undefined): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? '' : `?${text}`
}
