import { createServer } from 'node:http'
import type { Registry } from 'prom-client'
import type { Log } from './log.ts'

/** An HTTP server for metrics and probes. */
export interface MetricsServer {
  /** The port it listens on. */
  readonly port: number
  close(): Promise<void>
}

/**
 * Reads `host:port`, `[IPv6]:port` or `:port`.
 *
 * @returns an empty host for every address of this machine
 * @throws {RangeError}
 */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
  if (port === '')
    throw new RangeError(`metrics address ${JSON.stringify(address)} is not valid: must be host:port, :port or 0`)
  return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port) }
}

interface Page {
  readonly status: number
  readonly type: string
  readonly text: string
}

function probe(problems: readonly string[]): Page {
  const isWell = problems.length === 0
  return { status: isWell ? 200 : 503, type: 'text/plain', text: `${isWell ? 'ok' : problems.join('\n')}\n` }
}

/**
 * Serves metrics in the Prometheus text format under /metrics, and for probes /healthz, which answers as long as the process
 * does, and /readyz.
 *
 * @param address - `host:port` or `:port`; `0` and the empty text serve nothing
 * @param readiness - everything that keeps the program from its work, for people; a line each
 */
export async function serveMetrics(
  address: string,
  registry: Registry,
  log: Log,
  readiness: () => readonly string[] | Promise<readonly string[]> = () => [],
): Promise<MetricsServer | undefined> {
  if (address === '0' || address === '') return undefined
  const { host, port } = parseAddress(address)
  const pages = new Map<string | undefined, () => Promise<Page>>([
    ['/metrics', async () => ({ status: 200, type: registry.contentType, text: await registry.metrics() })],
    ['/healthz', async () => probe([])],
    ['/readyz', async () => probe(await readiness())],
  ])
  const server = createServer((request, response) => {
    const path = request.url?.replace(/\?.*/, '')
    const answer = pages.get(path)
    if (answer === undefined) {
      response.writeHead(404).end('not found; there are /metrics, /healthz and /readyz\n')
      return
    }
    answer().then(
      ({ status, type, text }) => response.writeHead(status, { 'content-type': type }).end(text),
      (error: unknown) => {
        log.error({ error, path }, 'the page cannot be written')
        response.writeHead(500).end()
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve)
  })
  const bound = server.address()
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port
  log.info({ address, port: actual }, 'serving metrics')
  return {
    port: actual,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
