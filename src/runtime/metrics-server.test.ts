import { connect } from 'node:net'
import { Counter, Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Log, silentLog } from './log.ts'
import { type MetricsServer, serveMetrics } from './metrics-server.ts'

const servers: MetricsServer[] = []
let registry: Registry

beforeEach(() => {
  registry = new Registry()
  new Counter({ name: 'volumes_total', help: 'Volumes.', registers: [registry] }).inc(3)
})

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function serve(address: string, log: Log = silentLog): Promise<MetricsServer> {
  const server = await serveMetrics(address, registry, log)
  if (server === undefined) throw new Error(`nothing is served at ${address}`)
  servers.push(server)
  return server
}

test.each(['0', ''])('the address %j serves nothing', async (address) => {
  expect(await serveMetrics(address, registry, silentLog)).toBeUndefined()
})

test.each([':0', '127.0.0.1:0', 'localhost:0'])(
  '%s serves the metrics in the text format of Prometheus',
  async (address) => {
    const { port } = await serve(address)
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=/)
    expect(await answer.text()).toContain('\nvolumes_total 3\n')
  },
)

test('an IPv6 address stands in brackets', async () => {
  const { port } = await serve('[::1]:0')
  expect((await fetch(`http://[::1]:${port}/metrics`)).status).toBe(200)
})

test('parameters of a scrape are passed over, other pages say where the metrics are', async () => {
  const { port } = await serve('127.0.0.1:0')
  const page = async (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`)
  expect((await page('/metrics?name[]=volumes_total')).status).toBe(200)
  for (const path of ['/', '/metrics/', '/debug', '/?/metrics']) {
    const answer = await page(path)
    expect(answer.status).toBe(404)
    expect(await answer.text()).toContain('/metrics')
  }
})

test('probes are answered: alive as long as there is an answer, ready unless there is a reason not to be', async () => {
  const program: { problems: readonly string[] } = { problems: [] }
  const server = await serveMetrics('127.0.0.1:0', registry, silentLog, () => program.problems)
  if (server === undefined) throw new Error('nothing is served')
  servers.push(server)
  const probe = async (path: string): Promise<readonly [number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`)
    return [answer.status, await answer.text()]
  }
  expect(await probe('/healthz')).toEqual([200, 'ok\n'])
  expect(await probe('/readyz')).toEqual([200, 'ok\n'])
  program.problems = ['there is no CSIDriver object', 'the disk is full']
  expect(await probe('/healthz')).toEqual([200, 'ok\n'])
  expect(await probe('/readyz')).toEqual([503, 'there is no CSIDriver object\nthe disk is full\n'])
})

test.each(['nonsense', ':', ':x', '127.0.0.1', '127.0.0.1:-1', ':http'])(
  'the address %j is refused',
  async (address) => {
    await expect(serveMetrics(address, registry, silentLog)).rejects.toThrow(
      `metrics address ${JSON.stringify(address)} is not valid: must be host:port, :port or 0`,
    )
  },
)

test('a port that there is not, or that is taken, is an error at the start', async () => {
  await expect(serveMetrics(':99999', registry, silentLog)).rejects.toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' })
  const { port } = await serve('127.0.0.1:0')
  await expect(serveMetrics(`127.0.0.1:${port}`, registry, silentLog)).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('metrics that cannot be written are an error of the server, told in its log', async () => {
  const told: object[] = []
  registry.metrics = () => Promise.reject(new Error('broken'))
  const { port } = await serve('127.0.0.1:0', { ...silentLog, error: (fields) => told.push(fields) })
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(500)
  expect(told).toMatchObject([{ error: { message: 'broken' } }])
})

test('closing does not wait for a client that keeps its connection', async () => {
  const server = await serve('127.0.0.1:0')
  const socket = connect(server.port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  const ended = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  await server.close()
  await ended
  await expect(fetch(`http://127.0.0.1:${server.port}/metrics`)).rejects.toThrow(/./)
})
