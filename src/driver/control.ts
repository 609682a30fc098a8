import { chmod, rm } from 'node:fs/promises'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { join } from 'node:path'
import { checkSocketPath, socketPathProblem } from '../runtime/socket-path.ts'
import type { VolumeReport } from './volume-report.ts'

/** What the control socket offers. */
export interface ControlActions {
  inspect(): VolumeReport[]
  /**
   * Renews a volume's certificate now.
   *
   * @returns false where there is no such volume, or it has no certificate yet
   */
  renew(volumeId: string): boolean
}

/** The socket on which `podpass driver inspect` and `renew` find a running driver. */
export interface ControlServer {
  close(): Promise<void>
}

/** A driver that cannot be asked, or an answer that is no good news. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code = 'CONTROL'
}

/** Where the control socket of the driver that holds a data root is. */
export function controlSocket(dataRoot: string): string {
  return join(dataRoot, 'control.sock')
}

/** Serves the control socket below the data root, whose lock this process holds; only root can reach it. */
export async function serveControl(dataRoot: string, actions: ControlActions): Promise<ControlServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const renewed = /^\/volumes\/([A-Za-z0-9._-]+)\/renew$/.exec(request.url ?? '')?.[1]
    if (request.method === 'GET' && request.url === '/volumes') answer(200, actions.inspect())
    else if (request.method === 'POST' && renewed !== undefined) answer(actions.renew(renewed) ? 202 : 404, {})
    else answer(404, {})
  })
  const path = controlSocket(dataRoot)
  checkSocketPath(path)
  await rm(path, { force: true })
  await listen(server, path)
  await chmod(path, 0o600)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}

/**
 * Asks the driver that holds a data root.
 *
 * @throws {ControlError} where none answers
 */
export async function askVolumes(dataRoot: string): Promise<readonly VolumeReport[]> {
  const { body } = await ask(dataRoot, 'GET', '/volumes')
  return JSON.parse(body) as VolumeReport[]
}

/**
 * Has the driver that holds a data root renew a volume now.
 *
 * @throws {ControlError} where none answers, or there is no such volume with a certificate
 */
export async function askRenewal(dataRoot: string, volumeId: string): Promise<void> {
  const { status } = await ask(dataRoot, 'POST', `/volumes/${encodeURIComponent(volumeId)}/renew`)
  if (status !== 202) throw new ControlError(`there is no volume ${volumeId} with a certificate on this node`)
}

function ask(
  dataRoot: string,
  method: string,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const socketPath = controlSocket(dataRoot)
  const problem = socketPathProblem(socketPath)
  if (problem !== undefined) return Promise.reject(new ControlError(problem))
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(new ControlError(`no driver answers on ${socketPath}: ${error.message}`, { cause: error }))
    const request = httpRequest({ socketPath, method, path, timeout: 10_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', fail)
    })
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')))
    request.on('error', fail)
    request.end()
  })
}
