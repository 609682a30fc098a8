import type { EntrySpec } from '../../src/spire/entry.ts'

/** An entry as two servers show it alike: only what has an order keeps it. */
export function comparable<Spec extends EntrySpec>(entry: Spec): Spec {
  return {
    ...entry,
    selectors: entry.selectors.toSorted((a, b) => (`${a.type}:${a.value}` < `${b.type}:${b.value}` ? -1 : 1)),
    federatesWith: entry.federatesWith.toSorted(),
  }
}
