import { TokenMissingError } from '../../src/issuer/errors.ts'
import type {
  IssuanceRequest,
  IssuedCertificate,
  Issuer,
  PodCredentials,
  RequestHandle,
} from '../../src/issuer/issuer.ts'
import { createLocalCa, type LocalCa, type LocalCaOptions } from '../../src/issuer/local-ca.ts'
import type { Clock } from '../../src/runtime/clock.ts'

/** What happens to a request, as it is when the request is submitted: it is signed, held back until {@link ScriptedIssuer.release}, or ends with an error or another answer. */
export type Script =
  | 'sign'
  | 'hold'
  | { readonly submit: (request: IssuanceRequest) => Error }
  | { readonly wait: (handle: RequestHandle) => Error }
  | {
      readonly answer: (
        signed: IssuedCertificate,
        request: IssuanceRequest,
      ) => IssuedCertificate | Promise<IssuedCertificate>
    }

/** The local CA, with the faults that a test wants. It remembers what it was asked, like an API server, across driver restarts. */
export class ScriptedIssuer implements Issuer {
  readonly ca: LocalCa
  /** Every distinct request, in the order of its first submission. */
  readonly requests: IssuanceRequest[] = []
  readonly discarded: string[] = []
  /** Every submission, again or for the first time, with its time in epoch milliseconds. */
  readonly log: { readonly volumeId: string; readonly at: number }[] = []
  script: Script = 'sign'
  /** Whether requests must be made in the pod's name. */
  needsToken = false
  /** The tokens that requests were made with. */
  readonly tokens: string[] = []
  /** What each discard fails with. */
  discardError: Error | undefined
  readonly #clock: Clock
  readonly #scripts = new Map<string, Script>()
  #released: (() => void)[] = []

  constructor(options: LocalCaOptions) {
    this.#clock = options.clock
    this.ca = createLocalCa(options)
  }

  /** How often any request was submitted, again or for the first time. */
  get submissions(): number {
    return this.log.length
  }

  /** Lets go of what is held, and signs from now on. */
  release(): void {
    this.script = 'sign'
    this.#scripts.clear()
    for (const release of this.#released) release()
    this.#released = []
  }

  async submit(request: IssuanceRequest, signal: AbortSignal, credentials?: PodCredentials): Promise<RequestHandle> {
    this.log.push({ volumeId: request.volumeId, at: this.#clock.now() })
    if (this.needsToken) {
      const token = credentials?.token('')
      if (token === undefined) throw new TokenMissingError('no token')
      this.tokens.push(token)
    }
    if (typeof this.script === 'object' && 'submit' in this.script) throw this.script.submit(request)
    const handle = await this.ca.submit(request, signal)
    if (!this.requests.some(({ id }) => id === request.id)) this.requests.push(request)
    this.#scripts.set(request.id, this.script)
    return handle
  }

  async wait(
    handle: RequestHandle,
    signal: AbortSignal,
    progress?: (state: string) => void,
  ): Promise<IssuedCertificate> {
    const script = this.#scripts.get(handle.id) ?? this.script
    if (script === 'hold') {
      signal.throwIfAborted()
      progress?.('held by the test')
      await new Promise<void>((resolve, reject) => {
        this.#released.push(resolve)
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    }
    if (typeof script === 'object' && 'wait' in script) throw script.wait(handle)
    const signed = await this.ca.wait(handle, signal, progress)
    const request = this.requests.find(({ id }) => id === handle.id)
    if (typeof script === 'object' && 'answer' in script && request !== undefined) return script.answer(signed, request)
    return signed
  }

  async discard(handle: RequestHandle): Promise<void> {
    if (this.discardError !== undefined) throw this.discardError
    this.discarded.push(handle.id)
    await this.ca.discard(handle)
  }
}
