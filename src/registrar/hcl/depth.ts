import { HclError } from './hcl-error.ts'
import type { Position } from './node.ts'

/** How deep objects and lists may stand in one another: files need four, and each level takes some of the call stack. */
const deepest = 100

/**
 * @param depth - of what contains the object or list at this place: 0 for the file
 * @throws {HclError}
 */
export function checkDepth(depth: number, at: Position): void {
  if (depth >= deepest) throw new HclError(at, `objects and lists stand more than ${deepest} deep in one another`)
}
