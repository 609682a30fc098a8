import type { Position } from './node.ts'

/**
 * Tells the line and column of offsets into a text. It remembers the last one, so that all of a text's tokens, asked for in their
 * order, take one walk over it.
 *
 * @returns a function of an offset in UTF-16 units, which is not before the one of the call before
 */
export function positionsIn(text: string): (offset: number) => Position {
  let at = 0
  let line = 1
  let column = 1
  return (offset) => {
    for (; at < offset; at++) {
      const unit = text.charCodeAt(at)
      if (unit === 0x0a) {
        line++
        column = 1
      } else if (unit < 0xdc00 || unit > 0xdfff) {
        // The second half of a pair is no character of its own.
        column++
      }
    }
    return { line, column }
  }
}
