import type { Position } from './node.ts'

/** A file that is not HCL 1, or not JSON where it begins with a brace. */
export class HclError extends Error {
  override readonly name = 'HclError'
  readonly code = 'HCL_SYNTAX'
  readonly position: Position
  /** The message without its place. */
  readonly reason: string

  constructor(position: Position, reason: string) {
    super(`At ${position.line}:${position.column}: ${reason}`)
    this.position = position
    this.reason = reason
  }
}
