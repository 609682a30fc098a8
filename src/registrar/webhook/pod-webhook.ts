import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { parseAddress } from '../../runtime/metrics-server.ts'
import type { WebhookConfig } from '../config/registrar-config.ts'
import { podAdmission } from './pod-admission.ts'
import type { PodRegistrations } from './pod-registrations.ts'
import { followServingFiles, readServingFiles } from './serving-material.ts'
import { WebhookServer } from './webhook-server.ts'

/** A webhook that answers until it is closed. */
export interface RunningWebhook {
  /** The port that it listens on. */
  readonly port: number
  close(): Promise<void>
}

/** The API server gives a webhook ten seconds by default; a pod should not notice that it was asked about. In milliseconds. */
const budget = 2_000

/**
 * Answers the API server about pods, under `/validate`, and follows the files that it serves with.
 *
 * @throws {import('./serving-material.ts').ServingMaterialError}
 * @throws {import('./webhook-server.ts').ListenError}
 */
export async function servePodWebhook(
  { webhook, disabledNamespaces }: Pick<WebhookConfig, 'webhook' | 'disabledNamespaces'>,
  registrations: Pick<PodRegistrations, 'register'>,
  clock: Clock,
  log: Log,
): Promise<RunningWebhook> {
  const { address, certificatePath, keyPath, clientCaPath, failClosed } = webhook
  const paths = { certificate: certificatePath, key: keyPath, clientCa: clientCaPath }
  const material = await readServingFiles(paths)
  const handler = podAdmission({
    disabledNamespaces,
    failClosed,
    budget,
    register: (pod, signal) => registrations.register(pod, signal),
    clock,
    log,
  })
  const handlers = new Map([['/validate', handler]])
  const server = await WebhookServer.start({ ...parseAddress(address), material, handlers, clock, log })
  const files = followServingFiles(paths, material, (next) => server.use(next), clock, log)
  return {
    port: server.port,
    async close() {
      await files.close()
      await server.close()
    },
  }
}
