import type { Entry, EntryService } from '../../spire/entry.ts'
import { differingFields } from '../desired/compare.ts'
import type { OwnedEntries } from './owned-entries.ts'

/** How the server's entries differed from what was known of them. */
export interface SurveyReport {
  /** Entries on the server, everybody's. */
  readonly listed: number
  /** Gone, though nobody here deleted them. */
  readonly missing: number
  /** With other content than was known. */
  readonly changed: number
  /** The registrar's, and not known. */
  readonly unknown: number
}

export interface SurveyOptions {
  readonly entries: Pick<EntryService, 'list'>
  readonly owned: OwnedEntries
  readonly keyOf: (entry: Entry) => string | undefined
  /** Told of each entry that is not the registrar's. */
  readonly onForeign: (id: string) => void
  /** Told of each entry that is known to be gone. */
  readonly onGone: (key: string, id: string) => void
}

/**
 * Lists everything that the server has, and brings what is known of the own entries up to it. What is written meanwhile is newer than
 * the listing, and stays.
 *
 * @throws what the listing throws; what was seen until then is kept, and nothing is taken for missing
 */
export async function surveyEntries(options: SurveyOptions, signal: AbortSignal): Promise<SurveyReport> {
  const { entries, owned, onGone } = options
  const report = { listed: 0, missing: 0, changed: 0, unknown: 0 }
  const seen = new Set<string>()
  const wasWritten = owned.watchWrites()
  try {
    for await (const page of entries.list({}, signal)) {
      report.listed += page.length
      for (const entry of page) {
        // Two pages may show one entry; it is looked at once, since a look is a write of its own.
        if (wasWritten(entry.id) || seen.has(entry.id)) continue
        const found = lookAt(entry, options)
        if (found !== 'foreign') seen.add(entry.id)
        if (found === 'changed' || found === 'unknown') report[found]++
      }
    }
    signal.throwIfAborted()
    const missing = [...owned.values()].filter(({ entry }) => !seen.has(entry.id) && !wasWritten(entry.id))
    for (const { key, entry, certainty } of missing) {
      owned.remove(entry.id)
      onGone(key, entry.id)
      if (certainty === 'sure') report.missing++
    }
  } finally {
    owned.unwatchWrites()
  }
  return report
}

function lookAt(entry: Entry, { owned, keyOf, onForeign }: SurveyOptions): 'known' | 'changed' | 'unknown' | 'foreign' {
  const known = owned.get(entry.id)
  const key = keyOf(entry)
  if (key === undefined) {
    // Somebody has made it their own, for instance an administrator's.
    if (known !== undefined) owned.remove(entry.id)
    onForeign(entry.id)
    return 'foreign'
  }
  if (known === undefined) {
    owned.put(key, entry)
    return 'unknown'
  }
  if (known.certainty === 'sure' && known.entry.revision === entry.revision && !differs(known.entry, entry))
    return 'known'
  // It stays with the object that it was made for, also where somebody has changed its selectors.
  owned.put(known.key, entry)
  return known.certainty === 'sure' && differs(known.entry, entry) ? 'changed' : 'known'
}

function differs(one: Entry, other: Entry): boolean {
  return differingFields(one, other).length > 0
}
