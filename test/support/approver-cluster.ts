import { Registry } from 'prom-client'
import { byDriver, driverName, driverUser, forTheVolume, now, world } from '../../src/approver/fixtures/world.ts'
import { createApproverMetrics } from '../../src/approver/live/approver-metrics.ts'
import { MemoryApi } from './memory-api.ts'
import { LiveApprover, type LiveApproverOptions } from '../../src/approver/live/live-approver.ts'
import { certificatePolicies, namespaces, nodes, serviceAccounts, services } from '../../src/approver/live/resources.ts'
import type { RequestObject } from '../../src/approver/request/request-object.ts'
import type { EventText } from '../../src/kubernetes/event-object.ts'
import { ManualClock, settled } from '../../src/kubernetes/fixtures/manual-clock.ts'
import type { ObjectReference } from '../../src/kubernetes/object.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
  pods,
  type Resource,
} from '../../src/kubernetes/resource.ts'
import { type Log, silentLog } from '../../src/runtime/log.ts'

/** How the driver asks for the pod shop/web-0, which is on its node. */
export const ofTheDriver = [byDriver, forTheVolume] as const

const resources: Readonly<Record<string, Resource>> = {
  Pod: pods,
  Service: services,
  Namespace: namespaces,
  ServiceAccount: serviceAccounts,
  Node: nodes,
  CertificateSigningRequest: certificateSigningRequests,
  CertificateRequest: certificateRequests,
  PodCertificateRequest: podCertificateRequests,
}

/** An API server in memory with a small cluster, of which the pod shop/web-0 behind the Service web is a part, and an approver for it. */
export class ApproverCluster {
  readonly clock = new ManualClock(now)
  readonly api = new MemoryApi(() => this.clock.now())
  readonly events: { readonly about: ObjectReference; readonly text: EventText }[] = []
  readonly audit: object[] = []
  readonly metrics = new Registry()
  readonly #metrics = createApproverMetrics(this.metrics)
  readonly #parts = new AsyncDisposableStack()

  constructor() {
    for (const object of world) this.api.put(resources[object.kind ?? ''] ?? pods, object)
  }

  /** Writes a policy for the signer example.com/serving, unless it says otherwise. */
  policy(name: string, spec: Readonly<Record<string, unknown>>): void {
    const requests = { signerNames: ['example.com/serving'] }
    const before = this.api.find(certificatePolicies, { name, namespace: undefined })
    const metadata = { name, generation: (before?.metadata.generation ?? 0) + 1 }
    this.api.put(certificatePolicies, { metadata, spec: { requests, ...spec } })
  }

  request(name: string, { kind, object }: RequestObject): void {
    const { uid: _, resourceVersion: __, ...metadata } = object.metadata
    this.api.put(resources[kind] ?? pods, { ...object, metadata: { ...metadata, name } })
  }

  /** Types and reasons of the conditions of a CertificateSigningRequest. */
  conditions(name: string): readonly string[] {
    const { status } = this.api.find(certificateSigningRequests, { name, namespace: undefined }) ?? {}
    return (status?.conditions ?? []).map(({ type, reason }) => `${type}: ${reason}`)
  }

  open(more: Partial<LiveApproverOptions> = {}): LiveApprover {
    const audit: Log = { ...silentLog, info: (fields) => void this.audit.push(fields) }
    const approver = new LiveApprover({
      client: this.api.client,
      settings: {
        drivers: { identities: [driverUser], driverNames: [driverName] },
        clusterDomain: 'cluster.local',
        patience: 3600_000,
      },
      limits: { allowApiserverSigners: false },
      policyDirectory: undefined,
      dryRun: false,
      audit,
      events: { record: (about, text) => void this.events.push({ about, text }) },
      metrics: this.#metrics,
      clock: this.clock,
      log: silentLog,
      ...more,
    })
    this.#parts.defer(() => approver.close())
    return approver
  }

  /** Leads until the test ends, or until what is returned is called. */
  lead(approver: LiveApprover): () => Promise<void> {
    const leading = new AbortController()
    const ended = approver.lead(leading.signal)
    const stop = async (): Promise<void> => {
      leading.abort(new Error('the lease is lost'))
      await ended
    }
    this.#parts.defer(stop)
    return stop
  }

  /** Opens an approver that leads, and waits until it has done what there was to do. */
  async run(more: Partial<LiveApproverOptions> = {}): Promise<LiveApprover> {
    const approver = this.open(more)
    this.lead(approver)
    await this.quiet()
    return approver
  }

  async quiet(): Promise<void> {
    for (let turn = 0; turn < 30; turn++) await settled()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
