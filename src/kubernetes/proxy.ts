import { BlockList, isIP } from 'node:net'
import { ConfigurationError } from './errors.ts'

/**
 * Reads the address of a proxy.
 *
 * @param place - where it stands, for people, such as `HTTPS_PROXY`
 * @throws {ConfigurationError} naming the place, never the address, which may hold a password
 */
export function parseProxy(text: string, place: string): URL {
  const url = URL.parse(text)
  if (url !== null && url.protocol.startsWith('socks')) {
    throw new ConfigurationError(`${place}: SOCKS proxies are not supported, only http and https ones`)
  }
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new ConfigurationError(`${place}: expected http://host:port or https://host:port`)
  }
  return url
}

/**
 * The proxy that the environment names for an API server, as Go programs find it (golang.org/x/net/http/httpproxy): `HTTPS_PROXY`,
 * unless `NO_PROXY` excepts the server. Loopback is always reached directly. Upper-case names go before lower-case ones.
 *
 * @param server - `https://host[:port]`
 * @returns undefined for the direct way
 * @throws {ConfigurationError}
 */
export function proxyFromEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  server: string,
): URL | undefined {
  const name = env['HTTPS_PROXY'] ? 'HTTPS_PROXY' : 'https_proxy'
  const text = env[name]
  const target = URL.parse(server)
  if (!text || target === null || isExcepted(target, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined
  return parseProxy(text.includes('://') ? text : `http://${text}`, name)
}

function isExcepted(target: URL, exceptions: string): boolean {
  const host = bare(target.hostname).toLowerCase()
  const port = target.port || '443'
  if (host === 'localhost' || isLoopback(host)) return true
  return exceptions.split(',').some((text) => {
    const exception = text.trim().toLowerCase()
    return exception === '*' || excepts(exception, host, port)
  })
}

/** One item of NO_PROXY: a network, an address or a name, the last two with or without a port. A name stands for its subdomains too. */
function excepts(exception: string, host: string, port: string): boolean {
  const [, network = '', prefix = ''] = /^(.+)\/(\d{1,3})$/.exec(exception) ?? []
  if (isIP(network) !== 0) return isIP(host) !== 0 && isWithin(host, network, Number(prefix))
  const [, before = exception, onlyPort] = isIP(exception) === 0 ? (/^(.*):(\d*)$/.exec(exception) ?? []) : []
  const name = bare(before).replace(/^\*(?=\.)/, '')
  if (name === '' || (onlyPort !== undefined && onlyPort !== '' && onlyPort !== port)) return false
  if (isIP(name) !== 0) return isIP(host) !== 0 && isWithin(host, name, isIP(name) === 4 ? 32 : 128)
  if (isIP(host) !== 0) return false
  return name.startsWith('.') ? host.endsWith(name) : host === name || host.endsWith(`.${name}`)
}

function isWithin(address: string, network: string, prefix: number): boolean {
  if (prefix > (isIP(network) === 4 ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(network, prefix, familyOf(network))
  return list.check(address, familyOf(address))
}

function isLoopback(host: string): boolean {
  return isIP(host) !== 0 && (isWithin(host, '127.0.0.0', 8) || isWithin(host, '::1', 128))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

/** URL keeps the brackets of an IPv6 address. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}
