import { isObject } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import type { Source } from '../../manifest/source.ts'
import type { Entry } from '../../spire/entry.ts'

/** Entries of a file, or what is wrong with it. */
export interface EntriesReading {
  readonly entries: readonly Entry[]
  readonly problems: readonly Problem[]
}

/** Reads what `spire-server entry show -output json` prints: SPIRE's message ListEntriesResponse, in JSON. */
export function readEntries({ name, text }: Source): EntriesReading {
  const location = { source: name }
  const wrong = (message: string): EntriesReading => ({ entries: [], problems: [{ location, message }] })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return wrong('is no JSON: spire-server entry show -output json prints some')
  }
  const list = isObject(value) ? (value['entries'] ?? []) : value
  if (!Array.isArray(list)) return wrong('holds no entries: spire-server entry show -output json prints some')
  const read = list.map(readEntry)
  const problems = read.flatMap((entry, place) =>
    typeof entry === 'string' ? [{ location, message: `entries[${place}] ${entry}` }] : [],
  )
  return { entries: read.filter((entry) => typeof entry !== 'string'), problems }
}

/** @returns what is wrong with it, as a clause */
function readEntry(value: unknown): Entry | string {
  if (!isObject(value)) return 'is no object'
  const { id, selectors } = value
  if (typeof id !== 'string' || id === '') return 'has no id'
  const spiffeId = readId(value['spiffe_id'])
  const parentId = readId(value['parent_id'])
  if (spiffeId === undefined || parentId === undefined) return 'has no spiffe_id or no parent_id'
  if (!Array.isArray(selectors) || !selectors.every(isSelector)) return 'has no selectors'
  const dnsNames = value['dns_names'] ?? []
  const federatesWith = value['federates_with'] ?? []
  if (!isTexts(dnsNames) || !isTexts(federatesWith)) return 'has dns_names or federates_with that are no lists of texts'
  return {
    id,
    spiffeId,
    parentId,
    selectors: selectors.map(({ type, value: text }) => ({ type, value: text })),
    dnsNames,
    federatesWith,
    downstream: value['downstream'] === true,
    admin: value['admin'] === true,
    revision: readRevision(value['revision_number']),
  }
}

function readId(id: unknown): string | undefined {
  if (!isObject(id)) return undefined
  const { trust_domain: trustDomain, path } = id
  return typeof trustDomain === 'string' && typeof path === 'string' ? `spiffe://${trustDomain}${path}` : undefined
}

function isSelector(value: unknown): value is { readonly type: string; readonly value: string } {
  return isObject(value) && typeof value['type'] === 'string' && typeof value['value'] === 'string'
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** JSON has 64-bit numbers as texts. */
function readRevision(value: unknown): bigint {
  return (typeof value === 'string' && /^\d+$/.test(value)) || Number.isSafeInteger(value)
    ? BigInt(value as string)
    : 0n
}
