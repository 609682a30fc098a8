import * as fc from 'fast-check'
import type { Entry, EntryField, EntryService, EntryUpdate, NewEntry } from '../../src/spire/entry.ts'
import { comparable } from './comparable-entry.ts'

/** A call of an entry service that changes something. */
export type EntryChange =
  | { readonly is: 'create'; readonly entries: readonly NewEntry[] }
  | { readonly is: 'update'; readonly updates: readonly EntryUpdate[] }
  | { readonly is: 'delete'; readonly ids: readonly string[] }

const root = 'spiffe://example.org'
const fields = ['spiffeId', 'parentId', 'selectors', 'dnsNames', 'federatesWith', 'downstream'] as const

// Few values, so that entries meet.
const ids = mostly(['a', 'b', 'c', 'd'], ['not/valid'])
const selector = mostly(
  [
    { type: 'k8s', value: 'ns:shop' },
    { type: 'k8s', value: 'pod-name:web' },
  ],
  [{ type: '', value: 'none' }],
)
const spec = {
  spiffeId: mostly([`${root}/web`, `${root}/db`], [`${root}/spire/server`, 'not an ID']),
  parentId: mostly([`${root}/node`, `${root}/spire/server`], [root]),
  selectors: mostlyOnce(selector, 1),
  dnsNames: mostlyOnce(mostly(['web', 'web.shop.svc', 'db'], ['-wrong'])),
  federatesWith: fc.array(mostly(['one.test', 'two.test'], ['missing.test', 'Not.Valid']), { maxLength: 2 }),
  downstream: fc.boolean(),
}
const newEntry: fc.Arbitrary<NewEntry> = fc.record({ id: ids, ...spec })
const update: fc.Arbitrary<EntryUpdate> = fc.record({
  id: ids,
  ...spec,
  fields: fc.uniqueArray(fc.constantFrom<EntryField>(...fields), { minLength: 1 }),
})

/** Calls on a few entries, right and wrong ones. In a call each entry is there once: in which order its items are done is nobody's promise. */
export const entryChanges: fc.Arbitrary<readonly EntryChange[]> = fc.array(
  fc.oneof(
    fc.record({ is: fc.constant('create' as const), entries: fc.array(newEntry, { minLength: 1, maxLength: 3 }) }),
    fc.record({
      is: fc.constant('update' as const),
      updates: fc.uniqueArray(update, { minLength: 1, maxLength: 3, selector: ({ id }) => id }),
    }),
    fc.record({ is: fc.constant('delete' as const), ids: fc.uniqueArray(ids, { minLength: 1, maxLength: 2 }) }),
  ),
  { minLength: 1, maxLength: 12 },
)

/** Makes a call. @returns what two services answer alike where they follow the same rules */
export async function answersOf(service: EntryService, change: EntryChange, signal: AbortSignal): Promise<unknown> {
  if (change.is === 'delete') return service.delete(change.ids, signal)
  const results =
    change.is === 'create' ? await service.create(change.entries, signal) : await service.update(change.updates, signal)
  return results.map(({ code, message, entry }, place) => ({
    code,
    message: withoutCause(message),
    entry: entry && (knowsNames(change, place) ? comparable(entry) : withoutNameOrder(comparable(entry))),
  }))
}

/** An update that leaves the names alone has to bring those that the entry has, to be answered with their order; these calls do not. */
function knowsNames(change: EntryChange, place: number): boolean {
  return change.is !== 'update' || change.updates[place]?.fields.includes('dnsNames') === true
}

function withoutNameOrder(entry: Entry): Entry {
  return { ...entry, dnsNames: entry.dnsNames.toSorted() }
}

/** All entries, as two services list them alike. */
export async function stateOf(service: EntryService, signal: AbortSignal): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for await (const page of service.list({}, signal)) entries.push(...page)
  return entries.map(comparable)
}

/** What exactly the database did not like, and how a name is malformed, is each server's own word. */
function withoutCause(message: string): string {
  return message
    .replace(/(failed to \w+ entry: ).*UNIQUE.*/s, '$1UNIQUE')
    .replace(/(invalid (?:spiffe ID|parent ID|DNS name|federated trust domain): ).*/s, '$1…')
}

function mostly<Value>(right: readonly Value[], wrong: readonly Value[]): fc.Arbitrary<Value> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...right) },
    { weight: 1, arbitrary: fc.constantFrom(...wrong) },
  )
}

/** Up to three, of which rarely one is there twice or too few are there. */
function mostlyOnce<Value>(value: fc.Arbitrary<Value>, minLength = 0): fc.Arbitrary<readonly Value[]> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.uniqueArray(value, { minLength, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.array(value, { maxLength: 3 }) },
  )
}
