/**
 * Runs a call that may throw errors of these kinds, for tests. Any other error is thrown on and fails the test.
 *
 * @returns what the call returns; undefined where it throws as it may
 */
export function throwingOnly<Result>(
  kinds: readonly (new (...parameters: never[]) => Error)[],
  call: () => Result,
): Result | undefined {
  try {
    return call()
  } catch (error) {
    if (kinds.some((kind) => error instanceof kind)) return undefined
    throw error
  }
}
