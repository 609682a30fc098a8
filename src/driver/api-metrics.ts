import { Gauge, type Registry } from 'prom-client'

/** What the driver's surroundings tell when somebody scrapes. */
export interface ApiSources {
  /** Of the Kubernetes client. */
  readonly load: () => { readonly inFlight: number; readonly waiting: number }
  /** This node's certificate requests by the status of their Ready condition. */
  readonly requestCounts: () => Readonly<Record<'True' | 'False' | 'Unknown', number>>
  /** What /readyz answers: everything that keeps the driver from its work. */
  readonly problems: () => Promise<readonly string[]>
}

/** Registers how the driver stands with its API server. */
export function registerApiMetrics(registry: Registry, { load, requestCounts, problems }: ApiSources): void {
  const ready = new Gauge({
    name: 'podpass_ready',
    help: '1 where /readyz answers that new volumes are served, else 0.',
    registers: [],
    async collect() {
      this.set((await problems()).length === 0 ? 1 : 0)
    },
  })
  const calls = new Gauge({
    name: 'podpass_api_calls',
    help: 'Calls of the Kubernetes API now: in_flight, or waiting because others are. Watches do not count.',
    labelNames: ['state'],
    registers: [],
    collect() {
      const { inFlight, waiting } = load()
      this.set({ state: 'in_flight' }, inFlight)
      this.set({ state: 'waiting' }, waiting)
    },
  })
  const requests = new Gauge({
    name: 'certmanager_csi_managed_certificate_request_count',
    help: "This node's certificate requests that the API server holds.",
    registers: [],
    collect() {
      this.set(Object.values(requestCounts()).reduce((sum, count) => sum + count, 0))
    },
  })
  const readyStatus = new Gauge({
    name: 'certmanager_csi_certificate_request_ready_status',
    help: "This node's certificate requests by the status of their Ready condition.",
    labelNames: ['condition'],
    registers: [],
    collect() {
      for (const [condition, count] of Object.entries(requestCounts())) this.set({ condition }, count)
    },
  })
  for (const metric of [ready, requests]) registry.registerMetric(metric)
  registry.registerMetric(calls)
  registry.registerMetric(readyStatus)
}
