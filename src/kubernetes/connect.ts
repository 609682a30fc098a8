import { connect } from 'node:http2'
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  type ConnectionOptions as TlsOptions,
  type TLSSocket,
} from 'node:tls'
import { abortable } from './abortable.ts'
import { Connection, type PingTiming } from './connection.ts'
import { ConnectionError } from './errors.ts'

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

export interface ConnectTiming extends PingTiming {
  /** How long connecting may take, in milliseconds. */
  readonly connectTimeout: number
}

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
  timing: ConnectTiming,
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
