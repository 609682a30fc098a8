import type { ClusterTrustBundle } from '../../kubernetes/certificates.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { EventRecorder } from '../../kubernetes/events.ts'
import type { ConfigMap } from '../../kubernetes/object.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import { clusterTrustBundles, configMaps } from '../../kubernetes/resource.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { WorkQueue } from '../../runtime/work-queue.ts'
import { namespaces } from '../live/resources.ts'
import type { RequestObject } from '../request/request-object.ts'
import { CaShelf } from './ca-shelf.ts'
import { type CaPlace, type CaSource, openCaSource } from './ca-source.ts'
import type { SignMetrics } from './sign-metrics.ts'
import { type PodDecider, Signer } from './signer.ts'
import { describeCa } from './signing-ca.ts'
import type { SignerProfile } from './signer-profile.ts'
import { TrustConfigMaps } from './trust-config-maps.ts'
import { TrustPublisher } from './trust-publisher.ts'
import { bundleName, trustLabel } from './trust-roots.ts'

/** Where the trust of a signer goes beside its bundle. */
export interface ConfigMapPlace {
  readonly name: string
  readonly key: string
  /** Selects namespaces, in the API's own form; empty for all of them. */
  readonly labelSelector: string
}

/** A signer as its administrator describes it. */
export interface SignerDescription {
  readonly profile: SignerProfile
  readonly ca: CaPlace
  readonly configMaps: ConfigMapPlace | undefined
}

export interface RunningSignerOptions {
  readonly description: SignerDescription
  readonly client: KubernetesClient
  readonly pods: PodDecider | undefined
  readonly trustCreators: boolean
  /** How long it takes until what is published is in every pod, milliseconds. */
  readonly propagation: number
  readonly metrics: SignMetrics
  readonly events: Pick<EventRecorder, 'record'>
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

/** How often roots are looked at that may be retired, in milliseconds. */
const upkeep = 600_000

/**
 * One signer at work: follows its CA, publishes its trust and signs the requests that it is offered. Only a leader may have one, and
 * closes it before another leads.
 */
export class RunningSigner {
  readonly #options: RunningSignerOptions
  readonly #shelf: CaShelf
  readonly #trust: TrustPublisher
  readonly #configMaps: TrustConfigMaps | undefined
  readonly #signer: Signer
  readonly #source: CaSource
  readonly #reflectors: readonly Pick<Reflector<never, never>, 'close' | 'hasSynced' | 'synced'>[]
  /** Holds the one key `trust`, so that what comes while it is published makes it be published once more. */
  readonly #publishing: WorkQueue
  #upkeep: Timer | undefined
  #trustProblem: string | undefined = 'trust was not published yet'

  constructor(options: RunningSignerOptions) {
    this.#options = options
    const { description, client, clock, random, metrics } = options
    const { profile, ca, configMaps: place } = description
    const log = options.log.child({ signer: profile.signerName })
    this.#shelf = new CaShelf(log)
    const chosen = place && this.#followNamespaces(place, log)
    this.#configMaps =
      place &&
      chosen &&
      new TrustConfigMaps({
        client,
        signerName: profile.signerName,
        name: place.name,
        key: place.key,
        namespaces: () => [...chosen.values()],
        log,
      })
    this.#trust = new TrustPublisher({
      signerName: profile.signerName,
      client,
      clock,
      propagation: options.propagation,
      configMaps: this.#configMaps,
    })
    const { pods, trustCreators, events } = options
    this.#signer = new Signer({
      profile,
      shelf: this.#shelf,
      trust: this.#trust,
      client,
      pods,
      trustCreators,
      metrics,
      events,
      clock,
      random,
      log,
    })
    this.#publishing = new WorkQueue({
      work: (_key, signal) => this.#publish(signal),
      workers: 1,
      onFailure: (_key, error) => {
        this.#trustProblem = `trust cannot be published: ${(error as Error).message}`
        log.error({ error }, 'trust cannot be published; it is tried again')
      },
      clock,
      random,
      log,
    })
    const listener = {
      hold: (material: Parameters<CaShelf['offer']>[0]) => {
        if (this.#shelf.offer(material, clock.now())) this.#publishSoon()
      },
      miss: (why: string) => {
        this.#shelf.miss(why)
      },
    }
    this.#source = openCaSource(ca, listener, client, clock, log)
    this.#reflectors = [
      this.#followBundle(log),
      ...(place && chosen ? [chosen, this.#followConfigMaps(place, log)] : []),
    ]
    Promise.all(this.#reflectors.map(({ synced }) => synced)).then(
      () => this.#publishSoon(),
      // Closed before: nothing is left to publish.
      () => {},
    )
  }

  /** Everything that keeps it from signing, for people. */
  problems(): readonly string[] {
    const { signerName } = this.#options.description.profile
    const [newest] = this.#shelf.cas
    const ended = newest !== undefined && newest.notAfter <= this.#options.clock.now()
    const problems = [
      this.#shelf.problem,
      ended ? `${describeCa(newest)}, has ended` : undefined,
      this.#trustProblem,
      this.#source.outage?.error?.message,
    ]
    return problems.filter((problem) => problem !== undefined).map((problem) => `signer ${signerName}: ${problem}`)
  }

  /** A request of any signer, as a watch has shown it. */
  offer(request: RequestObject): void {
    this.#signer.offer(request)
  }

  /** A request that is gone, by its UID. */
  forget(uid: string): void {
    this.#signer.forget(uid)
  }

  /** Policies, or objects on which they rest, have changed. */
  wake(): void {
    this.#signer.wake()
  }

  /** Sets the gauges to what is now. */
  measure(): void {
    const { metrics, description } = this.#options
    const signer = { signer: description.profile.signerName }
    metrics.waiting.set(signer, this.#signer.waiting)
    metrics.caTrouble.set(signer, this.#shelf.problem === undefined ? 0 : 1)
    metrics.caEnd.set(signer, (this.#shelf.cas[0]?.notAfter ?? 0) / 1000)
    metrics.trustTrouble.set(signer, this.#trustProblem === undefined ? 0 : 1)
    metrics.roots.set(signer, this.#trust.roots.length)
    metrics.refusedNamespaces.set(signer, this.#configMaps?.refused.size ?? 0)
  }

  /** Resolves once nothing is written any longer. */
  async close(): Promise<void> {
    this.#upkeep?.cancel()
    await Promise.all([this.#source, this.#publishing, this.#signer, ...this.#reflectors].map((part) => part.close()))
  }

  #publishSoon(): void {
    this.#publishing.add('trust')
  }

  async #publish(signal: AbortSignal): Promise<undefined> {
    const roots = this.#shelf.cas.map(({ root }) => root)
    // Before the first CA nothing is known of what is wanted.
    if (roots.length === 0) return undefined
    // A namespace that was not seen would be one without trust. It is published once all are.
    if (!this.#reflectors.every(({ hasSynced }) => hasSynced)) return undefined
    await this.#trust.publish(roots, signal)
    this.#trustProblem = undefined
    this.#signer.wake()
    this.#scheduleUpkeep(this.#options.clock.now())
    return undefined
  }

  /** The next look: when a root may begin to sign, and now and then for those that may be retired. */
  #scheduleUpkeep(now: number): void {
    const { clock } = this.#options
    const starts = this.#shelf.cas.map(({ root }) => this.#trust.maySignFrom(root) ?? now).filter((from) => from > now)
    this.#upkeep?.cancel()
    this.#upkeep = clock.timer(Math.min(upkeep, ...starts.map((from) => from - now)), () => this.#publishSoon())
  }

  #followNamespaces({ labelSelector }: ConfigMapPlace, log: Log): Reflector<{ metadata: { name?: string } }, string> {
    const { client, clock } = this.#options
    const change = (): void => this.#publishSoon()
    return new Reflector({
      client,
      resource: namespaces,
      labelSelector,
      metadataOnly: true,
      transform: ({ metadata }) => metadata.name ?? '',
      handler: { added: change },
      clock,
      log,
    })
  }

  /** Whatever somebody did to the bundle is undone; our own writes change nothing. */
  #followBundle(log: Log): Reflector<ClusterTrustBundle, undefined> {
    const { client, clock, description } = this.#options
    const change = (bundle: ClusterTrustBundle): void => {
      if (!this.#trust.isCurrent(bundle)) this.#publishSoon()
    }
    return new Reflector<ClusterTrustBundle, undefined>({
      client,
      resource: clusterTrustBundles,
      fieldSelector: `metadata.name=${bundleName(description.profile.signerName)}`,
      transform: () => undefined,
      handler: { added: change, modified: change, deleted: () => this.#publishSoon() },
      clock,
      log,
    })
  }

  #followConfigMaps({ name }: ConfigMapPlace, log: Log): Reflector<ConfigMap, undefined> {
    const { client, clock } = this.#options
    const change = (): void => this.#publishSoon()
    return new Reflector<ConfigMap, undefined>({
      client,
      resource: configMaps,
      labelSelector: `${trustLabel.key}=${trustLabel.value}`,
      fieldSelector: `metadata.name=${name}`,
      transform: () => undefined,
      handler: { modified: change, deleted: change },
      clock,
      log,
    })
  }
}
