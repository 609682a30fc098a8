/** How the waits between attempts grow. */
export interface BackoffOptions {
  /** The first wait, in milliseconds. */
  readonly first: number
  /** The longest wait before jitter, in milliseconds. */
  readonly cap: number
  /** What each wait is multiplied with. @default {2} */
  readonly factor?: number
  /** The share of a wait that is added at random, in [0, 1]. @default {0.5} */
  readonly jitter?: number
  /** In [0, 1). @default {Math.random} */
  readonly random?: () => number
}

/**
 * The wait before the next attempt.
 *
 * @param failures - how many attempts have failed so far, at least 1
 * @returns milliseconds, from the bare wait up to the wait and its jitter
 */
export function backoffDelay(failures: number, options: BackoffOptions): number {
  const { first, cap, factor = 2, jitter = 0.5, random = Math.random } = options
  const bare = Math.min(cap, first * factor ** Math.min(failures - 1, 64))
  return bare * (1 + jitter * random())
}
