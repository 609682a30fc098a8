import type { Clock, Timer } from '../runtime/clock.ts'
import { type Authority, AuthorityError, createAuthority, issueCertificate } from '../x509/authority.ts'
import {
  type CertificateRequest,
  CertificateRequestError,
  readCertificateRequest,
} from '../x509/certificate-request.ts'
import { GeneralNameError } from '../x509/general-names.ts'
import { formatKeySpec, generateKeySync } from '../x509/key.ts'
import { canonicalUsage } from '../x509/key-usage.ts'
import { buildSubject, NameError } from '../x509/name.ts'
import { type IssuanceError, IssuerUnavailableError, RequestFailedError, RequestGoneError } from './errors.ts'
import type { IssuanceRequest, IssuedCertificate, Issuer, RequestHandle } from './issuer.ts'

export interface LocalCaOptions {
  readonly clock: Clock
  /** The longest lifetime that it signs, in milliseconds. @default {30 days} */
  readonly maxLifetime?: number
  /** How long each request waits for its certificate, in milliseconds. @default {0} */
  readonly delay?: number
  /** Whether certificates come from an intermediate CA, as in most organisations. @default {true} */
  readonly intermediate?: boolean
  /** The common name of the root. @default {'Podpass local root'} */
  readonly commonName?: string
  /** How many requests it remembers. @default {1000} */
  readonly capacity?: number
}

/** A CA inside this process, for the quick start and for tests. Its keys never leave memory and end with the process. */
export interface LocalCa extends Issuer {
  /** The root's certificate in PEM. */
  readonly ca: string
}

const day = 24 * 3600_000

/** A request that the CA holds. */
type Entry =
  | { readonly is: 'waiting'; readonly timer: Timer; readonly waiters: Set<(entry: Entry | undefined) => void> }
  | { readonly is: 'issued'; readonly certificate: IssuedCertificate }
  | { readonly is: 'failed'; readonly error: IssuanceError }

/** Makes a CA, with a root and keys of its own. */
export function createLocalCa(options: LocalCaOptions): LocalCa {
  const { clock, maxLifetime = 30 * day, delay = 0, capacity = 1000 } = options
  const { root, signer } = createAuthorities(options, clock.now(), maxLifetime)
  const entries = new Map<string, Entry>()

  const settle = (id: string, entry: Entry | undefined): void => {
    const before = entries.get(id)
    if (entry === undefined) entries.delete(id)
    else entries.set(id, entry)
    if (before?.is !== 'waiting') return
    before.timer.cancel()
    for (const waiter of before.waiters) waiter(entry)
  }

  return {
    ca: root.certificate.pem,

    async submit(request, signal) {
      signal.throwIfAborted()
      const { id } = request
      const handle = handleOf(id)
      if (entries.has(id)) return handle
      makeRoom(entries, capacity)
      const decide = (): Entry => sign(request, handle, signer, root, clock.now(), maxLifetime)
      if (delay === 0) entries.set(id, decide())
      else entries.set(id, { is: 'waiting', timer: clock.timer(delay, () => settle(id, decide())), waiters: new Set() })
      return handle
    },

    async wait(handle, signal, progress) {
      signal.throwIfAborted()
      let entry = entries.get(handle.id)
      if (entry?.is === 'waiting') {
        progress?.('waits for the local CA')
        entry = await settled(entry.waiters, signal)
      }
      if (entry?.is === 'issued') return entry.certificate
      throw entry?.is === 'failed' ? entry.error : new RequestGoneError(handle.name)
    },

    async discard(handle) {
      settle(handle.id, undefined)
    },
  }
}

function createAuthorities(
  { intermediate = true, commonName = 'Podpass local root' }: LocalCaOptions,
  now: number,
  maxLifetime: number,
): { root: Authority; signer: Authority } {
  // Certificates are cut to their CA's end, so the CAs outlast any process that uses them.
  const lifetime = Math.max(3650 * day, 2 * maxLifetime)
  const key = { algorithm: 'ECDSA', size: 256 } as const
  const root = createAuthority({ subject: buildSubject({ commonName }), key: generateKeySync(key), lifetime, now })
  if (!intermediate) return { root, signer: root }
  const subject = buildSubject({ commonName: `${commonName} intermediate` })
  const signer = createAuthority({ subject, key: generateKeySync(key), lifetime, now, parent: root, pathLength: 1 })
  return { root, signer }
}

function handleOf(id: string): RequestHandle {
  return { id, name: `local request ${id}`, reference: {} }
}

/** Forgets the oldest request that was answered. Those that wait are kept: somebody will ask for them. */
function makeRoom(entries: Map<string, Entry>, capacity: number): void {
  if (entries.size < capacity) return
  for (const [id, entry] of entries) {
    if (entry.is === 'waiting') continue
    entries.delete(id)
    return
  }
  throw new IssuerUnavailableError(`the local CA holds ${capacity} requests that wait`)
}

function sign(
  request: IssuanceRequest,
  handle: RequestHandle,
  signer: Authority,
  root: Authority,
  now: number,
  maxLifetime: number,
): Entry {
  try {
    const asked = readCertificateRequest(request.csr)
    const problem = requestProblem(asked, request)
    if (problem !== undefined) return { is: 'failed', error: new RequestFailedError(handle.name, problem) }
    const profile = {
      publicKey: asked.publicKey,
      subject: asked.subject,
      names: asked.names,
      usages: request.usages,
      isCA: request.isCA,
      notBefore: now,
      notAfter: now + Math.min(request.duration, maxLifetime),
    }
    const leaf = issueCertificate(signer, profile, now)
    const chain = signer === root ? leaf.pem : leaf.pem + signer.certificate.pem
    return { is: 'issued', certificate: { chain, ca: root.certificate.pem } }
  } catch (error) {
    if (!refusals.some((kind) => error instanceof kind)) throw error
    return { is: 'failed', error: new RequestFailedError(handle.name, (error as Error).message) }
  }
}

/** What a request can bring about by itself. */
const refusals = [CertificateRequestError, AuthorityError, NameError, GeneralNameError]

/** Why a request is not signed. It is the bytes that count: what they ask for and is not understood or not agreed is refused. */
function requestProblem(asked: CertificateRequest, request: IssuanceRequest): string | undefined {
  const { keySpec, unknown, usages, isCA } = asked
  if (unknown.length > 0) return `it asks for what this CA does not know: ${unknown.join(', ')}`
  if (keySpec.algorithm === 'RSA' && keySpec.size < 2048) return `${formatKeySpec(keySpec)} keys are too short`
  if (isCA && !request.isCA) return 'its bytes ask for a CA, and the request does not'
  const agreed = new Set(request.usages.map(canonicalUsage))
  if (usages?.some((usage) => !agreed.has(usage)) === true) return 'its bytes ask for other usages than the request'
  return undefined
}

function settled(waiters: Set<(entry: Entry | undefined) => void>, signal: AbortSignal): Promise<Entry | undefined> {
  return new Promise((resolve, reject) => {
    const answer = (entry: Entry | undefined): void => {
      signal.removeEventListener('abort', give)
      resolve(entry)
    }
    const give = (): void => {
      waiters.delete(answer)
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', give, { once: true })
    waiters.add(answer)
  })
}
