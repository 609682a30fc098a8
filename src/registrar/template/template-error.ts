/**
 * A template that cannot be read, or that has no result for some data.
 *
 * `message` begins with the line, as in `line 2: there is no function lower`.
 */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly code = 'TEMPLATE_INVALID'
  /** Of the template's text, from 1. */
  readonly line: number
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`)
    this.line = line
  }
}
