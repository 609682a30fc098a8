import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { RequestKind } from '../request/request-object.ts'

/** What the approver counts as it goes. No label names a request, a pod or a policy, so their number is bounded. */
export interface ApproverMetrics {
  /** By kind of request, decision and reason, once for each change of a request's decision. */
  readonly decisions: Counter<'kind' | 'decision' | 'reason'>
  readonly failures: Counter<'kind' | 'reason'>
  readonly foreignApprovals: Counter<'kind'>
  readonly seconds: Histogram<'kind' | 'decision'>
  readonly leading: Gauge
}

/** What is counted when somebody scrapes. */
export interface ApproverFigures {
  /** Requests that wait for what a policy wants, by kind. */
  readonly waiting: () => ReadonlyMap<RequestKind, number>
  readonly policies: () => { readonly used: number; readonly unready: number }
  readonly queued: () => number
  readonly ready: () => boolean
}

export function createApproverMetrics(registry: Registry): ApproverMetrics {
  const registers = [registry]
  return {
    decisions: new Counter({
      name: 'podpass_approver_decisions_total',
      help: 'Decisions by kind of request, decision (approve, deny, wait, leave alone) and reason; a request that waits counts once for each reason.',
      labelNames: ['kind', 'decision', 'reason'],
      registers,
    }),
    failures: new Counter({
      name: 'podpass_approver_failures_total',
      help: 'Attempts to decide a request that failed and are repeated, by reason: conflict, refused, unreachable, stale, other.',
      labelNames: ['kind', 'reason'],
      registers,
    }),
    foreignApprovals: new Counter({
      name: 'podpass_approver_foreign_approvals_total',
      help: 'Requests that a policy is for and that somebody else approved.',
      labelNames: ['kind'],
      registers,
    }),
    seconds: new Histogram({
      name: 'podpass_approver_decision_seconds',
      help: 'Time from when a request was first seen until it was approved or denied.',
      labelNames: ['kind', 'decision'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
      registers,
    }),
    leading: new Gauge({
      name: 'podpass_approver_leading',
      help: '1 where this process decides, 0 where it stands by.',
      registers,
    }),
  }
}

/** Registers what there is at the moment. */
export function registerApproverFigures(registry: Registry, figures: ApproverFigures): void {
  const waiting = new Gauge({
    name: 'podpass_approver_waiting_requests',
    help: 'Requests that wait for what a policy wants.',
    labelNames: ['kind'],
    registers: [],
    collect() {
      this.reset()
      for (const [kind, count] of figures.waiting()) this.set({ kind }, count)
    },
  })
  const policies = new Gauge({
    name: 'podpass_approver_policies',
    help: 'Policies by state: used, or unready, which cannot be used as they stand.',
    labelNames: ['state'],
    registers: [],
    collect() {
      const { used, unready } = figures.policies()
      this.set({ state: 'used' }, used)
      this.set({ state: 'unready' }, unready)
    },
  })
  const queued = new Gauge({
    name: 'podpass_approver_queued_requests',
    help: 'Requests that are to be looked at now.',
    registers: [],
    collect() {
      this.set(figures.queued())
    },
  })
  const ready = new Gauge({
    name: 'podpass_approver_ready',
    help: '1 where /readyz answers that nothing keeps the approver from its work, else 0.',
    registers: [],
    collect() {
      this.set(figures.ready() ? 1 : 0)
    },
  })
  registry.registerMetric(waiting)
  registry.registerMetric(policies)
  for (const metric of [queued, ready]) registry.registerMetric(metric)
}
