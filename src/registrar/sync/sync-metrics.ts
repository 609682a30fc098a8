import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What synchronisation counts as it goes. No label names an object or an entry, so their number is bounded. */
export interface SyncMetrics {
  /**
   * Of each entry that was created: `queue`, from when its object's event came until the call began; `call`, until its answer; `total`,
   * both.
   */
  readonly identitySeconds: Histogram<'phase'>
  readonly calls: Counter<'method' | 'code'>
  readonly callSeconds: Histogram<'method'>
  readonly drift: Counter<'kind'>
  readonly failures: Counter<'kind'>
  readonly verifications: Counter<'result'>
  readonly verified: Gauge
  readonly leading: Gauge
}

/** What there is at the moment. */
export interface SyncFigures {
  readonly entries: number
  readonly dirty: number
  readonly retrying: number
  /** Deletes that wait, for their confirmation or for the fuse. */
  readonly waitingDeletes: number
  readonly isFuseTripped: boolean
  /** Objects by what keeps them from their entry: problem, conflict, failed. */
  readonly troubled: ReadonlyMap<string, number>
}

export function createSyncMetrics(registry: Registry): SyncMetrics {
  const registers = [registry]
  return {
    identitySeconds: new Histogram({
      name: 'podpass_registrar_identity_seconds',
      help: "Time from an object's event until the server held its new entry, by phase: queue, call, total.",
      labelNames: ['phase'],
      buckets: [0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
      registers,
    }),
    calls: new Counter({
      name: 'podpass_registrar_calls_total',
      help: "Calls of the server's Entry API by method and gRPC status code.",
      labelNames: ['method', 'code'],
      registers,
    }),
    callSeconds: new Histogram({
      name: 'podpass_registrar_call_seconds',
      help: "Duration of calls of the server's Entry API by method; of a listing, as a whole.",
      labelNames: ['method'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    drift: new Counter({
      name: 'podpass_registrar_drift_total',
      help: 'Entries that were not as the registrar had left them, by kind: missing, changed, unknown.',
      labelNames: ['kind'],
      registers,
    }),
    failures: new Counter({
      name: 'podpass_registrar_failures_total',
      help: 'Attempts at one entry that failed and are repeated, by kind: conflict, refused, unknown_outcome, unconfirmed_delete.',
      labelNames: ['kind'],
      registers,
    }),
    verifications: new Counter({
      name: 'podpass_registrar_verifications_total',
      help: "Comparisons of all of the server's entries with what they should be, by result: success, failure.",
      labelNames: ['result'],
      registers,
    }),
    verified: new Gauge({
      name: 'podpass_registrar_last_verification_timestamp_seconds',
      help: "When all of the server's entries were last compared.",
      registers,
    }),
    leading: new Gauge({
      name: 'podpass_registrar_leading',
      help: '1 where this process writes entries, 0 where it stands by.',
      registers,
    }),
  }
}

/** Registers what there is when somebody scrapes. */
export function registerSyncFigures(registry: Registry, figures: () => SyncFigures): void {
  const gauge = (name: string, help: string, read: (figures: SyncFigures) => number): void =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(read(figures()))
        },
      }),
    )
  gauge('podpass_registrar_entries', "The registrar's own entries, as it knows them.", ({ entries }) => entries)
  gauge('podpass_registrar_dirty_keys', 'Objects that wait for their next batch.', ({ dirty }) => dirty)
  gauge('podpass_registrar_retrying_keys', 'Objects whose entry failed and is tried again.', ({ retrying }) => retrying)
  gauge(
    'podpass_registrar_waiting_deletes',
    'Entries that are to be deleted, and wait for a look at their object or are held back by the fuse.',
    ({ waitingDeletes }) => waitingDeletes,
  )
  gauge('podpass_registrar_delete_fuse_tripped', '1 where the fuse holds deletes back, else 0.', ({ isFuseTripped }) =>
    isFuseTripped ? 1 : 0,
  )
  const troubled = new Gauge({
    name: 'podpass_registrar_troubled_objects',
    help: 'Objects without the entry that they should have, by what is in the way: problem, conflict, failed.',
    labelNames: ['kind'],
    registers: [],
    collect() {
      this.reset()
      for (const [kind, count] of figures().troubled) this.set({ kind }, count)
    },
  })
  registry.registerMetric(troubled)
}
