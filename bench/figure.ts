import { median } from './statistics.ts'

/** One line of the result. */
export interface Figure {
  readonly title: string
  /** What the numbers are, such as `ms` or `MiB`; empty for plain counts. */
  readonly unit: string
  /** The number that is compared, usually the median of the samples. */
  readonly value: number
  readonly samples: readonly number[]
  /** What the machine allows, measured in the same run. */
  readonly floor?: { readonly value: number; readonly samples: readonly number[] }
  /** `value` over the floor's. */
  readonly ratio?: number
  readonly target?: { readonly text: string; readonly reached: boolean }
}

/** What a figure is made from; see {@link Figure}. */
export interface Measured {
  readonly title: string
  readonly unit: string
  readonly samples: readonly number[]
  readonly floor?: readonly number[]
  /** How samples become the number that is compared. @default {median} */
  readonly by?: (samples: readonly number[]) => number
  readonly target?: { readonly text: string; readonly reached: (value: number, floor: number) => boolean }
}

export function figure({ title, unit, samples, floor, by = median, target }: Measured): Figure {
  const value = by(samples)
  const compared = floor === undefined ? undefined : by(floor)
  return {
    title,
    unit,
    value,
    samples,
    ...(floor !== undefined && compared !== undefined
      ? { floor: { value: compared, samples: floor }, ratio: value / compared }
      : {}),
    ...(target === undefined
      ? {}
      : { target: { text: target.text, reached: target.reached(value, compared ?? Number.NaN) } }),
  }
}

/** A target that is a multiple of the floor, as design figures of latency are. */
export function timesFloor(factor: number): NonNullable<Measured['target']> {
  return { text: `≤ ${factor}x floor`, reached: (value, floor) => value <= factor * floor }
}

/** A target that does not depend on the machine. */
export function atMost(limit: number, unit: string): NonNullable<Measured['target']> {
  const text = unit === '' ? String(limit) : `${limit} ${unit}`
  return { text: limit === 0 ? text : `≤ ${text}`, reached: (value) => value <= limit }
}
