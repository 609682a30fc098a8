import type { Figure } from './figure.ts'
import type { Ground } from './ground.ts'

export interface RowOptions {
  /** How often what is quick is measured; undefined for the row's own choice. */
  readonly repeat: number | undefined
  /** Takes a line of progress. */
  readonly say: (line: string) => void
}

/**
 * A part of a benchmark that can be asked for by its name.
 *
 * @typeParam On - what it stands on
 */
export interface Row<On = Ground> {
  readonly name: string
  /** One line for people. */
  readonly summary: string
  /** Whether it runs without being asked for. */
  readonly isDefault: boolean
  run(ground: On, options: RowOptions): Promise<readonly Figure[]>
}
