import { backoffDelay } from '../runtime/backoff.ts'
import { sleep, type Timer } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { abortable } from './abortable.ts'
import { type ConnectTiming, type Endpoint, openConnection, type TlsIdentity } from './connect.ts'
import type { Connection } from './connection.ts'
import { identityChanged } from './credentials.ts'
import { ConnectionError } from './errors.ts'

export interface SessionOptions {
  readonly endpoint: Endpoint
  /** Reads what the next connection presents and trusts. */
  readonly identity: () => Promise<TlsIdentity>
  readonly timing: ConnectTiming
  /** How often the identity is compared with the one in use, in milliseconds. */
  readonly reloadInterval: number
  readonly random: () => number
  readonly log: Log
}

/** What a session is doing. Failures are those since a server last answered a request. */
type SessionState =
  | { readonly is: 'idle'; readonly failures: number }
  | { readonly is: 'connecting'; readonly attempt: Promise<Connection>; readonly abort: AbortController }
  | { readonly is: 'ready'; readonly connection: Connection; readonly identity: TlsIdentity; readonly failures: number }
  | { readonly is: 'closed' }

/** Milliseconds. Short enough that a restarted API server is found soon, long enough that a thousand nodes do not crowd it. */
const reconnect = { first: 200, cap: 10_000 }

/**
 * One connection at a time, kept as long as it lives. Nobody connects in advance: who needs a connection asks, and all who ask while
 * one is being made share the outcome, so that a server that is down sees one attempt and not a thousand.
 */
export class Session {
  readonly #options: SessionOptions
  /** The one in use and those that drain. */
  readonly #connections = new Set<Connection>()
  #state: SessionState = { is: 'idle', failures: 0 }
  #reload: Timer | undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /**
   * A connection that takes requests.
   *
   * @throws {ConnectionError} with outcome `not-executed` when the attempt fails
   * @throws {CredentialError}
   * @throws the signal's reason
   */
  async connection(signal: AbortSignal): Promise<Connection> {
    const state = this.#state
    switch (state.is) {
      case 'closed':
        throw closedError()
      case 'connecting':
        return await abortable(state.attempt, signal)
      case 'ready':
        if (state.connection.isOpen) return state.connection
        return await abortable(this.#connect(state.failures), signal)
      case 'idle':
        return await abortable(this.#connect(state.failures), signal)
    }
  }

  /** The server has answered: it is alive, and the next reconnect need not wait. */
  answered(connection: Connection): void {
    const state = this.#state
    if (state.is === 'ready' && state.connection === connection && state.failures > 0) {
      this.#state = { ...state, failures: 0 }
    }
  }

  /** Looks at the identity now, and changes over to a new connection if it is another. */
  async refresh(): Promise<void> {
    const { log, identity, timing, endpoint } = this.#options
    const state = this.#state
    if (state.is !== 'ready') return
    try {
      const fresh = await identity()
      if (!identityChanged(state.identity, fresh) || this.#state !== state) return
      // The new connection first: while a certificate and its key are being replaced they may not fit, and the old one still serves.
      const connection = await openConnection(endpoint, fresh, timing, new AbortController().signal)
      if (this.#state !== state) {
        connection.drain()
        return
      }
      log.info({}, 'credential files have changed, connected anew')
      this.#adopt(connection, fresh, state.failures)
      state.connection.drain()
    } catch (error) {
      log.warn({ error }, 'credential files cannot be used, the connection made with the old ones stays')
    }
  }

  /** Drops every connection, draining ones too. */
  async close(): Promise<void> {
    const state = this.#state
    this.#state = { is: 'closed' }
    this.#reload?.cancel()
    if (state.is === 'connecting') state.abort.abort(closedError())
    const connections = [...this.#connections]
    for (const connection of connections) connection.destroy(closedError())
    await Promise.all(connections.map((connection) => connection.closed))
  }

  #connect(failures: number): Promise<Connection> {
    const abort = new AbortController()
    const attempt = this.#attempt(failures, abort.signal)
    // Who asked may have gone; a failure nobody waits for is no unhandled one.
    attempt.catch(() => {})
    this.#state = { is: 'connecting', attempt, abort }
    return attempt
  }

  async #attempt(failures: number, signal: AbortSignal): Promise<Connection> {
    const { endpoint, timing, random, log } = this.#options
    try {
      if (failures > 0) await sleep(timing.clock, backoffDelay(failures, { ...reconnect, random }), signal)
      const identity = await this.#options.identity()
      const connection = await openConnection(endpoint, identity, timing, signal)
      if (this.#state.is === 'closed') {
        connection.destroy(closedError())
        throw closedError()
      }
      log.debug({ server: endpoint.url.host }, 'connected to the API server')
      // Until a request has been answered this counts as a failure: a server that accepts and hangs up is not up.
      this.#adopt(connection, identity, failures + 1)
      return connection
    } catch (error) {
      if (this.#state.is !== 'closed') this.#state = { is: 'idle', failures: failures + 1 }
      throw error
    }
  }

  #adopt(connection: Connection, identity: TlsIdentity, failures: number): void {
    this.#state = { is: 'ready', connection, identity, failures }
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
    this.#schedule()
  }

  #schedule(): void {
    this.#reload?.cancel()
    this.#reload = this.#options.timing.clock.timer(this.#options.reloadInterval, () => {
      // A session without a connection reads everything anew when it next connects.
      if (this.#state.is !== 'ready' || !this.#state.connection.isOpen) return
      this.#schedule()
      void this.refresh()
    })
  }
}

function closedError(): ConnectionError {
  return new ConnectionError('the client is closed', 'not-executed')
}
