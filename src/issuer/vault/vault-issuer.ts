import { IssuerUnavailableError, RequestGoneError } from '../errors.ts'
import type { IssuanceRequest, IssuedCertificate, Issuer, PodCredentials, RequestHandle } from '../issuer.ts'
import type { VaultAnswer, VaultConnection } from './connection.ts'
import { connectionError, signError } from './refusal.ts'
import { renderRole } from './role-template.ts'
import type { VaultSession, VaultSessions } from './sessions.ts'
import type { VaultSettings } from './settings.ts'
import { readSignedCertificate } from './signed-certificate.ts'

export interface VaultIssuerOptions {
  readonly settings: VaultSettings
  readonly connection: VaultConnection
  readonly sessions: VaultSessions
}

/**
 * The PKI engine of a Vault or an OpenBao, asked in the pod's name.
 *
 * Vault signs at once and remembers no request: so `submit` is the signing, and its handle carries the certificate, which is public.
 * A driver that is killed between Vault's answer and the stored handle has the same request signed twice; the first certificate is for
 * the same key and names, reaches nobody, and ends by itself.
 */
export class VaultIssuer implements Issuer {
  readonly #options: VaultIssuerOptions

  constructor(options: VaultIssuerOptions) {
    this.#options = options
  }

  async submit(
    request: IssuanceRequest,
    signal: AbortSignal,
    credentials?: PodCredentials,
    earlier?: RequestHandle,
  ): Promise<RequestHandle> {
    if (earlier !== undefined && certificateIn(earlier) !== undefined) return earlier
    const { sessions, settings } = this.#options
    let session = await sessions.open(request, credentials, signal)
    let answer = await this.#sign(request, session, signal)
    if (answer.status === 403 && session.isCached) {
      // The token may have been revoked, or its role changed: what a new login says stands.
      await sessions.drop(session, signal)
      session = await sessions.open(request, credentials, signal)
      answer = await this.#sign(request, session, signal)
    }
    const signed = answer.status === 200 ? readSignedCertificate(answer.body) : undefined
    if (signed === undefined) {
      const { pod, id } = request
      throw signError(answer, {
        vault: this.#name,
        account: `service account ${pod.namespace}/${pod.serviceAccount}`,
        mount: settings.pki.mount,
        role: renderRole(settings.pki.role, pod),
        request: `request ${id} to ${this.#name}`,
        audience: undefined,
      })
    }
    const { serial, chain, ca } = signed
    return {
      id: request.id,
      name: `request ${request.id} to ${this.#name} (serial ${serial})`,
      reference: { volume: request.volumeId, serial, chain, ...(ca === undefined ? {} : { ca }) },
    }
  }

  async wait(handle: RequestHandle, signal: AbortSignal): Promise<IssuedCertificate> {
    signal.throwIfAborted()
    const certificate = certificateIn(handle)
    if (certificate === undefined) throw new RequestGoneError(handle.name, 'holds no certificate')
    return certificate
  }

  /** Revokes the certificate, where the administrator wants that and the pod is still logged in; its own policy has to allow it. */
  async discard({ reference }: RequestHandle): Promise<void> {
    const { settings, sessions, connection } = this.#options
    const { serial, volume = '' } = reference
    const token = sessions.tokenOf(volume)
    if (!settings.revoke || serial === undefined || token === undefined) return
    const path = `${settings.pki.mount}/revoke`
    const { status, errors } = await connection.call(
      { path, token, body: { serial_number: serial } },
      new AbortController().signal,
    )
    if (status >= 400)
      throw new IssuerUnavailableError(`${this.#name} does not revoke ${serial}: ${errors} (status ${status})`)
  }

  forget(volumeId: string): Promise<void> {
    return this.#options.sessions.forget(volumeId)
  }

  /** Revokes every token, and closes connections once the calls under way have ended. */
  async close(): Promise<void> {
    await this.#options.sessions.close()
    this.#options.connection.close()
  }

  get #name(): string {
    return `Vault ${this.#options.settings.name}`
  }

  async #sign(
    { csr, duration, pod }: IssuanceRequest,
    { token }: VaultSession,
    signal: AbortSignal,
  ): Promise<VaultAnswer> {
    const { mount, issuer, role } = this.#options.settings.pki
    const signer = issuer === undefined ? mount : `${mount}/issuer/${issuer}`
    const body = {
      csr,
      ttl: `${Math.max(1, Math.floor(duration / 1000))}s`,
      format: 'pem',
      // Names come from the request alone: a common name becomes no alternative name that nobody asked for.
      exclude_cn_from_sans: true,
    }
    try {
      return await this.#options.connection.call(
        { path: `${signer}/sign/${renderRole(role, pod)}`, token, body },
        signal,
      )
    } catch (error) {
      signal.throwIfAborted()
      throw connectionError(error, this.#name)
    }
  }
}

function certificateIn({ reference }: RequestHandle): IssuedCertificate | undefined {
  const { chain, ca } = reference
  return chain === undefined ? undefined : { chain, ca }
}
