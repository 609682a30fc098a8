import type { EntrySpec } from '../../spire/entry.ts'

/** The part of an entry of which the SPIRE server holds one of a kind. */
export type Identity = Pick<EntrySpec, 'spiffeId' | 'parentId' | 'selectors'>

/** The same text for the same identity; selectors are a set. */
export function identityText({ spiffeId, parentId, selectors }: Identity): string {
  const texts = new Set(selectors.map(({ type, value }) => `${type}:${value}`))
  return JSON.stringify([spiffeId, parentId, ...[...texts].toSorted()])
}
