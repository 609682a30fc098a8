/** As much of a foreign text as a message shows. */
const longest = 256

/**
 * A text from an issuer as it may stand in a log or an event: it cannot fill it, break its line or hide a part of it.
 *
 * @returns at most 257 characters, none of them invisible
 */
export function printable(text: string): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}…` : text
  return cut.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
}
