import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EventRecorder } from '../../kubernetes/events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { bundleService } from '../../spire/bundle-service.ts'
import { entryService } from '../../spire/entry-service.ts'
import type { ServerClient } from '../../spire/server-client.ts'
import { mintX509Svid } from '../../spire/svid-service.ts'
import type { CrdConfig, ReconcileConfig, RegistrarConfig, WebhookConfig } from '../config/registrar-config.ts'
import { SpiffeIdWebhook, webhookSvid } from '../crd/spiffe-id-webhook.ts'
import type { SyncFigures, SyncMetrics } from '../sync/sync-metrics.ts'
import { PodRegistrations } from '../webhook/pod-registrations.ts'
import { servePodWebhook } from '../webhook/pod-webhook.ts'
import { LiveRegistrar } from './live-registrar.ts'
import { parseKey, podKey } from './object-keys.ts'
import { PodObjects } from './pod-objects.ts'
import { SpiffeIdObjects } from './spiffe-id-objects.ts'

/** A registrar of any mode. */
export interface Registrar {
  /** What there is now, for whoever counts it. */
  readonly figures: SyncFigures
  /** Everything that keeps it from its work, for people; empty where nothing does. */
  problems(): readonly string[]
  /**
   * Writes until the signal aborts, and resolves when nothing is being written any more. One process at a time may lead.
   *
   * @throws {import('./takeover.ts').TakeoverRefusedError}
   */
  lead(leading: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface OpenRegistrarOptions<Config extends RegistrarConfig = RegistrarConfig> {
  readonly client: KubernetesClient
  readonly server: ServerClient
  readonly config: Config
  /** The registrar's own. */
  readonly namespace: string
  /** The registrar's own SPIFFE ID, where it has one. */
  readonly ownId: string | undefined
  /** Entries of the registrar before this one may be taken over though nothing shows that it has ended. */
  readonly mayTakeOver: boolean
  readonly areDeletesConfirmed: boolean
  readonly events: Pick<EventRecorder, 'record'>
  readonly metrics: SyncMetrics
  readonly clock: Clock
  readonly log: Log
}

/**
 * Opens a registrar in its configuration's mode. It follows the cluster from then on, and answers what it is asked about.
 *
 * @throws {import('../template/pod-template.ts').PodTemplateError}
 * @throws {import('../webhook/serving-material.ts').ServingMaterialError}
 * @throws {import('../webhook/webhook-server.ts').ListenError}
 */
export async function openRegistrar(options: OpenRegistrarOptions): Promise<Registrar> {
  const { config } = options
  switch (config.mode) {
    case 'reconcile':
      return reconcileRegistrar({ ...options, config })
    case 'webhook':
      return await webhookRegistrar({ ...options, config })
    case 'crd':
      return crdRegistrar({ ...options, config })
    default:
      return config satisfies never
  }
}

function reconcileRegistrar(options: OpenRegistrarOptions<ReconcileConfig>): Registrar {
  return new LiveRegistrar({
    ...options,
    ...services(options),
    follow: (surroundings) => new PodObjects({ ...options, ...surroundings }),
  })
}

async function webhookRegistrar(options: OpenRegistrarOptions<WebhookConfig>): Promise<Registrar> {
  const { config, clock, log } = options
  const registrations = new PodRegistrations({
    rules: () => live.objects.rules,
    onChange: (namespace, name) => live.mark(podKey(namespace, name)),
    clock,
  })
  const live = new LiveRegistrar({
    ...options,
    ...services(options),
    follow: (surroundings) =>
      new PodObjects({
        ...options,
        ...surroundings,
        expected: (namespace, name) => registrations.expected(namespace, name),
        onSeen: (pod) => registrations.seen(pod),
        onOutcome: (key, outcome) => {
          const object = parseKey(key)
          if (object.kind === 'pod') registrations.settled(object.namespace, object.name, outcome)
        },
      }),
  })
  try {
    const webhook = await servePodWebhook(config, registrations, clock, log)
    return {
      get figures() {
        return live.figures
      },
      problems: () => live.problems(),
      async lead(leading) {
        registrations.isLeading = true
        await live.lead(leading).finally(() => {
          registrations.isLeading = false
        })
      },
      async close() {
        await webhook.close()
        registrations.close()
        await live.close()
      },
    }
  } catch (error) {
    await live.close()
    throw error
  }
}

function crdRegistrar(options: OpenRegistrarOptions<CrdConfig>): Registrar {
  const { config, server, namespace, clock, log } = options
  const registrar = new LiveRegistrar({
    ...options,
    ...services(options),
    follow: (surroundings) => new SpiffeIdObjects({ ...options, ...surroundings }),
  })
  if (config.webhook === undefined) return registrar
  const { port, certificateDirectory, serviceName } = config.webhook
  const webhook = new SpiffeIdWebhook({
    port,
    certificateDirectory,
    request: webhookSvid(config.trustDomain, config.cluster, serviceName, namespace),
    mint: (request, signal) => mintX509Svid(server, request, signal),
    source: registrar.objects.source,
    clock,
    log,
  })
  return {
    get figures() {
      return registrar.figures
    },
    problems: () => [...registrar.problems(), ...webhook.problems()],
    lead: (leading) => registrar.lead(leading),
    async close() {
      await webhook.close()
      await registrar.close()
    },
  }
}

function services({ server }: Pick<OpenRegistrarOptions, 'server'>) {
  return { entries: entryService(server), bundles: bundleService(server) }
}
