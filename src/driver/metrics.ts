import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What the driver counts. No metric has a label for a pod or a volume, so their number is bounded. */
export interface DriverMetrics {
  readonly registry: Registry
  readonly volumes: Gauge
  readonly requests: Counter
  readonly failures: Counter<'reason'>
  readonly renewals: Counter<'outcome'>
  readonly publishSeconds: Histogram<'outcome'>
  readonly swappable: Gauge
  readonly nextExpiry: Gauge
}

/** Makes a registry of its own, so that two drivers in one process (tests) do not share counts. */
export function createDriverMetrics(): DriverMetrics {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    volumes: new Gauge({
      name: 'certmanager_csi_managed_volume_count',
      help: 'Volumes that this driver looks after.',
      registers,
    }),
    requests: new Counter({
      name: 'certmanager_csi_issue_requests_total',
      help: 'Certificate requests handed to an issuer.',
      registers,
    }),
    failures: new Counter({
      name: 'certmanager_csi_issue_errors_total',
      help: 'Attempts to get a certificate that failed.',
      labelNames: ['reason'],
      registers,
    }),
    renewals: new Counter({
      name: 'podpass_renewals_total',
      help: 'Renewals by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    publishSeconds: new Histogram({
      name: 'podpass_publish_duration_seconds',
      help: 'Time from NodePublishVolume to its answer.',
      labelNames: ['outcome'],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    }),
    swappable: new Gauge({
      name: 'podpass_volume_memory_swappable',
      help: '1 where private keys could be written to swap: it is on, and the kernel refuses tmpfs with noswap.',
      registers,
    }),
    nextExpiry: new Gauge({
      name: 'podpass_certificate_expiry_min_timestamp_seconds',
      help: 'When the first of all certificates in volumes expires; 0 without any.',
      registers,
    }),
  }
}
