import { access } from 'node:fs/promises'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { MintedSvid, SvidRequest } from '../../spire/svid-service.ts'
import { keepMinted } from '../webhook/minted-certificate.ts'
import {
  followServingFiles,
  readServingFiles,
  servingDirectory,
  type ServingFiles,
  type ServingMaterial,
  type ServingPaths,
} from '../webhook/serving-material.ts'
import { WebhookServer } from '../webhook/webhook-server.ts'
import { spiffeIdAdmission, spiffeIdAdmissionPath } from './spiffe-id-admission.ts'
import type { SpiffeIdSource } from './spiffe-id-source.ts'

export interface SpiffeIdWebhookOptions {
  readonly port: number
  /** Where a certificate may lie, as `tls.crt` and `tls.key`. */
  readonly certificateDirectory: string
  /** What SPIRE is to sign, where none does. */
  readonly request: SvidRequest
  readonly mint: (request: SvidRequest, signal: AbortSignal) => Promise<MintedSvid>
  readonly source: Pick<SpiffeIdSource, 'rules' | 'duplicate'>
  readonly clock: Clock
  readonly log: Log
}

/** What the webhook's certificate says: the names that SPIRE's registrar had, and the API server looks for. */
export function webhookSvid(trustDomain: string, cluster: string, serviceName: string, namespace: string): SvidRequest {
  return {
    spiffeId: `spiffe://${trustDomain}/k8s-workload-registrar/${cluster}/webhook`,
    dnsNames: [`${serviceName}.${namespace}.svc`],
    ttl: 0,
  }
}

/**
 * Checks SpiffeIDs as they are written, on behalf of the API server: with the certificate that lies in a directory, or else with one that
 * SPIRE signs. It serves as soon as it has one, and waits for it as long as it takes.
 */
export class SpiffeIdWebhook {
  readonly #options: SpiffeIdWebhookOptions
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #server: WebhookServer | undefined
  #files: ServingFiles | undefined

  constructor(options: SpiffeIdWebhookOptions) {
    this.#options = options
    this.#running = this.#run(this.#closing.signal)
  }

  /** The port that it listens on; undefined while it has no certificate. */
  get port(): number | undefined {
    return this.#server?.port
  }

  /** Everything that keeps it from answering, for people. */
  problems(): readonly string[] {
    return this.#server === undefined ? ['the webhook of SpiffeIDs does not serve yet: it has no certificate'] : []
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the webhook of SpiffeIDs was closed'))
    await this.#running
    await this.#files?.close()
    await this.#server?.close()
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { certificateDirectory, request, mint, clock, log } = this.#options
    const paths = servingDirectory(certificateDirectory)
    if (await areThere(paths)) {
      try {
        const material = await readServingFiles(paths)
        await this.#serve(material)
        this.#files = followServingFiles(paths, material, (next) => this.#server?.use(next), clock, log)
        return
      } catch (error) {
        log.error({ error }, 'the webhook cannot serve with the certificate of its directory, SPIRE is asked for one')
      }
    }
    const onMinted = (material: ServingMaterial): Promise<void> => this.#serve(material)
    await keepMinted({ mint: (own) => mint(request, own), onMinted, clock, log }, signal)
  }

  async #serve(material: ServingMaterial): Promise<void> {
    if (this.#server !== undefined) {
      this.#server.use(material)
      return
    }
    const { port, source, clock, log } = this.#options
    const handlers = new Map([[spiffeIdAdmissionPath, spiffeIdAdmission(source)]])
    this.#server = await WebhookServer.start({ host: '', port, material, handlers, clock, log })
  }
}

async function areThere({ certificate, key }: ServingPaths): Promise<boolean> {
  try {
    await Promise.all([access(certificate), access(key)])
    return true
  } catch {
    return false
  }
}
