/** Where something stands in a file. */
export interface Position {
  /** From 1. */
  readonly line: number
  /** From 1, in characters. */
  readonly column: number
}

/** A value of a file in HCL 1, or in JSON. */
export type HclNode = HclObject | HclList | HclLiteral

/** `{ … }`, or a whole file. */
export interface HclObject {
  readonly is: 'object'
  /** In the order of the file. A key may appear more than once: whoever reads it decides what that means. */
  readonly items: readonly HclItem[]
  readonly at: Position
}

/** `key = value`, or the block `key "label" { … }`. */
export interface HclItem {
  /** At least one, and more than one only before an object. */
  readonly keys: readonly [HclKey, ...HclKey[]]
  readonly value: HclNode
}

export interface HclKey {
  readonly name: string
  readonly at: Position
}

/** `[ … ]` */
export interface HclList {
  readonly is: 'list'
  readonly items: readonly HclNode[]
  readonly at: Position
}

/** A text, a number or a boolean. HCL 1 lets many stand for one another, so that a reader may need how it was written. */
export interface HclLiteral {
  readonly is: 'string' | 'heredoc' | 'number' | 'float' | 'boolean'
  /** As the file has it, with quotes. */
  readonly written: string
  /** The text of a string or heredoc; for all others the same as `written`. */
  readonly value: string
  readonly at: Position
}
