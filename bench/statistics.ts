/** The middle of some numbers. NaN where there are none. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 50)
}

/**
 * The smallest value that at least a share of the numbers does not exceed, with linear interpolation between neighbours (the method
 * that R and NumPy use by default). NaN where there are none.
 *
 * @param share - in percent, from 0 to 100
 */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((one, other) => one - other)
  const position = ((sorted.length - 1) * share) / 100
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

/** The slope of the straight line through some points that leaves the least squares. NaN for fewer than two. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length
  const covariance = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0)
  const variance = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  return covariance / variance
}
