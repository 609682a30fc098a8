import { Registry } from 'prom-client'
import type { KubernetesClient } from '../../src/kubernetes/client.ts'
import type { EventText } from '../../src/kubernetes/event-object.ts'
import type { KubernetesObject, ObjectReference } from '../../src/kubernetes/object.ts'
import { nodes, pods } from '../../src/kubernetes/resource.ts'
import { parseRegistrarConfig } from '../../src/registrar/config/read-config.ts'
import { LiveRegistrar } from '../../src/registrar/live/live-registrar.ts'
import { PodObjects, type PodObjectsOptions } from '../../src/registrar/live/pod-objects.ts'
import { SpiffeIdObjects } from '../../src/registrar/live/spiffe-id-objects.ts'
import { createSyncMetrics } from '../../src/registrar/sync/sync-metrics.ts'
import { silentLog } from '../../src/runtime/log.ts'
import type { EntrySpec } from '../../src/spire/entry.ts'
import { MemoryApi, type StoredObject } from './memory-api.ts'
import { type EntryContent, EntryStore, type StoredEntry } from './entry-store.ts'
import { type EntryFault, MemoryEntries } from './memory-entries.ts'
import { ManualClock } from './manual-clock.ts'

export const ownId = 'spiffe://example.org/registrar'
export const reconcileRoot = 'spiffe://example.org/spire-k8s-registrar/demo/node'
export const registrarRoot = 'spiffe://example.org/k8s-workload-registrar/demo/node'

/** What a test says of a registrar beyond its file. */
interface Extras extends Partial<Pick<PodObjectsOptions, 'expected' | 'onSeen' | 'onOutcome'>> {
  readonly mayTakeOver?: boolean
  readonly areDeletesConfirmed?: boolean
}

/** An API server and a SPIRE server, both in memory, and any number of registrars between them. */
export class RegistrarCluster {
  readonly clock = new ManualClock(Date.parse('2026-11-22T10:00:00Z'))
  readonly api = new MemoryApi(() => this.clock.now())
  readonly store = new EntryStore({ trustDomain: 'example.org', now: () => this.clock.now() })
  readonly entries: MemoryEntries
  readonly events: { readonly about: ObjectReference; readonly text: EventText }[] = []
  readonly metrics = new Registry()
  /** What becomes of the next calls of the SPIRE server. */
  fault: () => Promise<EntryFault | undefined> = () => Promise.resolve(undefined)
  readonly #metrics = createSyncMetrics(this.metrics)
  readonly #parts = new AsyncDisposableStack()

  constructor() {
    this.entries = new MemoryEntries({ store: this.store, before: () => this.fault() })
  }

  /**
   * Opens a registrar.
   *
   * @param hcl - its file, but for what every file has
   */
  open(hcl: string, { mayTakeOver = true, areDeletesConfirmed = false, ...extras }: Extras = {}): LiveRegistrar {
    const { config } = parseRegistrarConfig(configText(hcl))
    const common = { clock: this.clock, log: silentLog, random: () => 0.5 }
    const following = {
      ...common,
      ...extras,
      client: this.api.client as KubernetesClient,
      ownId,
      events: { record: (about: ObjectReference, text: EventText) => void this.events.push({ about, text }) },
    }
    const registrar = new LiveRegistrar({
      ...common,
      follow: (surroundings) =>
        config.mode === 'crd'
          ? new SpiffeIdObjects({ ...following, ...surroundings, config, namespace: 'spire' })
          : new PodObjects({ ...following, ...surroundings, config }),
      entries: this.entries,
      bundles: { federatedTrustDomains: () => Promise.resolve(new Set(this.store.federated)) },
      config,
      mayTakeOver,
      areDeletesConfirmed,
      metrics: this.#metrics,
    })
    this.#parts.defer(() => registrar.close())
    return registrar
  }

  /** Leads until the test ends, or until what is returned is called. */
  lead(registrar: Pick<LiveRegistrar, 'lead'>): () => Promise<void> {
    const leading = new AbortController()
    const ended = registrar.lead(leading.signal)
    const stop = async (): Promise<void> => {
      leading.abort(new Error('the lease is lost'))
      await ended
    }
    this.#parts.defer(stop)
    return stop
  }

  /** Opens a registrar that leads, and waits until it has done what there was to do. */
  async run(hcl: string, extras: Extras = {}): Promise<LiveRegistrar> {
    const registrar = this.open(hcl, extras)
    this.lead(registrar)
    await this.pass(1000)
    return registrar
  }

  node(name: string): void {
    this.api.put(nodes, { metadata: { name, uid: `uid-of-${name}` } })
  }

  /** A pod of the namespace shop on the node n1. */
  pod(name: string, metadata: KubernetesObject['metadata'] = {}, spec: StoredObject['spec'] = {}): void {
    this.api.put(pods, {
      metadata: { namespace: 'shop', name, uid: `uid-of-${name}`, ...metadata },
      spec: { nodeName: 'n1', serviceAccountName: 'web', ...spec },
    })
  }

  removePod(name: string): void {
    this.api.remove(pods, { namespace: 'shop', name })
  }

  /** An entry that somebody else has made. */
  putEntry(id: string, spec: Partial<EntrySpec>, more: Partial<EntryContent> = {}): void {
    const whole = { ...entryOf({}), ...spec }
    this.store.create({ ...whole, id })
    if (Object.keys(more).length > 0) this.store.update(id, more)
  }

  /** The entries that ask for a pod of the namespace shop. */
  ofPod(name: string): readonly StoredEntry[] {
    return this.store
      .all()
      .filter(({ selectors }) =>
        selectors.some(({ value }) => [`pod-name:${name}`, `pod-uid:uid-of-${name}`].includes(value)),
      )
  }

  /** Calls of the SPIRE server that write. */
  get writes() {
    return this.entries.calls.filter(({ method }) => method !== 'list')
  }

  /** Time passes, in steps that let everybody act. */
  async pass(duration: number): Promise<void> {
    for (let passed = 0; passed < duration; passed += 100) {
      await quiet()
      this.clock.advance(100)
    }
    await quiet()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fault = () => Promise.resolve(undefined)
    await this.#parts.disposeAsync()
  }
}

/** A file of the registrar with what every file has. */
export function configText(hcl: string): string {
  return `trust_domain = "example.org"\ncluster = "demo"\nserver_socket_path = "/run/spire/server.sock"\n${hcl}`
}

/** What an entry of the pod shop/web says in reconcile mode, with changes. */
export function entryOf(changes: Partial<EntrySpec>): EntrySpec {
  return {
    spiffeId: 'spiffe://example.org/ns/shop/sa/web',
    parentId: `${reconcileRoot}/n1`,
    selectors: [
      { type: 'k8s', value: 'ns:shop' },
      { type: 'k8s', value: 'pod-name:web' },
    ],
    dnsNames: [],
    federatesWith: [],
    downstream: false,
    ...changes,
  }
}

/** Everything that waits for a turn of the event loop has had it. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve))
}
