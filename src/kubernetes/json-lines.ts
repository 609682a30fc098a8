const newline = 0x0a

/** A line longer than the reader accepts. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError'
}

/**
 * Cuts a stream of bytes into lines, wherever its chunks begin and end. Bytes, not text, because a chunk may end inside a character.
 *
 * @param longest - bytes of the longest line that is accepted
 */
export class LineSplitter {
  readonly #longest: number
  #parts: Buffer[] = []
  #length = 0

  constructor(longest: number) {
    this.#longest = longest
  }

  /**
   * The lines that `chunk` completes, without their ends, blank ones left out.
   *
   * @throws {LineTooLongError}
   */
  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end))
      const line = this.#take()
      if (line.length > 0) lines.push(line)
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
    return lines
  }

  /** How many bytes of an unfinished line have arrived. */
  get pending(): number {
    return this.#length
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return
    this.#length += part.length
    if (this.#length > this.#longest) {
      throw new LineTooLongError(`expected lines of at most ${this.#longest} bytes, got more than that`)
    }
    this.#parts.push(part)
  }

  #take(): Buffer {
    const [first] = this.#parts
    const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts, this.#length)
    this.#parts = []
    this.#length = 0
    return line
  }
}
