import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { RequestOptions } from 'node:https'
import { isIP, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { errorText } from './error-text.ts'

/** How a proxy that is reached by TLS proves itself. */
export interface ProxyTrust {
  /** PEM, besides the system's own authorities; client-go trusts the API server's here too. */
  readonly ca: Buffer | undefined
  readonly insecure: boolean
}

/**
 * Has an HTTP proxy connect to a host (CONNECT, RFC 9110 §9.3.6). What is sent then, the proxy only passes on. It is never shown a
 * client certificate.
 *
 * @param authority - `host:port`
 * @returns a socket on which the host is the peer
 * @throws {Error} naming the proxy without its password
 * @throws the signal's reason
 */
export async function openTunnel(
  proxy: URL,
  authority: string,
  trust: ProxyTrust,
  signal: AbortSignal,
): Promise<Socket> {
  const host = proxy.hostname.replace(/^\[|\]$/g, '')
  const options: RequestOptions = {
    host,
    // Otherwise Node expects the certificate of whoever the Host header names.
    servername: isIP(host) === 0 ? host : '',
    port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...proxyAuthorization(proxy) },
    agent: false,
  }
  const send = proxy.protocol === 'https:' ? await secureRequest(trust) : httpRequest
  signal.throwIfAborted()
  return await new Promise((resolve, reject) => {
    const request = send(options)
    const stop = (): void => void request.destroy(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    const fail = (why: unknown): void => {
      signal.removeEventListener('abort', stop)
      const error = new Error(`proxy ${proxy.host}: ${errorText(why)}`, { cause: why })
      reject(signal.aborted ? (signal.reason as Error) : error)
    }
    request.once('error', fail)
    // Who takes CONNECT for a request like any other is no proxy.
    request.once('response', (response) => {
      response.destroy()
      fail(`it answered CONNECT with ${statusOf(response)}`)
    })
    request.once('connect', (response, socket, head) => {
      signal.removeEventListener('abort', stop)
      if ((response.statusCode ?? 0) / 100 >= 3 || head.length > 0) {
        socket.destroy()
        fail(head.length > 0 ? 'it sent bytes of its own' : `it answered CONNECT with ${statusOf(response)}`)
      } else resolve(socket)
    })
    request.end()
  })
}

/** RFC 7617; credentials in a URL are percent-encoded. */
function proxyAuthorization({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '' && password === '') return {}
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` }
}

async function secureRequest({ ca, insecure }: ProxyTrust): Promise<typeof httpRequest> {
  // Loaded when it is needed: hardly any proxy is reached by TLS.
  const { request } = await import('node:https')
  const own = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }
  return ((options: RequestOptions) =>
    request({ ...options, ...own, rejectUnauthorized: !insecure })) as typeof httpRequest
}

function statusOf({ statusCode, statusMessage }: IncomingMessage): string {
  return `${statusCode ?? 0} ${statusMessage ?? ''}`.trim()
}
