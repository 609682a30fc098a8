import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type AdmissionAnswer, type AdmissionRequest, readAdmissionReview } from './admission-review.ts'
import { ReviewError, writeAdmissionReview } from './admission-review.ts'
import { secureOptions, type ServingMaterial } from './serving-material.ts'

/**
 * Decides about an object.
 *
 * @param signal - aborted when whoever asked has gone
 * @throws where no answer is possible: the API server's failurePolicy decides then
 */
export type AdmissionHandler = (request: AdmissionRequest, signal: AbortSignal) => Promise<AdmissionAnswer>

export interface WebhookServerOptions {
  /** An empty host for every address of this machine; port 0 for any that is free. */
  readonly host: string
  readonly port: number
  readonly material: ServingMaterial
  /** What is asked under which path. */
  readonly handlers: ReadonlyMap<string, AdmissionHandler>
  readonly log: Log
  readonly clock: Clock
}

/** A webhook that cannot listen. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly code = 'WEBHOOK_LISTEN'
}

/** The API server takes objects of up to 3 MiB; a review may hold two. In bytes. */
const largestBody = 8 * 1024 * 1024
/** How long a client may take to send its request, and how long answers under way are waited for at the end, in milliseconds. */
const patience = 10_000

interface Answer {
  readonly status: number
  readonly text: string
}

/** The HTTPS server of an admission webhook (TLS 1.2 or later). Its certificate and the CAs of its clients can be replaced while it serves. */
export class WebhookServer {
  /** The port that it listens on. */
  readonly port: number
  readonly #server: Server
  readonly #clock: Clock

  private constructor(server: Server, port: number, clock: Clock) {
    this.#server = server
    this.port = port
    this.#clock = clock
  }

  /**
   * Resolves once it listens.
   *
   * @throws {ListenError}
   */
  static async start(options: WebhookServerOptions): Promise<WebhookServer> {
    const { host, material, log, clock } = options
    const server = createServer({
      ...secureOptions(material),
      minVersion: 'TLSv1.2',
      // A resumed session would not be checked against CAs that were replaced since.
      secureOptions: constants.SSL_OP_NO_TICKET,
      requestCert: material.clientCas !== undefined,
      rejectUnauthorized: material.clientCas !== undefined,
      requestTimeout: patience,
    })
    server.on('request', (request, response) => {
      void respond(options, request, response)
    })
    server.on('tlsClientError', (error) => log.debug({ error }, 'a TLS handshake with the webhook failed'))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new ListenError(`unable to listen: ${error.message}`, { cause: error })))
      server.listen({ port: options.port, ...(host === '' ? {} : { host }) }, resolve)
    })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : options.port
    log.info({ port }, 'serving the webhook')
    return new WebhookServer(server, port, clock)
  }

  /** Serves with another certificate, or for other clients, from the next connection on. */
  use(material: ServingMaterial): void {
    this.#server.setSecureContext({ ...secureOptions(material), minVersion: 'TLSv1.2' })
    this.#server.closeIdleConnections()
  }

  /** Takes no more connections, and resolves once all answers under way are given, or after ten seconds. */
  async close(): Promise<void> {
    const timer = this.#clock.timer(patience, () => this.#server.closeAllConnections())
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
    timer.cancel()
  }
}

/** Never rejects. The order of the checks and their texts are those of SPIRE's registrar. */
async function respond(options: WebhookServerOptions, request: IncomingMessage, response: ServerResponse) {
  const path = request.url?.replace(/\?.*/s, '') ?? ''
  const handler = options.handlers.get(path)
  if (handler === undefined) return refuse(request, response, { status: 404, text: 'Not found' })
  if (request.method !== 'POST') return refuse(request, response, { status: 405, text: 'Expected POST' })
  if (request.headers['content-type'] !== 'application/json')
    return refuse(request, response, { status: 400, text: 'Expected JSON content' })
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the client has gone')))
  try {
    const body = await readBody(request)
    if (body === undefined) return refuse(request, response, { status: 413, text: 'Request body too large' })
    const answer = await answerReview(handler, body, gone.signal, options.log)
    if (answer.status === 200) response.writeHead(200, { 'content-type': 'application/json' }).end(answer.text)
    else refuse(request, response, answer)
  } catch (error) {
    // Only the client can be the reason: it went before its request was whole.
    options.log.debug({ error, path }, 'a request of the webhook broke off')
    response.destroy()
  }
}

async function answerReview(handler: AdmissionHandler, body: string, signal: AbortSignal, log: Log): Promise<Answer> {
  try {
    const review = readAdmissionReview(body)
    return { status: 200, text: writeAdmissionReview(review, await handler(review.request, signal)) }
  } catch (error) {
    if (error instanceof ReviewError) return { status: 400, text: error.message }
    if (!signal.aborted) log.error({ error }, 'an admission review was not answered')
    return { status: 500, text: `Internal error occurred: ${error instanceof Error ? error.message : String(error)}` }
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, { status, text }: Answer): void {
  // What is left of the body is not waited for.
  if (!request.complete) response.setHeader('connection', 'close')
  response
    .writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' })
    .end(`${text}\n`)
}

/** @returns undefined where it is too large */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestBody) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
