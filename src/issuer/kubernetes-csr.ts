import type { CertificateSigningRequest } from '../kubernetes/certificates.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import type { Outage } from '../kubernetes/reflector.ts'
import { certificateSigningRequests } from '../kubernetes/resource.ts'
import { ownUsername } from '../kubernetes/self-subject-review.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { RequestGoneError } from './errors.ts'
import type {
  IssuanceRequest,
  IssuedCertificate,
  Issuer,
  PodCredentials,
  RequestHandle,
  TrustBundle,
} from './issuer.ts'
import { ownCaller, type RequestCaller, requestCaller } from './request-caller.ts'
import { SignerTrust } from './signer-trust.ts'
import { isSameSigningRequest, signingRequest, signingRequestNames } from './signing-request.ts'
import { signingRequestError } from './signing-request-error.ts'
import { deleteSigningRequest, SigningRequestWatch } from './signing-request-watch.ts'
import type { ConfiguredTrust } from './trust-config-map.ts'

export interface KubernetesCsrOptions {
  readonly client: KubernetesClient
  readonly nodeId: string
  /** Whether requests are created with the token of the pod's service account, so that its rights and policies decide. */
  readonly useTokenRequest: boolean
  /** Signers whose trust is not in their ClusterTrustBundles. */
  readonly trust: readonly ConfiguredTrust[]
  readonly log: Log
  readonly clock: Clock
  /** Whether a volume still needs a request; asked of each of this node's requests after a list, and who says no has it deleted. */
  readonly isNeeded: (volumeId: string, requestId: string) => boolean
  /** Told when the API server can be reached again after it could not. */
  readonly onReachable?: () => void
}

/** A signer that volumes of this node name. */
interface Signer {
  readonly requests: SigningRequestWatch
  readonly trust: SignerTrust
  readonly volumes: Set<string>
  /** Ends the watches some time after the last volume. */
  ending: Timer | undefined
}

/**
 * How long a signer is watched after its last volume, in milliseconds: a request whose creation was not waited for is still seen, and
 * deleted, and a pod that is replaced by another needs no new watches.
 */
const linger = 60_000

/**
 * The signers of the certificates API, by its CertificateSigningRequests. A signer is watched from the first volume that names it until
 * after the last one: its requests, scoped to the node by a label, and whom to trust for it.
 *
 * A request can be created twice and exist once: its names come from its key and id, and what is found under one is compared.
 */
export class KubernetesCsrIssuer implements Issuer {
  readonly #options: KubernetesCsrOptions
  /** By name. */
  readonly #signers = new Map<string, Signer>()
  #closing: Promise<void> = Promise.resolve()

  constructor(options: KubernetesCsrOptions) {
    this.#options = options
  }

  /** Since when requests of this node have not been watched, of any signer; undefined while they are. */
  outage(): Outage | undefined {
    const outages = [...this.#signers.values()].map(({ requests }) => requests.outage)
    return outages.filter((outage) => outage !== undefined).sort((one, other) => one.since - other.since)[0]
  }

  async submit(
    request: IssuanceRequest,
    signal: AbortSignal,
    credentials?: PodCredentials,
    earlier?: RequestHandle,
  ): Promise<RequestHandle> {
    const { requests } = this.#use(request.issuer.name, request.volumeId)
    if (earlier !== undefined && (await this.#resume(request, earlier, requests, signal))) return earlier
    const caller = requestCaller(this.#options.useTokenRequest, request.pod, credentials)
    const names = signingRequestNames(request)
    for (const name of names) {
      requests.expect(name)
      try {
        const wanted = signingRequest(request, this.#options.nodeId, name)
        const stored = await this.#createOnce(wanted, caller, signal)
        if (stored !== undefined) {
          requests.accept(stored)
          return handleOf(request, stored)
        }
      } catch (error) {
        requests.ignore(name)
        throw error
      }
      requests.ignore(name)
      this.#options.log.warn({ request: name }, 'a name is taken by a request of somebody else; another one is tried')
    }
    throw new RequestGoneError(describe(names[0] ?? ''), 'and all its other names are taken by requests of others')
  }

  async wait(
    handle: RequestHandle,
    signal: AbortSignal,
    progress?: (state: string) => void,
  ): Promise<IssuedCertificate> {
    const { signer = '', volume = '', name = '' } = handle.reference
    const { requests, trust } = this.#use(signer, volume)
    const chain = await requests.wait(name, handle.name, signal, progress)
    return { chain, ca: await trust.trustFor(chain, signal) }
  }

  trust(handle: RequestHandle, signal: AbortSignal): AsyncIterable<TrustBundle> {
    const { signer = '', volume = '' } = handle.reference
    return this.#use(signer, volume).trust.follow(signal)
  }

  async discard(handle: RequestHandle): Promise<void> {
    const { signer = '', name = '', uid = '' } = handle.reference
    this.#signers.get(signer)?.requests.ignore(name)
    if (uid !== '') await deleteSigningRequest(this.#options.client, name, uid)
  }

  /** Deletes what was told of a volume before it ended, and ends the watches of signers that no volume names any more. */
  async forget(volumeId: string): Promise<void> {
    for (const [name, signer] of this.#signers) {
      if (!signer.volumes.delete(volumeId)) continue
      signer.requests.sweep()
      if (signer.volumes.size > 0) continue
      signer.ending = this.#options.clock.timer(linger, () => {
        this.#signers.delete(name)
        this.#end(signer)
      })
    }
  }

  async close(): Promise<void> {
    for (const signer of this.#signers.values()) {
      signer.ending?.cancel()
      this.#end(signer)
    }
    this.#signers.clear()
    await this.#closing
  }

  #use(signerName: string, volumeId: string): Signer {
    const { client, nodeId, log, clock, isNeeded, onReachable = () => {} } = this.#options
    let signer = this.#signers.get(signerName)
    if (signer === undefined) {
      const configMap = this.#options.trust.find((trust) => trust.signerName === signerName)?.configMap
      signer = {
        requests: new SigningRequestWatch({ client, signerName, nodeId, log, clock, isNeeded, onReachable }),
        trust: new SignerTrust({ client, signerName, configMap, log, clock }),
        volumes: new Set(),
        ending: undefined,
      }
      this.#signers.set(signerName, signer)
    }
    signer.ending?.cancel()
    signer.ending = undefined
    signer.volumes.add(volumeId)
    return signer
  }

  #end({ requests, trust }: Signer): void {
    this.#closing = Promise.all([this.#closing, requests.close(), trust.close()]).then(() => {})
  }

  /** Takes up what an earlier submit has left. @returns whether it is there, and still ours */
  async #resume(
    request: IssuanceRequest,
    { reference }: RequestHandle,
    requests: SigningRequestWatch,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { name = '', uid, username } = reference
    requests.expect(name)
    try {
      const found = await this.#read(name, signal)
      const wanted = signingRequest(request, this.#options.nodeId, name)
      if (found?.metadata.uid === uid && found && isSameSigningRequest(found, wanted, username)) {
        requests.accept(found)
        return true
      }
    } catch (error) {
      requests.ignore(name)
      throw error
    }
    requests.ignore(name)
    return false
  }

  /**
   * Creates a request, or finds the one that an earlier attempt has created.
   *
   * @returns undefined where somebody else has the name
   */
  async #createOnce(
    wanted: CertificateSigningRequest,
    { name: caller, options }: RequestCaller,
    signal: AbortSignal,
  ): Promise<CertificateSigningRequest | undefined> {
    const { client } = this.#options
    const { name = '' } = wanted.metadata
    try {
      return await client.create(certificateSigningRequests, wanted, { signal, ...options })
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') {
        signal.throwIfAborted()
        throw signingRequestError(error, name, caller)
      }
    }
    const found = await this.#read(name, signal)
    if (found === undefined) throw new RequestGoneError(describe(name))
    try {
      const username = await ownUsername(client, { signal, ...options })
      return isSameSigningRequest(found, wanted, username) ? found : undefined
    } catch (error) {
      signal.throwIfAborted()
      throw signingRequestError(error, name, caller)
    }
  }

  /** By the driver itself: the account of a pod has no right to read requests. */
  async #read(name: string, signal: AbortSignal): Promise<CertificateSigningRequest | undefined> {
    try {
      return await this.#options.client.get(certificateSigningRequests, { name }, { signal })
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ApiError && error.status === 404) return undefined
      throw signingRequestError(error, name, ownCaller.name)
    }
  }
}

function describe(name: string): string {
  return `CertificateSigningRequest ${name}`
}

/** The username is kept: what was created in the pod's name is compared after a restart, when no token of the pod is there. */
function handleOf(
  { id, volumeId, issuer }: IssuanceRequest,
  { metadata, spec }: CertificateSigningRequest,
): RequestHandle {
  const { name = '', uid = '' } = metadata
  const { username = '' } = spec
  return { id, name: describe(name), reference: { signer: issuer.name, name, uid, volume: volumeId, username } }
}
