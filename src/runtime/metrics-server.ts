import { createServer } from 'node:http'
import type { Registry } from 'prom-client'
import type { Log } from './log.ts'

/** An HTTP server for one page. */
export interface MetricsServer {
  close(): Promise<void>
}

/**
 * Serves metrics in the Prometheus text format under /metrics.
 *
 * @param address - `host:port` or `:port`; `0` and the empty text serve nothing
 */
export async function serveMetrics(address: string, registry: Registry, log: Log): Promise<MetricsServer | undefined> {
  if (address === '0' || address === '') return undefined
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
  if (port === '')
    throw new RangeError(`metrics address ${JSON.stringify(address)} is not valid: must be host:port, :port or 0`)
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end('not found; metrics are at /metrics\n')
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
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
