import { parseGoDuration } from '../../runtime/go-duration.ts'
import { didYouMean } from '../../runtime/did-you-mean.ts'
import type { HclItem } from '../hcl/node.ts'
import { type AllowedIds, readAllowedIds } from './allowed-ids.ts'
import { type Fields, fieldsOf } from './fields.ts'
import { type Findings, placed } from './findings.ts'
import type { DeleteFuse, TerminationPolicy } from './registrar-config.ts'

/** The keys of every mode that the old registrar had not. */
export interface Safety {
  readonly allowedIds: AllowedIds | undefined
  readonly termination: TerminationPolicy
  readonly deleteFuse: DeleteFuse
  readonly verifyInterval: number
  readonly entryIdPrefix: string
  readonly kubeconfig: string | undefined
}

export function readSafety(fields: Fields, findings: Findings): Safety {
  const { own } = findings
  const rules = fields.block('allowed_ids')
  const kubeconfig = fields.text('kubeconfig')
  return {
    allowedIds: rules && readAllowedIds(rules, (at, problem) => own.push(placed(at, problem))),
    termination: readTermination(fields, findings),
    deleteFuse: readDeleteFuse(fields, findings),
    verifyInterval: readVerifyInterval(fields, findings),
    entryIdPrefix: readEntryIdPrefix(fields, findings),
    kubeconfig: kubeconfig === '' ? undefined : kubeconfig,
  }
}

const policies: readonly TerminationPolicy[] = ['at_deletion', 'when_ended', 'when_gone']

function readTermination(fields: Fields, { own }: Findings): TerminationPolicy {
  const text = fields.text('termination')
  const policy = text === '' ? 'when_ended' : policies.find((known) => known === text)
  if (policy === undefined) {
    const problem = `termination must be at_deletion, when_ended or when_gone, and is ${JSON.stringify(text)}`
    own.push(placed(fields.place('termination'), problem))
  }
  return policy ?? 'when_ended'
}

const fuseKeys = ['max_count', 'max_fraction']

/** Enough for a node's pods or a namespace's that go at once, and far from a whole cluster's. */
const standardFuse: DeleteFuse = { maxCount: 50, maxFraction: 0.3 }

function readDeleteFuse(fields: Fields, { own }: Findings): DeleteFuse {
  const items = fields.block('delete_fuse')
  const at = fields.place('delete_fuse')
  if (items === undefined || at === undefined) return standardFuse
  for (const item of items) checkFuseKey(item, own)
  const inner = fieldsOf({ is: 'object', items, at }, (_key, where, problem) =>
    own.push(placed(where, `delete_fuse.${problem}`)),
  )
  const maxCount = inner.integer('max_count') ?? standardFuse.maxCount
  const maxFraction = inner.number('max_fraction') ?? standardFuse.maxFraction
  if (maxCount < 0) own.push(placed(inner.place('max_count'), 'delete_fuse.max_count must not be negative'))
  if (maxFraction < 0 || maxFraction > 1) {
    own.push(placed(inner.place('max_fraction'), 'delete_fuse.max_fraction must be from 0 to 1: 0.1 is a tenth'))
  }
  return { maxCount, maxFraction }
}

function checkFuseKey({ keys: [{ name, at }] }: HclItem, own: string[]): void {
  if (fuseKeys.includes(name.toLowerCase())) return
  const guess = didYouMean(name, fuseKeys)
  const meant = guess === undefined ? `: there are ${fuseKeys.join(' and ')}` : `, did you mean ${guess}?`
  own.push(placed(at, `delete_fuse has no key ${JSON.stringify(name)}${meant}`))
}

const tenMinutes = 600_000
/** A timer of Node cannot wait longer. */
const longestInterval = 2 ** 31 - 1

function readVerifyInterval(fields: Fields, { own, warnings }: Findings): number {
  const text = fields.text('verify_interval')
  if (text === '') return tenMinutes
  const at = fields.place('verify_interval')
  const interval = durationOf(text)
  if (interval === undefined || interval < 1000 || interval > longestInterval) {
    const problem = `verify_interval must be a duration from 1s to 596h, such as 10m, and is ${JSON.stringify(text)}`
    own.push(placed(at, problem))
    return tenMinutes
  }
  if (interval < tenMinutes) {
    warnings.push(
      placed(at, `verify_interval ${text}: each time, the server lists all of its entries; 10m is often enough`),
    )
  }
  return interval
}

function durationOf(text: string): number | undefined {
  try {
    return parseGoDuration(text)
  } catch {
    return undefined
  }
}

function readEntryIdPrefix(fields: Fields, { own }: Findings): string {
  const prefix = fields.text('entry_id_prefix')
  if (prefix === '') return 'podpass'
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(prefix)) {
    const problem = `entry_id_prefix must be 1 to 64 letters, numbers, dots, dashes and underscores, and is ${JSON.stringify(prefix)}`
    own.push(placed(fields.place('entry_id_prefix'), problem))
  }
  return prefix
}
