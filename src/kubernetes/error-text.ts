/**
 * What an error says, for people. Node tries every address of a name, and joins the failures in an error without a text of its
 * own.
 */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(errorText).join('; ')
  return error instanceof Error ? error.message : String(error)
}
