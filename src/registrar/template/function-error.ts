/** A function's argument that it cannot take. Whoever carries out a template adds the line. */
export class FunctionError extends Error {
  override readonly name = 'FunctionError'
  readonly code = 'TEMPLATE_FUNCTION'
}
