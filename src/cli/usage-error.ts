/** Arguments, or a configuration file, that nothing can be done with. Maps to exit code 2. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
  readonly code: string = 'USAGE'
}
