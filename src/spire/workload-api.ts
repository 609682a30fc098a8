import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { SpiffeWorkloadAPI } from '../gen/spiffe/workload_pb.ts'
import { abortable } from '../kubernetes/abortable.ts'
import { backoffDelay } from '../runtime/backoff.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { callServerStreaming } from '../runtime/grpc-call.ts'
import { statusName } from '../runtime/grpc-status.ts'
import type { Log } from '../runtime/log.ts'
import { checkSocketPath } from '../runtime/socket-path.ts'
import { printable } from '../x509/printable.ts'
import { adminEntryCommand, adminEntryHint } from './admin-command.ts'
import { plainDetails } from './plain-details.ts'
import { readWorkloadIdentity, type WorkloadIdentity, WorkloadIdentityError } from './workload-identity.ts'

/** Where a process has its own SVID from. */
export interface IdentitySource {
  /** Resolves with the newest SVID, and waits for the first one. A renewed SVID is another object. */
  current(signal: AbortSignal): Promise<WorkloadIdentity>
  /** Why there is no SVID yet, or no newer one, for people; undefined where nothing is known to be wrong. */
  readonly problem: string | undefined
}

export interface WorkloadApiOptions {
  /** The agent's socket: a path, with or without `unix:` or `unix://` before it, as SPIFFE_ENDPOINT_SOCKET has it. */
  readonly address: string
  readonly trustDomain: string
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). @default {Math.random} */
  readonly random?: () => number
}

/** As SPIFFE's own clients wait, however long it takes: an entry that is missing today may be made tomorrow. */
const backoff = { first: 1000, cap: 30_000 }

/** Follows the SVID that a SPIFFE agent gives to this process (SPIFFE Workload API §5), from the first one until it is closed. */
export class WorkloadApi implements IdentitySource {
  readonly #options: WorkloadApiOptions
  readonly #path: string
  readonly #client: Client
  readonly #stopping = new AbortController()
  readonly #following: Promise<void>
  readonly #first = Promise.withResolvers<WorkloadIdentity>()
  #identity: WorkloadIdentity | undefined
  #problem: string | undefined

  /** @throws {SocketError} where the path is too long */
  constructor(options: WorkloadApiOptions) {
    this.#options = options
    this.#path = options.address.replace(/^unix:(?:\/\/)?/, '')
    checkSocketPath(this.#path)
    this.#client = new Client(`unix:${this.#path}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      // The waits between attempts are ours; the channel's own must not outlast them.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
    })
    this.#first.promise.catch(() => {})
    this.#following = this.#follow()
  }

  get problem(): string | undefined {
    return this.#problem
  }

  async current(signal: AbortSignal): Promise<WorkloadIdentity> {
    return this.#identity ?? (await abortable(this.#first.promise, signal))
  }

  /** Ends the stream, and the wait of everybody who still waits for a first SVID. */
  async close(): Promise<void> {
    this.#stopping.abort(new Error('the Workload API client was closed'))
    await this.#following
    this.#client.close()
    this.#first.reject(this.#stopping.signal.reason)
  }

  async #follow(): Promise<void> {
    const { clock, random = Math.random } = this.#options
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      try {
        for await (const response of this.#stream(signal)) {
          failures = 0
          this.#take(() => readWorkloadIdentity(response, this.#options.trustDomain))
        }
        if (!signal.aborted) this.#report('the agent ended the stream')
      } catch (error) {
        if (signal.aborted) return
        this.#report(describe(error as ServiceError, this.#options.trustDomain))
      }
      await sleep(clock, backoffDelay(++failures, { ...backoff, random }), signal).catch(() => {})
    }
  }

  #stream(signal: AbortSignal) {
    // The agent answers no call without it, which keeps requests out that somebody made a server send (Workload API §3).
    const metadata = new Metadata()
    metadata.set('workload.spiffe.io', 'true')
    return callServerStreaming(this.#client, SpiffeWorkloadAPI.method.fetchX509SVID, {}, { metadata, signal })
  }

  /** An answer that cannot be used leaves the SVID that there is. */
  #take(read: () => WorkloadIdentity): void {
    try {
      this.#identity = read()
    } catch (error) {
      if (!(error instanceof WorkloadIdentityError)) throw error
      this.#report(error.message)
      return
    }
    this.#problem = undefined
    this.#first.resolve(this.#identity)
    const [{ notAfter }] = this.#identity.chain
    this.#options.log.info(
      { spiffeId: this.#identity.spiffeId, notAfter: new Date(notAfter).toISOString() },
      'the Workload API gave an SVID',
    )
  }

  #report(problem: string): void {
    const text = `Workload API unix://${this.#path}: ${problem}`
    if (text !== this.#problem) this.#options.log.warn({ problem: text }, 'the Workload API gives no SVID')
    this.#problem = text
  }
}

function describe({ code, details, message }: ServiceError, trustDomain: string): string {
  const text = `${statusName(code)}: ${printable(plainDetails(details ?? message))}`
  if (code === status.PERMISSION_DENIED) {
    const command = adminEntryCommand(trustDomain, undefined)
    return `${text}. The agent knows no entry for this process; to make one: ${command} . ${adminEntryHint}`
  }
  if (code === status.UNIMPLEMENTED) return `${text}. The socket is not that of an agent's Workload API.`
  if (code === status.UNAVAILABLE && /ENOENT|ECONNREFUSED|EACCES/.test(text)) {
    return `${text}. Is the agent running on this node, and its socket's folder mounted here?`
  }
  return text
}
