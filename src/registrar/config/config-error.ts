/** A registrar's configuration that cannot be used. */
export class RegistrarConfigError extends Error {
  override readonly name = 'RegistrarConfigError'
  readonly code = 'REGISTRAR_CONFIG'
  /** Everything that is wrong, a line each; the first in the words of the old registrar where it knew the case. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options)
    this.problems = problems
  }
}
