import {
  type Agent,
  Agent as HttpAgent,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { DeadlineExceeded, startDeadline } from '../../kubernetes/deadline.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { Semaphore } from '../../runtime/semaphore.ts'
import { printable } from '../../x509/printable.ts'

export interface ConnectionOptions {
  readonly address: string
  /** Origins that Vault may redirect to, beside its own address. */
  readonly redirects: readonly string[]
  /** PEM; undefined for the authorities that Node knows. */
  readonly ca?: string | undefined
  readonly serverName?: string | undefined
  readonly namespace?: string | undefined
  /** How long a call may take once it has begun, in milliseconds. */
  readonly timeout: number
  readonly clock: Clock
}

/** A call of Vault's API. All that the driver makes are POSTs with JSON. */
export interface VaultCall {
  /** Below /v1/, such as `pki/sign/pods`; every segment is a name that needs no escape. */
  readonly path: string
  readonly token?: string
  readonly body: Readonly<Record<string, unknown>>
  /** What must not be found in any error, beside the token. */
  readonly secrets?: readonly string[]
}

/** What Vault has answered, whatever its status. */
export interface VaultAnswer {
  readonly status: number
  /** Undefined where there is none, or where it is not JSON. */
  readonly body: unknown
  /** Vault's own words, for people; never a token. */
  readonly errors: string
}

/** Vault did not answer, or not as Vault does. Whether it did what it was asked is unknown. */
export class VaultConnectionError extends Error {
  override readonly name = 'VaultConnectionError'
  readonly code = 'VAULT_CONNECTION'
}

/** Vault sends the call to a host that is not configured, where no token may go. */
export class VaultRedirectError extends Error {
  override readonly name = 'VaultRedirectError'
  readonly code = 'VAULT_REDIRECT'
  readonly origin: string

  constructor(from: string, origin: string) {
    super(`${from} redirects to ${printable(origin)}`)
    this.origin = origin
  }
}

/** How many calls are under way at once; more wait, without their time running. */
const slots = 16
/** A certificate with its chain takes some 10 kB. */
const longestBody = 1 << 20
/** How often a call is made again after 429, which says that nothing was done. */
const mostAttempts = 3
/** The longest that a 429 is waited for in here, in milliseconds; the volume's own attempts go on after it. */
const longestPause = 60_000
const mostRedirects = 3

/** A Vault, or what stands before it, over connections that are kept. */
export class VaultConnection {
  readonly #options: ConnectionOptions
  readonly #slots = new Semaphore(slots)
  readonly #agent: Agent
  readonly #allowed: ReadonlySet<string>
  /** Until when Vault wants no call, epoch milliseconds. */
  #pausedUntil = 0
  #underWay = 0
  #closed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#allowed = new Set([options.address, ...options.redirects])
    const keep = { keepAlive: true, maxFreeSockets: 2, scheduling: 'lifo' } as const
    const { ca, serverName } = options
    this.#agent = options.address.startsWith('http:')
      ? new HttpAgent(keep)
      : new HttpsAgent({
          ...keep,
          minVersion: 'TLSv1.2',
          ...(ca === undefined ? {} : { ca }),
          ...(serverName === undefined ? {} : { servername: serverName }),
        })
  }

  get address(): string {
    return this.#options.address
  }

  /**
   * Makes a call. One that Vault refuses as too many (429) is made again when Vault wants it.
   *
   * @throws {VaultConnectionError} where there is no answer
   * @throws {VaultRedirectError} rather than follow to a host that is not configured
   * @throws the signal's reason
   */
  async call(call: VaultCall, signal: AbortSignal): Promise<VaultAnswer> {
    for (let attempt = 1; ; attempt++) {
      await this.#pause(signal)
      const { answer, retryAfter } = await this.#slots.run(() => this.#attempt(call, signal), signal)
      if (answer.status !== 429) return answer
      this.#pausedUntil = Math.max(this.#pausedUntil, this.#options.clock.now() + retryAfter)
      if (attempt === mostAttempts || retryAfter > longestPause) return answer
    }
  }

  /** Lets the calls under way end, then closes what is open. */
  close(): void {
    this.#closed = true
    if (this.#underWay === 0) this.#agent.destroy()
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const left = Math.min(this.#pausedUntil - clock.now(), longestPause)
    if (left > 0) await sleep(clock, left, signal)
  }

  async #attempt(call: VaultCall, signal: AbortSignal) {
    const { clock, timeout, address } = this.#options
    const deadline = startDeadline(clock, timeout, signal)
    this.#underWay++
    try {
      return await this.#follow(call, deadline.signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof VaultRedirectError || error instanceof VaultConnectionError) throw error
      const reason: unknown = deadline.signal.aborted ? deadline.signal.reason : error
      throw new VaultConnectionError(`${address} cannot be reached: ${reasonOf(reason)}`, { cause: reason })
    } finally {
      deadline.clear()
      this.#underWay--
      if (this.#closed) this.close()
    }
  }

  /** Makes a call, there and wherever Vault sends it among the hosts that are configured. */
  async #follow(call: VaultCall, signal: AbortSignal) {
    let url = new URL(`/v1/${call.path}`, this.#options.address)
    for (let redirects = 0; ; redirects++) {
      const response = await this.#send(url, call, signal)
      const { statusCode: status = 0, headers } = response
      if ((status !== 307 && status !== 308) || headers.location === undefined) {
        return {
          answer: await readAnswer(response, call),
          retryAfter: retryAfterOf(headers['retry-after'], this.#options.clock),
        }
      }
      response.resume()
      const next = URL.parse(headers.location, url)
      if (next === null || !this.#allowed.has(next.origin)) {
        throw new VaultRedirectError(url.origin, next?.origin ?? headers.location)
      }
      if (redirects === mostRedirects) throw new VaultConnectionError(`${url.origin} redirects in a circle`)
      url = next
    }
  }

  /** Sends a request, and once more where a connection that was kept turns out to have been closed meanwhile. */
  async #send(url: URL, call: VaultCall, signal: AbortSignal): Promise<IncomingMessage> {
    for (let isRepeated = false; ; isRepeated = true) {
      const { namespace } = this.#options
      const body = JSON.stringify(call.body)
      const request = (url.protocol === 'http:' ? httpRequest : httpsRequest)(url, {
        method: 'POST',
        agent: this.#agent,
        signal,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          // Without it, Vault's agent and proxies may refuse (server-side request forgery).
          'x-vault-request': 'true',
          ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
          ...(call.token === undefined ? {} : { 'x-vault-token': call.token }),
        },
      } satisfies RequestOptions)
      try {
        return await new Promise((resolve, reject) => {
          request.once('response', resolve).once('error', reject).end(body)
        })
      } catch (error) {
        const isStale = request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
        if (!isStale || isRepeated || signal.aborted) throw error
      }
    }
  }
}

async function readAnswer(response: IncomingMessage, call: VaultCall): Promise<VaultAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  // Throws where the connection ends before the answer does.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > longestBody) throw new Error(`the answer is over ${longestBody} bytes`)
  }
  const body = parseJson(Buffer.concat(chunks).toString('utf8'))
  return { status: response.statusCode ?? 0, body, errors: errorsOf(body, [call.token ?? '', ...(call.secrets ?? [])]) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Vault's list of errors as one line. Its multierror texts have lines and bullets. */
function errorsOf(body: unknown, secrets: readonly string[]): string {
  const errors: unknown = typeof body === 'object' && body !== null && 'errors' in body ? body.errors : undefined
  let text = Array.isArray(errors) ? errors.filter((error) => typeof error === 'string').join('; ') : ''
  for (const secret of secrets) if (secret !== '') text = text.replaceAll(secret, '…')
  return printable(
    text
      .replace(/\d+ errors? occurred:\s*\*?/g, '')
      .replace(/\s+/g, ' ')
      .trim(),
  )
}

/** Seconds or a date (RFC 9110 §10.2.3). @returns milliseconds, a second where nothing is said */
function retryAfterOf(header: string | undefined, clock: Clock): number {
  if (header === undefined) return 1000
  if (/^\d+$/.test(header)) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? 1000 : Math.max(0, date - clock.now())
}

/** The codes by which OpenSSL and Node refuse a server's certificate. */
const certificateCodes = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/

function reasonOf(error: unknown): string {
  if (error instanceof DeadlineExceeded) return error.message
  const { code = '', message } = error as NodeJS.ErrnoException
  // A connection to a host of several addresses fails with one error for each.
  const errors = error instanceof AggregateError ? error.errors.map((one: Error) => one.message).join('; ') : message
  const text = printable(errors === '' ? code : errors)
  return certificateCodes.test(code) ? `${text} (check its ca and serverName)` : text
}
