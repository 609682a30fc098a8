/** One block of a PEM text (RFC 7468). */
export interface PemBlock {
  /** What stands after BEGIN, such as `CERTIFICATE`. */
  readonly label: string
  readonly der: Uint8Array<ArrayBuffer>
}

/** A text that is not the PEM it should be. Never quotes the text: it may hold a key. */
export class PemError extends Error {
  override readonly name = 'PemError'
  readonly code = 'PEM_INVALID'
}

/**
 * Writes one block, with lines of 64 characters and a final newline (RFC 7468 §2).
 *
 * @example
 * ```ts
 * encodePem('CERTIFICATE', certificate.der)
 * ```
 */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = der.toBase64()
  const lines = base64.match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** A boundary as RFC 7468 §3 has it: a label of printable characters without hyphens at its ends. */
const boundary = /^-----(BEGIN|END) ([!-,.-~]+(?:[ -][!-,.-~]+)*)-----$/

/**
 * Reads every block of a text. What stands between blocks is skipped, as bundles of CA certificates carry comments there;
 * a block itself must be whole: no headers, canonical base64, its own END.
 *
 * @returns the blocks in their order; none for a text without any
 * @throws {PemError} naming the line
 */
export function decodePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let open: { readonly label: string; readonly line: number; readonly body: string[] } | undefined
  for (const [index, untrimmed] of text.split('\n').entries()) {
    const line = untrimmed.trim()
    const [, side, label] = boundary.exec(line) ?? []
    if (side === 'BEGIN' && label !== undefined) {
      if (open !== undefined) throw new PemError(`line ${index + 1}: BEGIN inside the block of line ${open.line}`)
      open = { label, line: index + 1, body: [] }
    } else if (side === 'END') {
      if (open === undefined || open.label !== label) throw new PemError(`line ${index + 1}: END without its BEGIN`)
      blocks.push({ label: open.label, der: decodeBody(open.body.join(''), open.line) })
      open = undefined
    } else if (/^-----\s*(BEGIN|END)\b/.test(line)) {
      throw new PemError(`line ${index + 1}: broken boundary`)
    } else {
      open?.body.push(line)
    }
  }
  if (open !== undefined) throw new PemError(`the block of line ${open.line} has no END`)
  return blocks
}

function decodeBody(body: string, line: number): Uint8Array<ArrayBuffer> {
  if (body === '') throw new PemError(`the block of line ${line} is empty`)
  try {
    // Strict: whole groups of four, and no stray bits in the last one (RFC 4648 §3.5).
    return Uint8Array.fromBase64(body, { lastChunkHandling: 'strict' })
  } catch {
    throw new PemError(`the block of line ${line} is not base64`)
  }
}
