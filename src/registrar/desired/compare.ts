import type { EntryField, EntrySpec, Selector } from '../../spire/entry.ts'

/** The fields in which an entry is not what it should be. Selectors and federated trust domains are sets; DNS names have an order. */
export function differingFields(entry: EntrySpec, wanted: EntrySpec): readonly EntryField[] {
  const fields: EntryField[] = []
  if (entry.spiffeId !== wanted.spiffeId) fields.push('spiffeId')
  if (entry.parentId !== wanted.parentId) fields.push('parentId')
  if (!isSameSet(entry.selectors.map(selectorText), wanted.selectors.map(selectorText))) fields.push('selectors')
  if (!isSameList(entry.dnsNames, wanted.dnsNames)) fields.push('dnsNames')
  if (!isSameSet(entry.federatesWith, wanted.federatesWith)) fields.push('federatesWith')
  if (entry.downstream !== wanted.downstream) fields.push('downstream')
  return fields
}

/** A type has no colon. */
function selectorText({ type, value }: Selector): string {
  return `${type}:${value}`
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, place) => item === other[place])
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  if (isSameList(one, other)) return true
  const [first, second] = [new Set(one), new Set(other)]
  return first.size === second.size && one.every((item) => second.has(item))
}

/**
 * How an entry is to be changed, for people: a line for each field, such as `federatesWith: +a.org -b.org`.
 *
 * @returns no line where nothing differs
 */
export function describeDifference(entry: EntrySpec, wanted: EntrySpec): readonly string[] {
  return differingFields(entry, wanted).map((field) => `${field}: ${describeField(field, entry, wanted)}`)
}

function describeField(field: EntryField, entry: EntrySpec, wanted: EntrySpec): string {
  switch (field) {
    case 'selectors':
      return describeSet(entry.selectors.map(selectorText), wanted.selectors.map(selectorText))
    case 'federatesWith':
      return describeSet(entry.federatesWith, wanted.federatesWith)
    case 'dnsNames':
      // The same names in another order are another common name.
      if (isSameSet(entry.dnsNames, wanted.dnsNames)) return `in the order ${wanted.dnsNames.join(' ')}`
      return describeSet(entry.dnsNames, wanted.dnsNames)
    case 'spiffeId':
    case 'parentId':
    case 'downstream':
      return `${entry[field]} → ${wanted[field]}`
    default:
      return field satisfies never
  }
}

function describeSet(before: readonly string[], after: readonly string[]): string {
  const added = after.filter((item) => !before.includes(item))
  const removed = before.filter((item) => !after.includes(item))
  return [...added.map((item) => `+${item}`), ...removed.map((item) => `-${item}`)].join(' ')
}
