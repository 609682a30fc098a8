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
 * Serves metrics in the Prometheus text format under /metrics, and for probes /healthz, which answers as long as the process
 * does, and /readyz.
 *
 * @param address - `host:port` or `:port`; `0` and the empty text serve nothing
 * @param readiness - why the program cannot do its work, for people; undefined where it can
 */
export async function serveMetrics(
  address: string,
  registry: Registry,
  log: Log,
  readiness: () => string | undefined = () => undefined,
): Promise<MetricsServer | undefined> {
  if (address === '0' || address === '') return undefined
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
  if (port === '')
    throw new RangeError(`metrics address ${JSON.stringify(address)} is not valid: must be host:port, :port or 0`)
  const server = createServer((request, response) => {
    const path = request.url?.replace(/\?.*/, '')
    if (path === '/healthz' || path === '/readyz') {
      const problem = path === '/readyz' ? readiness() : undefined
      response
        .writeHead(problem === undefined ? 200 : 503, { 'content-type': 'text/plain' })
        .end(`${problem ?? 'ok'}\n`)
      return
    }
    if (path !== '/metrics') {
      response.writeHead(404).end('not found; there are /metrics, /healthz and /readyz\n')
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => {
        log.error({ error }, 'metrics cannot be written')
        response.writeHead(500).end()
      },
    )
  })
  const bare = host.replaceAll(/[[\]]/g, '')
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: Number(port), ...(bare === '' ? {} : { host: bare }) }, resolve)
  })
  log.info({ address }, 'serving metrics')
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
