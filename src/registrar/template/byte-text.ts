/**
 * A text as Go holds it: one character for each byte of its UTF-8. Lengths, indexes, slices and comparisons of templates count bytes,
 * and a slice may cut a letter in two.
 */
export type ByteText = string

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function toBytes(text: string): ByteText {
  return Buffer.from(text).toString('latin1')
}

/** @returns undefined where the bytes are no UTF-8 */
export function fromBytes(bytes: ByteText): string | undefined {
  try {
    return decoder.decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}
