import type { Entry, EntryField, EntrySpec } from '../../spire/entry.ts'
import type { RegistrarConfig } from '../config/registrar-config.ts'
import { entriesToTakeOver } from '../live/takeover.ts'
import { isOwnEntryId } from '../sync/entry-id.ts'
import { objectName } from './object-name.ts'
import type { PlanSource } from './plan-source.ts'
import { hasChanges, type RegistrarPlan } from './registrar-plan.ts'
import type { SpiffeIdStep } from './plan-spiffe-ids.ts'

/**
 * Who has made an entry: this registrar; one before it, whose entries it goes on with; or one whose entries it would leave alone, and that
 * are only compared.
 */
export type EntryMaker = 'this' | 'former' | 'other'

/** A plan for scripts. Its shape is the same from one minor version to the next; fields may be added. */
export interface PlanReport {
  readonly mode: RegistrarConfig['mode']
  readonly trustDomain: string
  readonly cluster: string
  /** Where objects and entries come from. */
  readonly objects: string
  readonly entries: string
  readonly pods: number
  readonly nodes: number
  readonly hasChanges: boolean
  /** SpiffeIDs that are written first, in crd mode. */
  readonly spiffeIds: readonly { readonly change: SpiffeIdStep['is']; readonly name: string; readonly object: string }[]
  readonly creates: readonly ({ readonly object: string; readonly id: string } & EntryText)[]
  readonly updates: readonly {
    readonly object: string
    readonly id: string
    readonly spiffeId: string
    readonly madeBy: EntryMaker
    readonly fields: readonly FieldChange[]
  }[]
  readonly deletes: readonly {
    readonly object: string
    readonly id: string
    readonly spiffeId: string
    readonly madeBy: EntryMaker
    readonly reason: string
  }[]
  readonly unchanged: number
  /** Entries that are the registrar's as of now, and those of others. */
  readonly owned: number
  readonly foreign: number
  readonly problems: readonly {
    readonly object: string
    readonly problem: string
    readonly keeps: string | undefined
  }[]
  readonly conflicts: readonly { readonly object: string; readonly spiffeId: string; readonly with: string }[]
  readonly notices: readonly { readonly object: string; readonly notice: string }[]
  readonly without: readonly { readonly object: string; readonly reason: string }[]
  readonly deleteFuse: RegistrarPlan['fuse'] & RegistrarConfig['deleteFuse']
  /** Entries of another registrar, because of which this one would not begin without --takeover. */
  readonly toTakeOver: number
  readonly warnings: readonly string[]
}

/** An entry in texts: selectors as `k8s:ns:shop`. */
export interface EntryText {
  readonly spiffeId: string
  readonly parentId: string
  readonly selectors: readonly string[]
  readonly dnsNames: readonly string[]
  readonly federatesWith: readonly string[]
  readonly downstream: boolean
}

export interface FieldChange {
  readonly field: EntryField
  readonly from: EntryText[EntryField]
  readonly to: EntryText[EntryField]
}

export interface PlanReportOptions {
  readonly config: RegistrarConfig
  readonly plan: RegistrarPlan
  readonly source: Pick<PlanSource, 'spiffeIds' | 'isOwned' | 'objects'>
  readonly from: { readonly objects: string; readonly entries: string }
  readonly warnings: readonly string[]
}

export function planReport({ config, plan, source, from, warnings }: PlanReportOptions): PlanReport {
  const { mode, trustDomain, cluster, deleteFuse } = config
  const { spiffeIds } = source
  const named = <T extends { readonly key: string }>({ key, ...rest }: T) => ({ object: objectName(key), ...rest })
  const madeBy = (entry: Entry): EntryMaker => {
    if (isOwnEntryId({ prefix: config.entryIdPrefix, cluster }, entry.id)) return 'this'
    return source.isOwned(entry) ? 'former' : 'other'
  }
  return {
    mode,
    trustDomain,
    cluster,
    objects: from.objects,
    entries: from.entries,
    pods: source.objects.pods().reduce((count) => count + 1, 0),
    nodes: source.objects.nodes().reduce((count) => count + 1, 0),
    hasChanges: hasChanges(plan) || (spiffeIds?.steps ?? []).length > 0,
    spiffeIds: (spiffeIds?.steps ?? []).map(({ is, name, key }) => ({ change: is, name, object: objectName(key) })),
    creates: plan.creates.map(({ key, id, spec }) => ({ object: objectName(key), id, ...entryText(spec) })),
    updates: plan.updates.map(({ key, entry, spec, fields }) => {
      const [before, after] = [entryText(entry), entryText(spec)]
      return {
        object: objectName(key),
        id: entry.id,
        spiffeId: spec.spiffeId,
        madeBy: madeBy(entry),
        fields: fields.map((field) => ({ field, from: before[field], to: after[field] })),
      }
    }),
    deletes: plan.deletes.map(({ key, entry, reason }) => ({
      object: objectName(key),
      id: entry.id,
      spiffeId: entry.spiffeId,
      madeBy: madeBy(entry),
      reason,
    })),
    unchanged: plan.unchanged,
    owned: plan.owned.length,
    foreign: plan.foreign.length,
    problems: [
      ...(spiffeIds?.problems ?? []).map((one) => ({
        object: objectName(one.key),
        problem: one.problem,
        keeps: undefined,
      })),
      ...plan.problems.map(({ key, problem, entry }) => ({ object: objectName(key), problem, keeps: entry?.id })),
    ],
    conflicts: plan.conflicts.map(({ key, spec, by }) => ({
      object: objectName(key),
      spiffeId: spec.spiffeId,
      with: by.id,
    })),
    notices: plan.notices.map(named),
    without: [...(spiffeIds?.without ?? []), ...plan.without].map(named),
    deleteFuse: { ...plan.fuse, ...deleteFuse },
    toTakeOver: entriesToTakeOver(
      config,
      plan.owned.filter(source.isOwned).map((entry) => ({ entry })),
    ),
    warnings,
  }
}

/** An entry in texts. */
export function entryText(spec: EntrySpec): EntryText {
  const { spiffeId, parentId, selectors, dnsNames, federatesWith, downstream } = spec
  const texts = selectors.map(({ type, value }) => `${type}:${value}`)
  return { spiffeId, parentId, selectors: texts, dnsNames, federatesWith, downstream }
}
