import { printable } from '../../x509/printable.ts'

/** As many as a message takes. */
const mostListed = 5

/** Texts of foreign origin for a message: some of them, and how many more there are. */
export function shortList(texts: readonly string[]): string {
  const listed = texts.slice(0, mostListed).map((text) => JSON.stringify(printable(text)))
  const more = texts.length - listed.length
  return `${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
