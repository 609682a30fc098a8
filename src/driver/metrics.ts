import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { KeyPool } from '../x509/key-pool.ts'

/** The parts of a certificate's way through the driver, in their order. */
export const phases = ['memory', 'key', 'request', 'submit', 'wait', 'check', 'write', 'show'] as const
export type Phase = (typeof phases)[number]

/**
 * What the driver counts as it goes; what there is at the moment is counted when it is scraped (volume-metrics.ts). No metric has a
 * label for a pod or a volume, so their number is bounded.
 */
export interface DriverMetrics {
  readonly registry: Registry
  readonly requests: Counter
  readonly failures: Counter<'reason'>
  readonly denials: Counter<'reason'>
  readonly retries: Counter
  readonly renewals: Counter<'outcome'>
  readonly phaseSeconds: Histogram<'phase'>
  readonly publishSeconds: Histogram<'outcome'>
  readonly swappable: Gauge
  readonly memoryLosses: Counter<'outcome'>
}

/** Makes a registry of its own, so that two drivers in one process (tests) do not share counts. */
export function createDriverMetrics(): DriverMetrics {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    requests: new Counter({
      name: 'certmanager_csi_issue_requests_total',
      help: 'Certificate requests made, for first certificates and renewals.',
      registers,
    }),
    failures: new Counter({
      name: 'certmanager_csi_issue_errors_total',
      help: 'Attempts to get a certificate that failed, by the kind of trouble.',
      labelNames: ['reason'],
      registers,
    }),
    denials: new Counter({
      name: 'podpass_denials_total',
      help: 'Requests that an issuer refused for good, or whose certificate was not acceptable, by the kind of refusal.',
      labelNames: ['reason'],
      registers,
    }),
    retries: new Counter({
      name: 'podpass_issue_retries_total',
      help: 'Attempts to get a certificate after one that failed.',
      registers,
    }),
    renewals: new Counter({
      name: 'podpass_renewals_total',
      help: 'Attempts to renew a certificate, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    phaseSeconds: new Histogram({
      name: 'podpass_issuance_phase_duration_seconds',
      help:
        'Time in each part of the way to a certificate in a volume: memory (tmpfs), key, request (CSR), submit, wait (for the ' +
        'issuer), check, write, show (bind mount). Parts that failed are left out.',
      labelNames: ['phase'],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600],
      registers,
    }),
    publishSeconds: new Histogram({
      name: 'podpass_publish_duration_seconds',
      help: 'Time from a NodePublishVolume call to its answer, by gRPC code.',
      labelNames: ['outcome'],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    }),
    swappable: new Gauge({
      name: 'podpass_volume_memory_swappable',
      help: '1 where private keys could be written to swap: it is on, and the kernel refuses tmpfs with noswap.',
      registers,
    }),
    memoryLosses: new Counter({
      name: 'podpass_volume_memory_losses_total',
      help: 'Volumes whose private memory was unmounted by somebody: regained, or lost to the containers that run.',
      labelNames: ['outcome'],
      registers,
    }),
  }
}

/** Does a part of the way, and notes how long it took where it ended well. It is timed by a clock that does not jump. */
export async function timed<Result>(
  { phaseSeconds }: DriverMetrics,
  phase: Phase,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  const started = performance.now()
  const result = await work()
  phaseSeconds.observe({ phase }, (performance.now() - started) / 1000)
  return result
}

/** Registers how many keys are ready. An RSA size appears with the first volume that asks for it. */
export function registerKeyPoolMetrics(registry: Registry, keys: Pick<KeyPool, 'levels'>): void {
  const level = new Gauge({
    name: 'podpass_key_pool_keys',
    help: 'RSA keys that are ready, by size in bits; at 0, volumes wait for theirs to be made.',
    labelNames: ['size'],
    registers: [],
    collect() {
      for (const [size, count] of keys.levels()) this.set({ size }, count)
    },
  })
  registry.registerMetric(level)
}
