import * as v from 'valibot'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { KeyedMutex } from '../../runtime/mutex.ts'
import { abortable } from '../../kubernetes/abortable.ts'
import { IssuerRefusedError, IssuerUnavailableError, TokenMissingError } from '../errors.ts'
import type { IssuanceRequest, PodCredentials } from '../issuer.ts'
import type { VaultConnection } from './connection.ts'
import { connectionError, loginError } from './refusal.ts'
import { renderRole } from './role-template.ts'
import type { VaultSettings } from './settings.ts'

/** A token of Vault's that speaks for a pod. It is never stored and never logged. */
export interface VaultSession {
  readonly token: string
  /** Whether it is of an earlier login, so that a fresh one may be accepted where Vault refuses it. */
  readonly isCached: boolean
}

/** Where a request gets the Vault token from that it is made with. */
export interface VaultSessions {
  /**
   * @throws {IssuanceError} where Vault or the kubelet gives no token
   * @throws the signal's reason
   */
  open(request: IssuanceRequest, credentials: PodCredentials | undefined, signal: AbortSignal): Promise<VaultSession>
  /** Ends a session that Vault has refused. */
  drop(session: VaultSession, signal: AbortSignal): Promise<void>
  /** The token that a volume's requests were made with; undefined where there is none any more. */
  tokenOf(volumeId: string): string | undefined
  /** Ends what was kept for a volume that is gone. */
  forget(volumeId: string): Promise<void>
  /** Ends all sessions. */
  close(): Promise<void>
}

/** Sessions of one token that was given, such as to `podpass try`. It is not revoked. */
export function givenToken(token: string): VaultSessions {
  return {
    open: async () => ({ token, isCached: false }),
    drop: async () => {},
    tokenOf: () => token,
    forget: async () => {},
    close: async () => {},
  }
}

export interface PodSessionsOptions {
  readonly connection: VaultConnection
  readonly settings: VaultSettings
  readonly clock: Clock
  readonly log: Log
  /** What must be added to the CSIDriver object for tokens of an audience, for people; undefined where nothing must, as far as known. */
  readonly tokenObstacle: (audience: string) => string | undefined
}

/** A login that holds. */
interface Held {
  readonly token: string
  /** Epoch milliseconds. */
  readonly until: number
  /** Batch tokens cannot be revoked (Vault, "Batch tokens"). */
  readonly revocable: boolean
  /** The volumes of the pod that use it. */
  readonly volumes: Set<string>
}

const loginSchema = v.object({
  auth: v.object({
    client_token: v.pipe(v.string(), v.nonEmpty()),
    lease_duration: v.number(),
    token_type: v.optional(v.string()),
    metadata: v.nullish(v.record(v.string(), v.string())),
  }),
})

/** How long before its end a token is no longer used, in milliseconds; of short leases a tenth. */
const margin = 60_000
/** How long the revocation of all tokens may take when the driver stops, in milliseconds. */
const closingTime = 2000

/** Logs pods in with their service account tokens, once a pod, and keeps the Vault token in memory until shortly before its end. */
export class PodSessions implements VaultSessions {
  readonly #options: PodSessionsOptions
  /** By the pod's UID. */
  readonly #held = new Map<string, Held>()
  readonly #logins = new KeyedMutex()
  #closed = false

  constructor(options: PodSessionsOptions) {
    this.#options = options
  }

  async open(
    request: IssuanceRequest,
    credentials: PodCredentials | undefined,
    signal: AbortSignal,
  ): Promise<VaultSession> {
    // The volumes of a pod share a login; whoever gives up waiting leaves it to the others.
    const session = this.#logins.run(request.pod.uid, () => this.#open(request, credentials, signal))
    return abortable(session, signal)
  }

  async drop({ token }: VaultSession, signal: AbortSignal): Promise<void> {
    for (const [pod, held] of this.#held) {
      if (held.token !== token) continue
      this.#held.delete(pod)
      // Most likely Vault knows it no more, so it matters to nobody whether that succeeds.
      await this.#revoke(held, signal).catch(() => signal.throwIfAborted())
    }
  }

  tokenOf(volumeId: string): string | undefined {
    return [...this.#held.values()].find(({ volumes }) => volumes.has(volumeId))?.token
  }

  async forget(volumeId: string): Promise<void> {
    for (const [pod, held] of this.#held) {
      if (!held.volumes.delete(volumeId) || held.volumes.size > 0) continue
      this.#held.delete(pod)
      await this.#revoke(held, new AbortController().signal)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const all = [...this.#held.values()]
    this.#held.clear()
    if (all.length === 0) return
    const ending = new AbortController()
    const timer = this.#options.clock.timer(closingTime, () => ending.abort(new Error('the driver is stopping')))
    const outcomes = await Promise.allSettled(all.map((held) => this.#revoke(held, ending.signal)))
    timer.cancel()
    const failed = outcomes.filter(({ status }) => status === 'rejected').length
    if (failed > 0) {
      const fields = { issuer: this.#options.settings.name, tokens: failed }
      this.#options.log.warn(fields, 'tokens are left with Vault until their leases end')
    }
  }

  async #open(
    request: IssuanceRequest,
    credentials: PodCredentials | undefined,
    signal: AbortSignal,
  ): Promise<VaultSession> {
    signal.throwIfAborted()
    const { uid } = request.pod
    const known = this.#held.get(uid)
    if (known !== undefined && known.until > this.#options.clock.now()) {
      known.volumes.add(request.volumeId)
      return { token: known.token, isCached: true }
    }
    const held = await this.#logIn(request, credentials, signal)
    for (const volume of known?.volumes ?? []) held.volumes.add(volume)
    this.#held.set(uid, held)
    return { token: held.token, isCached: false }
  }

  async #logIn(
    { pod, volumeId }: IssuanceRequest,
    credentials: PodCredentials | undefined,
    signal: AbortSignal,
  ): Promise<Held> {
    const { connection, settings, clock } = this.#options
    const vault = `Vault ${settings.name}`
    if (this.#closed) throw new IssuerUnavailableError(`the configuration of ${vault} has just changed`)
    const account = `service account ${pod.namespace}/${pod.serviceAccount}`
    const jwt = this.#tokenFor(account, credentials)
    const role = renderRole(settings.auth.role, pod)
    const mount = `auth/${settings.auth.mount}`
    const called = clock.now()
    const answer = await connection
      .call({ path: `${mount}/login`, body: { role, jwt }, secrets: [jwt] }, signal)
      .catch((error: unknown) => {
        throw connectionError(error, vault)
      })
    const parsed = v.safeParse(loginSchema, answer.body)
    if (answer.status !== 200 || !parsed.success) {
      const { audience } = settings.auth
      throw loginError(answer, { vault, account, mount, role, audience, request: '' })
    }
    const { client_token: token, lease_duration: lease, token_type: type, metadata } = parsed.output.auth
    const { service_account_namespace: namespace, service_account_name: name } = metadata ?? {}
    if ((namespace ?? pod.namespace) !== pod.namespace || (name ?? pod.serviceAccount) !== pod.serviceAccount) {
      throw new IssuerRefusedError(`the token that ${vault} was shown for ${account} is one of another account`)
    }
    const life = lease === 0 ? Number.POSITIVE_INFINITY : lease * 1000
    return {
      token,
      until: called + life - Math.min(margin, life / 10),
      revocable: type !== 'batch',
      volumes: new Set([volumeId]),
    }
  }

  #tokenFor(account: string, credentials: PodCredentials | undefined): string {
    const { settings, tokenObstacle } = this.#options
    const { audience } = settings.auth
    const token = credentials?.token(audience)
    if (token !== undefined) return token
    const obstacle = tokenObstacle(audience)
    if (obstacle !== undefined) throw new IssuerRefusedError(`Vault ${settings.name} needs tokens of pods: ${obstacle}`)
    throw new TokenMissingError(
      `the kubelet has sent no token of ${account} for audience ${JSON.stringify(audience)} that holds`,
    )
  }

  async #revoke({ token, revocable, until }: Held, signal: AbortSignal): Promise<void> {
    if (!revocable || until < this.#options.clock.now()) return
    const { status, errors } = await this.#options.connection.call(
      { path: 'auth/token/revoke-self', token, body: {} },
      signal,
    )
    // 403: it is gone already.
    if (status >= 400 && status !== 403) throw new IssuerUnavailableError(`a token is left with Vault: ${errors}`)
  }
}
