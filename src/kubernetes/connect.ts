import { connect } from 'node:http2'
import { isIP, type Socket } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  type ConnectionOptions as TlsOptions,
  type TLSSocket,
} from 'node:tls'
import { abortable } from './abortable.ts'
import { Connection, type PingTiming } from './connection.ts'
import { DeadlineExceeded, startDeadline } from './deadline.ts'
import { errorText } from './error-text.ts'
import { ConnectionError } from './errors.ts'
import { openTunnel } from './tunnel.ts'

/** The server's address and how it proves itself. */
export interface Endpoint {
  readonly url: URL
  readonly serverName: string | undefined
  readonly insecure: boolean
  /** Undefined for the direct way. */
  readonly proxy: URL | undefined
}

/** What a connection presents and trusts, as PEM. */
export interface TlsIdentity {
  readonly ca: Buffer | undefined
  readonly certificate: Buffer | undefined
  readonly key: Buffer | undefined
}

export interface ConnectTiming extends PingTiming {
  /** How long connecting may take, in milliseconds. */
  readonly connectTimeout: number
}

/** Bytes that the server may send ahead, for one stream and for all together. Lists of thousands of objects come in one go. */
const streamWindow = 1 << 20
const connectionWindow = 8 << 20

/**
 * Connects with TLS and HTTP/2, up to the server's first SETTINGS, through a proxy where there is one.
 *
 * @throws {ConnectionError}
 * @throws the signal's reason
 */
export async function openConnection(
  endpoint: Endpoint,
  identity: TlsIdentity,
  timing: ConnectTiming,
  signal: AbortSignal,
): Promise<Connection> {
  const { host } = endpoint.url
  const deadline = startDeadline(timing.clock, timing.connectTimeout, signal)
  try {
    const carrier = await carrierOf(endpoint, identity, deadline.signal)
    const socket = startTls(tlsOptions(endpoint, identity, carrier))
    return await openSession(endpoint, socket, timing, deadline.signal)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    const isLate = error instanceof DeadlineExceeded
    throw unreachable(host, isLate ? new Error(`no connection within ${timing.connectTimeout / 1000} s`) : error)
  } finally {
    deadline.clear()
  }
}

/** What TLS goes over, where that is not a connection of its own. */
async function carrierOf(endpoint: Endpoint, { ca }: TlsIdentity, signal: AbortSignal): Promise<Socket | undefined> {
  const { url, proxy, insecure } = endpoint
  if (proxy === undefined) return undefined
  return await openTunnel(proxy, `${url.hostname}:${url.port || 443}`, { ca, insecure }, signal)
}

/** @throws where a certificate does not fit its key, before any I/O */
function startTls(options: TlsOptions): TLSSocket {
  try {
    return connectTls(options)
  } catch (error) {
    options.socket?.destroy()
    throw error
  }
}

async function openSession(
  { url }: Endpoint,
  socket: TLSSocket,
  timing: ConnectTiming,
  signal: AbortSignal,
): Promise<Connection> {
  const session = connect(url.origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: streamWindow },
  })
  const attempt = new Promise<Connection>((resolve, fail) => {
    session.on('error', fail)
    session.once('close', () => fail(new Error('the server closed the connection')))
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol === 'h2') session.setLocalWindowSize(connectionWindow)
      else fail(new Error('the server does not offer HTTP/2 (ALPN h2)'))
    })
    // Before its SETTINGS it is not known how many streams the server allows (RFC 9113 §5.1.2).
    session.once('remoteSettings', () => {
      session.off('error', fail)
      resolve(new Connection(session, socket, url.host, timing))
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

function tlsOptions(endpoint: Endpoint, identity: TlsIdentity, carrier: Socket | undefined): TlsOptions {
  // URL keeps the brackets of an IPv6 address.
  const host = endpoint.url.hostname.replace(/^\[|\]$/g, '')
  const expected = endpoint.serverName ?? host
  return {
    ...(carrier === undefined ? { host, port: Number(endpoint.url.port || 443) } : { socket: carrier }),
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
  return new ConnectionError(`cannot connect to ${host}: ${errorText(error)}`, 'not-executed', error)
}
