import type { ByteText } from './byte-text.ts'
import type { Scalar } from './value.ts'

/** What a template does, one step after the other. `line` is where it stands in the text. */
export type Step =
  | { readonly is: 'text'; readonly text: ByteText }
  | { readonly is: 'action'; readonly pipeline: Pipeline }
  | {
      readonly is: 'if' | 'with' | 'range'
      readonly pipeline: Pipeline
      readonly body: readonly Step[]
      readonly otherwise: readonly Step[]
    }
  | { readonly is: 'template'; readonly line: number; readonly name: string; readonly pipeline: Pipeline | undefined }
  | { readonly is: 'break' | 'continue' }

/** Commands, each with the result of the one before it as its last argument. */
export interface Pipeline {
  readonly line: number
  /** Variables that get the result: two for `range $key, $value`. With their dollar signs. */
  readonly variables: readonly string[]
  /** `=` rather than `:=`. */
  readonly assigns: boolean
  readonly commands: readonly Command[]
}

/** An operand, and the arguments given to it. */
export interface Command {
  readonly line: number
  readonly operand: Operand
  readonly args: readonly Operand[]
}

export type Operand =
  | { readonly is: 'constant'; readonly value: Scalar }
  | { readonly is: 'nil' }
  | { readonly is: 'dot' }
  | { readonly is: 'field'; readonly path: readonly string[] }
  | { readonly is: 'variable'; readonly name: string; readonly path: readonly string[] }
  | { readonly is: 'function'; readonly name: string }
  | { readonly is: 'pipeline'; readonly pipeline: Pipeline }
  /** Fields of what an operand yields, as in `(index .Context "a").B`. */
  | { readonly is: 'chain'; readonly of: Operand; readonly path: readonly string[] }
