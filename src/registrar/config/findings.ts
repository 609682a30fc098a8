import type { Position } from '../hcl/node.ts'

/**
 * What is wrong in a file. The old registrar stopped at the first thing, and looked in this order, so that its users find the line that
 * they know at the top, with everything else below.
 */
export interface Findings {
  /** Values of another type, under keys of every mode. */
  readonly commonTypes: string[]
  readonly common: string[]
  /** Values of another type, under keys of one mode. */
  readonly modeTypes: string[]
  readonly mode: string[]
  /** What the old registrar did not look at, or only much later. */
  readonly own: string[]
  /** What is odd, and keeps nobody from starting. */
  readonly warnings: string[]
  /** Keys whose values are of another type: about them nothing more is to be said. */
  readonly wrongKeys: Set<string>
}

export function noFindings(): Findings {
  return { commonTypes: [], common: [], modeTypes: [], mode: [], own: [], warnings: [], wrongKeys: new Set() }
}

/** Everything that keeps the registrar from starting, in the old one's words and order, a line each. */
export function problemsOf({ commonTypes, common, modeTypes, mode, own }: Findings): readonly string[] {
  return [
    ...commonTypes.map((problem) => `error parsing common config: unable to decode configuration: ${problem}`),
    ...common.map((problem) => `error parsing common config: ${problem}`),
    ...modeTypes.map((problem) => `unable to decode configuration: ${problem}`),
    ...mode,
    ...own,
  ]
}

/** A text with its place before it, as HCL 1 writes it. */
export function placed(at: Position | undefined, text: string): string {
  return at === undefined ? text : `At ${at.line}:${at.column}: ${text}`
}
