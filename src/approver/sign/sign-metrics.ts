import { Counter, Gauge, type Registry } from 'prom-client'

/** What signers count. No label names a pod or a request, so their number is bounded. */
export interface SignMetrics {
  /** `outcome`: issued, failed, denied. */
  readonly decisions: Counter<'signer' | 'kind' | 'outcome'>
  /** Looks at a request that could not be signed yet, by reason. */
  readonly waits: Counter<'signer' | 'kind' | 'reason'>
  /** How many requests wait. */
  readonly waiting: Gauge<'signer'>
  /** 1 where what the source of the CA holds cannot be used; the last good CA goes on. */
  readonly caTrouble: Gauge<'signer'>
  /** When the CA in use ends, seconds since the epoch; 0 where there is none. */
  readonly caEnd: Gauge<'signer'>
  /** 1 where roots or ConfigMaps could not be published. */
  readonly trustTrouble: Gauge<'signer'>
  /** Roots in the trust bundle. */
  readonly roots: Gauge<'signer'>
  /** Namespaces whose ConfigMap could not be written. */
  readonly refusedNamespaces: Gauge<'signer'>
}

/** @param measure - sets the gauges; called before they are read */
export function createSignMetrics(registry: Registry, measure: () => void = () => {}): SignMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge<'signer'> =>
    new Gauge({ name: `podpass_signer_${name}`, help, labelNames: ['signer'], registers })
  // The first that is registered is the first that is read, so that the others are measured by then.
  const waiting = new Gauge({
    name: 'podpass_signer_waiting_requests',
    help: 'Requests that wait to be signed.',
    labelNames: ['signer'],
    registers,
    collect: measure,
  })
  return {
    decisions: new Counter({
      name: 'podpass_signer_decisions_total',
      help: 'Requests that were issued, failed or denied.',
      labelNames: ['signer', 'kind', 'outcome'],
      registers,
    }),
    waits: new Counter({
      name: 'podpass_signer_waits_total',
      help: 'Looks at a request that could not be signed yet, by reason.',
      labelNames: ['signer', 'kind', 'reason'],
      registers,
    }),
    waiting,
    caTrouble: gauge('ca_unusable', '1 where the CA that is configured now cannot be used.'),
    caEnd: gauge('ca_end_timestamp_seconds', 'When the CA in use ends; 0 where there is none.'),
    trustTrouble: gauge('trust_unpublished', '1 where trust could not be published.'),
    roots: gauge('trusted_roots', 'Roots in the trust bundle of the signer.'),
    refusedNamespaces: gauge('refused_namespaces', 'Namespaces whose trust ConfigMap could not be written.'),
  }
}
