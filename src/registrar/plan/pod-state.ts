import type { Entry, EntrySpec } from '../../spire/entry.ts'
import { describeDifference } from '../desired/compare.ts'
import type { ObservedPod } from '../observed.ts'
import type { PlanSource } from './plan-source.ts'
import type { ExplainOptions } from './pod-explanation.ts'

/** What the plan says of a pod. */
export interface PodState {
  readonly is: 'create' | 'update' | 'same' | 'delete' | 'problem' | 'conflict' | 'nothing'
  readonly wanted: EntrySpec | undefined
  readonly entries: readonly Entry[]
  readonly differences: readonly string[]
  /** Why there is none, or what is wrong. */
  readonly why: string
  readonly notices: readonly string[]
  readonly conflict: Entry | undefined
}

/** The keys under which a pod's entries are. */
export function keysOf(pod: ObservedPod, { keyOfPod, resources }: PlanSource): ReadonlySet<string> {
  return new Set([keyOfPod(pod), ...(resources?.ofPod(`${pod.namespace}/${pod.uid}`) ?? [])])
}

/** What the plan says of a pod, by the keys of its entries. */
export function stateOf(
  keys: ReadonlySet<string>,
  { source, plan }: Pick<ExplainOptions, 'source' | 'plan'>,
): PodState {
  const of = <T extends { readonly key: string }>(items: readonly T[]): T | undefined =>
    items.find(({ key }) => keys.has(key))
  const entries = plan.owned.filter((entry) => keys.has(source.source.keyOf(entry) ?? ''))
  const renderings = [...keys].map((key) => source.source.render(key))
  const rendering = renderings.find(({ is }) => is === 'entry') ?? renderings[0]
  const notices = plan.notices.flatMap(({ key, notice }) => (keys.has(key) ? [notice] : []))
  const base = { entries, notices, differences: [], conflict: undefined, why: '' }
  const wanted = rendering?.is === 'entry' ? rendering.spec : undefined
  const [problem, conflict, removal] = [of(plan.problems), of(plan.conflicts), of(plan.deletes)]
  if (problem !== undefined) return { ...base, is: 'problem', wanted, why: problem.problem }
  if (conflict !== undefined) return { ...base, is: 'conflict', wanted: conflict.spec, conflict: conflict.by }
  const create = of(plan.creates)
  if (create !== undefined) return { ...base, is: 'create', wanted: create.spec }
  const update = of(plan.updates)
  if (update !== undefined) {
    return { ...base, is: 'update', wanted: update.spec, differences: describeDifference(update.entry, update.spec) }
  }
  if (wanted !== undefined) return { ...base, is: 'same', wanted }
  if (removal !== undefined) return { ...base, is: 'delete', wanted, why: removal.reason }
  return { ...base, is: 'nothing', wanted, why: rendering?.is === 'none' ? rendering.reason : '' }
}
