/** The number of single-character insertions, deletions, replacements and swaps of neighbours between two texts. */
function distance(from: string, to: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        cost = Math.min(cost, (beforePrevious[column - 2] ?? 0) + 1)
      }
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[to.length] ?? 0
}

/**
 * The known name that a mistyped one most likely stands for.
 *
 * @returns undefined where nothing is near enough: more than a third of the letters would have to change
 */
export function didYouMean(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const candidate of known) {
    const furthest = Math.max(1, candidate.length / 3)
    // The lengths alone rule most out, and with them every name so long that comparing it would take a while.
    if (Math.abs(candidate.length - lower.length) > furthest) continue
    const away = distance(lower, candidate.toLowerCase())
    if (away <= furthest && (best === undefined || away < best.distance)) best = { name: candidate, distance: away }
  }
  return best?.name
}
