import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import {
  type ConnectionOptions,
  type PeerCertificate,
  type TLSSocket,
  checkServerIdentity,
  connect,
  createServer,
} from 'node:tls'
import type { Certificate } from '../x509/certificate.ts'
import type { Credentials } from './pod-view.ts'

/** How a handshake ended for one side. */
export type SideOutcome =
  | { readonly ended: 'agreed'; readonly protocol: string; readonly cipher: string }
  /** This side looked at the other's certificate and did not like it. */
  | { readonly ended: 'refused'; readonly reason: string }
  /** The other side went away. */
  | { readonly ended: 'cut off' }
  | { readonly ended: 'failed'; readonly reason: string }

/** How a handshake ended. */
export interface Outcome {
  readonly client: SideOutcome
  readonly server: SideOutcome
}

/** One end of a connection. */
export interface Peer {
  readonly credentials: Credentials
  /** Whether it talks to anyone: an attacker does not check whom it has reached. */
  readonly trustsAnyone?: boolean
}

/** What the server says once it has accepted its client. In TLS 1.3 a client may believe in a handshake that the server then refuses. */
const greeting = 'welcome'

/**
 * Connects two peers by mutual TLS on the loopback interface, with nothing but what their volumes hold: each shows its
 * certificate and verifies the other's against its own `ca.crt`.
 *
 * @param expected - the certificate that the server has; its names are what the client insists on
 */
export async function shakeHands(client: Peer, server: Peer, expected: Certificate): Promise<Outcome> {
  const listener = createServer({
    cert: server.credentials.certificate,
    key: server.credentials.privateKey,
    ca: server.credentials.ca,
    requestCert: true,
    rejectUnauthorized: server.trustsAnyone !== true,
  })
  const serverSide = new Promise<SideOutcome>((resolve) => {
    listener.once('secureConnection', (socket) => {
      resolve(agreement(socket))
      // What happens to the connection from here on is the client's to tell.
      socket.on('error', () => {})
      socket.end(greeting)
    })
    listener.once('tlsClientError', (error, socket) => resolve(trouble(error, socket)))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  try {
    const { port } = listener.address() as AddressInfo
    const clientSide = await reach(port, client, expected)
    return { client: clientSide, server: await serverSide }
  } finally {
    listener.close()
  }
}

function reach(port: number, client: Peer, expected: Certificate): Promise<SideOutcome> {
  const options: ConnectionOptions = {
    host: '127.0.0.1',
    port,
    cert: client.credentials.certificate,
    key: client.credentials.privateKey,
    ca: client.credentials.ca,
    rejectUnauthorized: client.trustsAnyone !== true,
    checkServerIdentity: (_host, seen) => checkIdentity(expected, seen),
  }
  const [name] = expected.names.dns
  if (name !== undefined) options.servername = concrete(name)
  return new Promise((resolve) => {
    const socket = connect(options)
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (part: string) => (text += part))
    socket.once('error', (error) => resolve(trouble(error, socket)))
    socket.once('close', () => resolve({ ended: 'cut off' }))
    socket.once('end', () => {
      if (text === greeting) resolve(agreement(socket))
    })
  })
}

function agreement(socket: TLSSocket): SideOutcome {
  return { ended: 'agreed', protocol: socket.getProtocol() ?? '', cipher: socket.getCipher().standardName }
}

/**
 * Node knows how to look for a DNS name or an IP address (RFC 6125); a URI name (RFC 5280 §4.2.1.6), as SPIFFE has it, is
 * compared whole. A certificate without names is only as good as its chain.
 */
function checkIdentity({ names }: Certificate, seen: PeerCertificate): Error | undefined {
  const [host] = [...names.dns.map(concrete), ...names.ip]
  if (host !== undefined) return checkServerIdentity(host, seen)
  const [uri] = names.uri
  if (uri === undefined || (seen.subjectaltname ?? '').split(', ').includes(`URI:${uri}`)) return undefined
  return new Error(`the server's certificate is not for ${uri}`)
}

/** A name that a wildcard stands for. */
function concrete(name: string): string {
  return name.startsWith('*.') ? `any${name.slice(1)}` : name
}

/**
 * Node destroys the connection when a certificate does not verify, without an alert: the reason is with the socket that verified,
 * and the other side sees no more than the end.
 */
function trouble(error: Error, socket: TLSSocket): SideOutcome {
  const { code, reason } = error as Error & { code?: string; reason?: string }
  // A string at run time, whatever its type says: the name of OpenSSL's X509_V_ERR.
  const verdict = socket.authorizationError as unknown
  if (typeof verdict === 'string' && verdict !== '') return { ended: 'refused', reason: explain(verdict) }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return { ended: 'refused', reason: error.message }
  if (code === 'ECONNRESET' || code === 'EPIPE') return { ended: 'cut off' }
  return { ended: 'failed', reason: reason ?? error.message }
}

/** The verdicts on a chain that ends anywhere but in the CA that was given. */
const unknownIssuer = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

function explain(verdict: string): string {
  return unknownIssuer.has(verdict) ? 'signed by a CA that it does not trust' : verdict
}
